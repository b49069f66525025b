"""Amounts of one liquidation: the best, the largest, the least that reaches a health."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from keeper.domain.lending import Refused, RepayRange
from keeper.domain.units import MAX_UINT256
from keeper.estimate.curve import PairCurve, cover_of
from keeper.estimate.scene import Choice, better_of
from keeper.estimate.search import first_true, is_better, search_concave

_HAIR_SHIFT: Final = 20
_COARSE_SHIFT: Final = 17
"""A unit of a token worth more than this part of the profit is worth searching for."""
_REACH_RAW: Final = 3
_LENDER_STEPS: Final = 20
_LEAST_SHIFT: Final = 10


def find_covers(curve: PairCurve, span: RepayRange) -> Iterator[int]:
    """Yield the amounts of a range among which the best is, but for roundings: peaks inside it, and its ends."""
    for premium_bps in curve.premiums_bps:
        peaks = curve.peaks_raw(premium_bps)
        if not peaks or peaks[0] <= span.low_raw:
            yield span.low_raw
        elif peaks[0] <= span.high_raw:
            yield peaks[0]
        else:
            yield span.high_raw
            yield from (each for each in peaks if span.low_raw <= each < span.high_raw)
    yield from (each for each in curve.limits_raw if span.low_raw <= each < span.high_raw)


def exceeds(steady: Choice | None, other: Choice | None) -> bool:
    """Whether `steady` is as good as `other` but for a hair's breadth."""
    if steady is None or other is None:
        return other is None
    return other.rank - steady.rank <= abs(other.rank) >> _HAIR_SHIFT


def largest_step(curve: PairCurve) -> Choice | None:
    """Return the choice that repays the most the pool accepts."""
    if not curve.ranges:
        return None
    return curve.choice(cover_of(max(curve.ranges, key=lambda each: (each.high_raw, each.cover_max))))


def least_step(curve: PairCurve, target_health_wad: int) -> Choice | None:
    """Return the choice with the least repay after which health is at least `target_health_wad`.

    None when no accepted amount reaches it, or the collateral cannot be sold.
    """
    for span in curve.ranges:
        if not _reaches(curve, cover_of(span), target_health_wad):
            continue
        if span.cover_max:
            return curve.choice(MAX_UINT256)
        least = first_true(lambda cover: _reaches(curve, cover, target_health_wad), span.low_raw, span.high_raw)
        return curve.choice(least)
    return None


def polish(curve: PairCurve, best: Choice) -> Choice:
    """Return the best of a single step and its nearest amounts, where single units of a coarse token are worth it."""
    cover_raw = best.steps[-1].call.cover_raw
    span = next(
        (each for each in curve.ranges if not each.cover_max and each.low_raw <= cover_raw <= each.high_raw), None
    )
    if span is None or best.rank <= 0:
        return best
    best = better_of(best, _at_the_lenders_peak(curve, span, best)) or best
    worth_it = best.rank >> _COARSE_SHIFT
    if curve.scene.value_of(curve.debt, 1) > worth_it:
        near = range(max(cover_raw - _REACH_RAW, span.low_raw), min(cover_raw + _REACH_RAW, span.high_raw) + 1)
        for near_raw in near:
            best = better_of(best, curve.choice(near_raw)) or best
    if curve.scene.value_of(curve.collateral, 1) > worth_it:
        best = better_of(best, _trimmed(curve, span, best)) or best
    return best


def _at_the_lenders_peak(curve: PairCurve, span: RepayRange, best: Choice) -> Choice | None:
    """Return the choice that repays what nets most where a swap pool lends: it pays less than all pools together,
    for whose price amounts are chosen.
    """
    if best.funds[0].source != "uniswap-v3-flash" or isinstance(curve.pair, Refused):
        return None
    pair, venues, (first, *others) = curve.pair, curve.scene.venues, best.legs
    elsewhere_raw = sum(leg.amount_in_raw for leg in others)

    def gain_raw(cover_raw: int) -> int | None:
        taken = pair.taken(cover_raw)
        quotes = venues.quote(first.route, taken[1] - elsewhere_raw) if taken and taken[1] > elsewhere_raw else None
        return quotes[-1].amount_out_raw - cover_raw if quotes else None

    cover_raw = best.steps[-1].repaid_raw
    reach_raw = cover_raw >> 2
    low_raw, high_raw = max(span.low_raw, cover_raw - reach_raw), min(span.high_raw, cover_raw + reach_raw)
    if is_better(gain_raw(high_raw), gain_raw(high_raw - (reach_raw >> _LEAST_SHIFT))):
        return curve.choice(high_raw)  # still rising at the end of the range
    return curve.choice(search_concave(gain_raw, low_raw, high_raw, steps=_LENDER_STEPS))


def reaches(curve: PairCurve, target_health_wad: int) -> bool:
    """Whether any accepted repay brings the account's health to `target_health_wad`."""
    return any(_reaches(curve, cover_of(span), target_health_wad) for span in curve.ranges)


def lowers_health(curve: PairCurve, health_wad: int) -> bool:
    """Whether the largest accepted repay leaves the account less healthy than it is."""
    outcome = curve.outcome(cover_of(curve.ranges[-1])) if curve.ranges else None
    return outcome is not None and outcome.health_after_wad < health_wad


def _trimmed(curve: PairCurve, span: RepayRange, best: Choice) -> Choice | None:
    """Return the same sale for the least repay that brings it: a coarse collateral rounds in our favour."""
    pair = curve.pair
    if isinstance(pair, Refused):
        return None
    cover_raw, wanted_raw = best.steps[-1].call.cover_raw, best.steps[-1].received_raw

    def brings_it(amount_raw: int) -> bool:
        taken = pair.taken(amount_raw)
        return taken is not None and taken[1] >= wanted_raw

    step_raw = curve.repay_for(2)
    return curve.choice(first_true(brings_it, max(span.low_raw, cover_raw - step_raw), cover_raw))


def _reaches(curve: PairCurve, cover_raw: int, target_health_wad: int) -> bool:
    outcome = curve.outcome(cover_raw)
    return outcome is not None and outcome.health_after_wad >= target_health_wad
