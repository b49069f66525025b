"""Which pair, how much, by which route: the choice that earns most after gas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from keeper.domain.swaps import Route
from keeper.domain.units import MAX_UINT256
from keeper.estimate.curve import Choice, PairCurve, SmoothRange, cover_of
from keeper.estimate.funding import choose_fund
from keeper.estimate.routes import bound_routes
from keeper.estimate.search import first_true, is_better, search_concave

_SEARCH_STEPS: Final = 34
"""Narrows a range to a ten-millionth of itself; the curve is flat to far less than that at its top."""
_PROBE_SHIFT: Final = 14
_HAIR_SHIFT: Final = 20
_TRIM_STEPS_LIMIT: Final = 1 << 52


def best_choice(curve: PairCurve, floor: int | None = None) -> Choice | None:
    """Return the choice with the greatest net profit; of equals the smaller repay; None when nothing can be sold.

    What asking for all would add to the best explicit amount by a hair's breadth (a millionth) is
    left alone: it would be a few seconds' interest, and its price is a profit that depends on the
    second of inclusion. A choice of a rank under `floor`, already reached by another pair, need
    not be found.
    """
    best: Choice | None = None
    steady: Choice | None = None
    ranges = curve.ranges()
    smooth = [SmoothRange(curve, each) for each in ranges if not each.cover_max]
    asks_for_all = any(each.cover_max for each in ranges)
    for bound, route in bound_routes(curve, ranges, floor):
        if best is not None and bound < best.rank:
            break
        if asks_for_all:
            best = better_of(best, curve.choice(route, MAX_UINT256))
        for span in smooth:
            steady = better_of(steady, _best_inside(curve, span, route))
            best = better_of(best, steady)
    if best is not None and steady is not None and best.rank - steady.rank <= best.rank >> _HAIR_SHIFT:
        return steady
    return best


def largest_choice(curve: PairCurve) -> Choice | None:
    """Return the choice that repays the most the pool accepts, on the route that pays best for it."""
    ranges = curve.ranges()
    if not ranges:
        return None
    top = max(ranges, key=lambda each: (each.high_raw, each.cover_max))
    return _best_at(curve, curve.routes(), cover_of(top))


def least_choice(curve: PairCurve, target_health_wad: int) -> Choice | None:
    """Return the choice with the least repay after which health is at least `target_health_wad`.

    None when no accepted amount reaches it, or the collateral cannot be sold.
    """
    for each in curve.ranges():
        if not _reaches(curve, cover_of(each), target_health_wad):
            continue
        if each.cover_max:
            return _best_at(curve, curve.routes(), MAX_UINT256)
        least = first_true(lambda cover: _reaches(curve, cover, target_health_wad), each.low_raw, each.high_raw)
        return _best_at(curve, curve.routes(), least)
    return None


def lowers_health(curve: PairCurve, health_wad: int) -> bool:
    """Whether the largest accepted repay leaves the account less healthy than it is."""
    ranges = curve.ranges()
    outcome = curve.outcome(cover_of(ranges[-1])) if ranges else None
    return outcome is not None and outcome.health_after_wad < health_wad


def better_of(one: Choice | None, other: Choice | None) -> Choice | None:
    """Return the choice of higher rank, of equals the one that repays less, of those the first."""
    if one is None or other is None:
        return other if one is None else one
    if (other.rank, -other.outcome.repaid_raw) > (one.rank, -one.outcome.repaid_raw):
        return other
    return one


def _reaches(curve: PairCurve, cover_raw: int, target_health_wad: int) -> bool:
    outcome = curve.outcome(cover_raw)
    return outcome is not None and outcome.health_after_wad >= target_health_wad


def _best_at(curve: PairCurve, routes: Iterable[Route], cover_raw: int) -> Choice | None:
    best: Choice | None = None
    for route in routes:
        best = better_of(best, curve.choice(route, cover_raw))
    return best


def _best_inside(curve: PairCurve, span: SmoothRange, route: Route) -> Choice | None:
    """Return the best choice on one route inside one range, evaluated exactly."""

    def profit_raw(cover_raw: int) -> int | None:
        received_raw = span.received_raw(cover_raw)
        quotes = None if not received_raw else curve.scene.venues.quote(route, received_raw)
        fund = choose_fund(curve.scene.view, curve.debt, cover_raw, curve.scene.balances)
        if received_raw is None or quotes is None or fund is None:
            return None
        proceeds_raw = quotes[-1].amount_out_raw if quotes else received_raw
        return proceeds_raw - cover_raw - fund.premium_raw

    low, high = span.low, span.high
    probe = high - ((high - low) >> _PROBE_SHIFT)
    if probe < high and is_better(profit_raw(high), profit_raw(probe)):
        top = high  # still rising at the upper end
    else:
        top = search_concave(profit_raw, low, high, steps=_SEARCH_STEPS)
    best: Choice | None = None
    for cover_raw in sorted({span.low, *range(max(top - 2, span.low), min(top + 2, span.high) + 1), span.high}):
        best = better_of(best, curve.choice(route, cover_raw))
    return _trim(curve, span, route, best)


def _trim(curve: PairCurve, span: SmoothRange, route: Route, best: Choice | None) -> Choice | None:
    """Return the same sale for the least repay that brings it: a coarse collateral rounds in our favour."""
    if best is None or best.profit_raw <= 0:
        return best
    step = span.debt_per_unit_raw()
    received_raw = best.outcome.received_raw
    cover_raw = best.outcome.call.cover_raw
    low = max(span.low, cover_raw - step)
    if not 1 < step < _TRIM_STEPS_LIMIT or low >= cover_raw:
        return best

    def brings_it(amount_raw: int) -> bool:
        outcome = curve.outcome(amount_raw)
        return outcome is not None and outcome.received_raw >= received_raw

    return better_of(best, curve.choice(route, first_true(brings_it, low, cover_raw)))
