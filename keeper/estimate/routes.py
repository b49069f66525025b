"""Which routes are worth a search: an upper bound of what each can net, from a few quotes.

Profit on one route is concave in the amount sold: prices only get worse, and the repay grows in
step with what is received. Between two samples a concave curve lies under the lines through its
neighbours, so a handful of quotes bounds its top, and a route whose bound is under another's
sample need not be searched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from keeper.domain.fixed_point import mul_div_down, mul_div_up
from keeper.domain.lending import Outcome, RepayRange
from keeper.domain.plans import Funding
from keeper.domain.swaps import Route
from keeper.estimate.curve import PairCurve, cover_of
from keeper.estimate.gas import shape_of

_WHOLE: Final = 4096
_COARSE: Final = (64, 1024, _WHOLE)
_FINE: Final = (1, 8, 512, 2048, 3072)
_FEW: Final = 2
_SLACK_SHIFT: Final = 20
"""A millionth of the amounts, over what rounding may add to a curve."""

Samples = dict[int, int | None]
"""Profit in raw debt units by share of the largest sale, in 1/4096; None where there is no quote."""


def bound_routes(curve: PairCurve, ranges: Iterable[RepayRange], floor: int | None = None) -> list[tuple[int, Route]]:
    """Return (upper bound of the rank, route) of each route that may hold the best choice, best bound first.

    Routes that cannot rise above the rank `floor`, reached elsewhere, are left out.
    """
    top = _largest(curve, ranges)
    routes = curve.routes()
    if top is None or not routes:
        return []
    funding: Funding = "own" if curve.scene.balances.get(curve.debt) else "aave-flash-loan"
    gas = {route: curve.scene.memory.guess(shape_of(route, funding, 0)) for route in routes}
    sampled: dict[Route, Samples] = {route: {} for route in routes}
    bounds = _refine(curve, top, sampled, gas, _COARSE, floor)
    if len(bounds) > _FEW:
        bounds = _refine(curve, top, {route: sampled[route] for route in bounds}, gas, _FINE, floor)
    return sorted(((bound, route) for route, bound in bounds.items()), key=lambda each: each[0], reverse=True)


def _largest(curve: PairCurve, ranges: Iterable[RepayRange]) -> Outcome | None:
    outcomes = (curve.outcome(cover_of(each)) for each in ranges)
    received = [outcome for outcome in outcomes if outcome is not None and outcome.received_raw > 0]
    return max(received, key=lambda each: each.received_raw, default=None)


def _refine(
    curve: PairCurve,
    top: Outcome,
    sampled: Mapping[Route, Samples],
    gas: Mapping[Route, int],
    shares: Iterable[int],
    floor: int | None,
) -> dict[Route, int]:
    """Sample each route at more shares and return the bounds of those not beaten by another's sample."""
    bounds: dict[Route, int] = {}
    reached = [] if floor is None else [floor]
    for route, samples in sampled.items():
        samples.update((share, _profit_raw(curve, top, route, share)) for share in shares)
        seen = [profit for profit in samples.values() if profit is not None]
        if not seen:
            continue
        reached.append(curve.rank_of(max(seen), gas[route]))
        slack_raw = 1 + (top.repaid_raw >> _SLACK_SHIFT)
        bounds[route] = curve.rank_of(_bound_raw(samples) + slack_raw, gas[route])
    best = max(reached, default=0)
    return {route: bound for route, bound in bounds.items() if bound >= best}


def _profit_raw(curve: PairCurve, top: Outcome, route: Route, share: int) -> int | None:
    received_raw = mul_div_down(top.received_raw, share, _WHOLE)
    quotes = curve.scene.venues.quote(route, received_raw) if received_raw else None
    if quotes is None:
        return None
    proceeds_raw = quotes[-1].amount_out_raw if quotes else received_raw
    return proceeds_raw - mul_div_down(top.repaid_raw, received_raw, top.received_raw)


def _bound_raw(samples: Samples) -> int:
    """Return an upper bound of a concave curve that starts at (0, 0), given some of its points."""
    points = [(0, 0), *((share, profit) for share, profit in sorted(samples.items()) if profit is not None)]
    ends = [share for share, profit in sorted(samples.items()) if profit is None and share > points[-1][0]]
    best = max(profit for _, profit in points)
    for index in range(len(points) - 1):
        best = max(best, _between(points, index))
    if ends:  # the pools run dry somewhere before the next sample
        best = max(best, _beyond(points[-2], points[-1], ends[0]))
    return best


def _between(points: list[tuple[int, int]], index: int) -> int:
    here, there = points[index], points[index + 1]
    lines = []
    if index > 0:
        lines.append(_beyond(points[index - 1], here, there[0]))
    if index + 2 < len(points):
        lines.append(_beyond(points[index + 2], there, here[0]))
    return min(lines, default=max(here[1], there[1]))


def _beyond(start: tuple[int, int], end: tuple[int, int], share: int) -> int:
    """Return the highest of the line from `start` through `end` between `end` and `share`."""
    run, rise = abs(end[0] - start[0]), end[1] - start[1]
    return end[1] + max(0, mul_div_up(rise, abs(share - end[0]), run))
