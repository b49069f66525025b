"""The sale of a token that brings most after gas: which routes, and how much by each.

A sale of an amount is a look at what each candidate's curve promises, and an exact quote of those that may be best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isqrt
from typing import Final

from keeper.domain.fixed_point import mul_div_up
from keeper.domain.swaps import Route, Sale
from keeper.domain.units import Address
from keeper.venues.candidates import MOST_LEGS, Arrangements, Members, RouteSearch, count_repeats
from keeper.venues.crossing import Crossing
from keeper.venues.curve import AMOUNT_BITS, LEVEL_BITS, Curve
from keeper.venues.flow import CurveOf, Flow

_NEAR_OUT_SHIFT: Final = 13
_MOST_PEAKS: Final = 6
_PEAK_TRIES: Final = 3
_NEAR_PEAK_SHIFT: Final = 2
_SLACK_SHIFT: Final = 50
"""What the rounding of curves may hide of an amount: far more than it does."""
_HALF: Final = 1 << AMOUNT_BITS - 1

LegCost = Callable[[Route], int]
Division = list[tuple[Route, int]]
"""Routes and the raw amounts they sell, in order."""


class PairSales:
    """Sales of one token for another on unchanging pools.

    `before` are the sales of the same routes on pools that have moved a little since.
    """

    def __init__(self, routes: Sequence[Route], curve_of: CurveOf, before: PairSales | None = None) -> None:
        self.routes = routes
        self.pools: frozenset[Address] = (
            frozenset(hop.pool for route in routes for hop in route) if before is None else before.pools
        )
        self.searches: dict[int, RouteSearch] = {}
        self._before: Mapping[int, RouteSearch] = {} if before is None else before.searches
        self._ways = Arrangements(routes, curve_of)
        self._guide: dict[int, tuple[Curve, ...]] = {}

    def best(
        self,
        amount_in_raw: int,
        leg_cost_raw: LegCost,
        rebate_raw: int,
        quote: Callable[[Division], Sale | None],
    ) -> Sale | None:
        """Return the exact best sale among the candidates, as `quote` finds it; None when none takes the amount.

        Each use of a pool that an earlier leg has used costs `rebate_raw` less.
        """
        if not self.routes:
            return None
        choice = _Choice(self._ways, amount_in_raw, leg_cost_raw, rebate_raw, quote)
        found = self._search(leg_cost_raw).candidates(amount_in_raw)
        choice.try_each((number,) for number in found.singles)
        choice.try_nests(found.nests)
        return choice.best

    def promise(self, amount_in_raw: int) -> int:
        """Return about the most that an amount, or as much of it as is taken, brings before gas."""
        if not self.routes or amount_in_raw <= 0:
            return 0
        amount = amount_in_raw << AMOUNT_BITS
        outs = [curve.out_at(curve.takes_up_to(amount)) or 0 for curve in self._guides(amount_in_raw)]
        return (max(outs) >> AMOUNT_BITS) + 1

    def asks(self, amount_out_raw: int) -> int | None:
        """Return about how much has to be sold to bring an amount, None when all that is taken brings less."""
        if not self.routes or amount_out_raw <= 0:
            return None if amount_out_raw > 0 else 0
        out = amount_out_raw << AMOUNT_BITS
        least: int | None = None
        amount_in_raw = self._ways.widest().curve.in_for(out) >> AMOUNT_BITS
        for curve in self._guides(amount_in_raw):
            amount = curve.in_for(out)
            brought = curve.out_at(amount) or 0
            if brought + (brought >> _NEAR_OUT_SHIFT) >= out and (least is None or amount < least):
                least = amount
        return None if least is None else (least >> AMOUNT_BITS) + 1

    def peaks(self, price: tuple[int, int], leg_cost_raw: LegCost) -> tuple[int, ...]:
        """Return the amounts at which sales down to `price` (out, in) gain most after gas, the best gain first."""
        level = max(1, isqrt((price[0] << 2 * LEVEL_BITS) // price[1]))
        around_raw = self._ways.widest().curve.in_at(level) >> AMOUNT_BITS if self.routes else 0
        gains: dict[int, int] = {}
        for _ in range(_PEAK_TRIES):
            if not around_raw:
                break
            gains |= self._gains(around_raw, level, price, leg_cost_raw)
            best_raw = max(gains, key=lambda amount_raw: gains[amount_raw], default=0)
            if best_raw <= around_raw + (around_raw >> _NEAR_PEAK_SHIFT):
                break
            around_raw = best_raw
        ranked = sorted((gain, amount_raw) for amount_raw, gain in gains.items() if gain > 0)
        return tuple(amount_raw for _, amount_raw in reversed(ranked[-_MOST_PEAKS:]))

    def _gains(self, around_raw: int, level: int, price: tuple[int, int], leg_cost_raw: LegCost) -> dict[int, int]:
        """Return what each arrangement found around an amount gains when it sells until its level is `level`."""
        gains: dict[int, int] = {}
        for members in self._search(leg_cost_raw).candidates(around_raw).arrangements():
            flow = self._ways.flow(members)
            if flow is None:
                continue
            # what crosses has no curve of its own; all routes together take about as much
            amount = around_raw << AMOUNT_BITS if isinstance(flow, Crossing) else flow.curve.in_at(level)
            gas = sum(leg_cost_raw(self.routes[number]) for number in members)
            gain = (flow.out_at(amount) or 0) - mul_div_up(amount, *price) - (gas << AMOUNT_BITS)
            amount_raw = amount >> AMOUNT_BITS
            gains[amount_raw] = max(gain, gains.get(amount_raw, 0))
        return gains

    def _guides(self, amount_in_raw: int) -> tuple[Curve, ...]:
        """Return curves of which one brings most for amounts like this: all routes side by side, the best few."""
        octave = amount_in_raw.bit_length()
        known = self._guide.get(octave)
        if known is None:
            search = next(reversed(self.searches.values()), None) or self._search(_no_cost_raw)
            amount = 1 << octave << AMOUNT_BITS
            flows = [self._ways.flow(members) for members in search.found_at(1 << octave).arrangements()]
            curves = [flow.curve for flow in flows if flow is not None and not isinstance(flow, Crossing)]
            best = max(curves, key=lambda curve: curve.out_at(curve.takes_up_to(amount)) or 0, default=None)
            wide = self._ways.widest().curve
            known = self._guide[octave] = (wide,) if best is None or best is wide else (wide, best)
        return known

    def _search(self, leg_cost_raw: LegCost) -> RouteSearch:
        """Return the search among legs that cost about so much."""
        size = leg_cost_raw(self.routes[0]).bit_length()
        known = self.searches.get(size)
        if known is None:
            costs_raw = [leg_cost_raw(route) for route in self.routes]
            known = self.searches[size] = RouteSearch(self._ways, costs_raw, self._before.get(size))
        return known


def _no_cost_raw(_: Route) -> int:
    return 0


class _Choice:
    """The best sale of one amount so far."""

    def __init__(
        self,
        ways: Arrangements,
        amount_in_raw: int,
        leg_cost_raw: LegCost,
        rebate_raw: int,
        quote: Callable[[Division], Sale | None],
    ) -> None:
        self.best: Sale | None = None
        self._best_net = 0
        self._ways = ways
        self._amount_in_raw = amount_in_raw
        self._leg_cost_raw = leg_cost_raw
        self._rebate_raw = rebate_raw
        self._quote = quote
        self._costs: dict[int, int] = {}

    def try_each(self, candidates: Iterable[Members]) -> None:
        """Quote exactly what may be better than the best, in order of what the curves promise."""
        promises = [(self._promise(members) - self._gas(members), members) for members in candidates]
        for promised, members in sorted(promises, key=lambda each: -each[0]):
            if self.best is not None and promised <= self._best_net:
                break
            self._consider(members)

    def try_nests(self, nests: Iterable[Sequence[Members]]) -> None:
        """Try the groups that may be better: what is left of a group brings no more, but costs less gas."""
        worth: list[Members] = []
        for nest in nests:
            most = self._promise(nest[0])
            worth += (group for group in nest if self.best is None or most - self._gas(group) > self._best_net)
        self.try_each(dict.fromkeys(worth))

    def _promise(self, members: Members) -> int:
        """Return what the arrangement may bring at most, 0 for nothing."""
        flow = self._ways.flow(members)
        out = None if flow is None else flow.out_at(self._amount_in_raw << AMOUNT_BITS)
        return 0 if out is None else (out + (out >> _SLACK_SHIFT) >> AMOUNT_BITS) + 1

    def _gas(self, members: Members) -> int:
        for number in members:
            if number not in self._costs:
                self._costs[number] = self._leg_cost_raw(self._ways.routes[number])
        repeats = self._ways.repeats(members) if len(members) > 1 else 0
        return sum(self._costs[number] for number in members) - repeats * self._rebate_raw

    def _consider(self, members: Members) -> None:
        flow = self._ways.flow(members)
        if flow is None or flow.out_at(self._amount_in_raw << AMOUNT_BITS) is None:
            return
        division = _divide(flow, self._amount_in_raw)
        self._try(division)
        if len(division) > len(members):  # more legs than routes, so that each pool takes just what is best for it
            self._try(_paired(division, [self._ways.routes[number] for number in members]))

    def _try(self, division: Division) -> None:
        sale = self._quote(division)
        if sale is None:
            return
        routes = [route for route, _ in division]
        gas = sum(map(self._leg_cost_raw, routes)) - self._rebate_raw * count_repeats(routes)
        net = sum(leg.amount_out_raw for leg in sale) - gas
        if self.best is None or net > self._best_net:
            self.best, self._best_net = sale, net


def _paired(division: Division, routes: Sequence[Route]) -> Division:
    """Return what is sold into each first pool led along the one of `routes` that begins there."""
    sold: dict[Address, int] = {}
    for route, part in division:
        sold[route[0].pool] = sold.get(route[0].pool, 0) + part
    paired = [(route, sold.pop(route[0].pool, 0)) for route in routes]
    return [(route, part) for route, part in paired if part]


def _divide(flow: Flow | Crossing, amount_in_raw: int) -> Division:
    """Return whole units for each route; what rounding leaves goes with the largest."""
    parts = [(route, part + _HALF >> AMOUNT_BITS) for route, part in flow.parts(amount_in_raw << AMOUNT_BITS)]
    rest = amount_in_raw - sum(part for _, part in parts)
    while len(parts) > MOST_LEGS:
        smallest = min(range(len(parts)), key=lambda index: parts[index][1])
        route, part = parts.pop(smallest)
        _add(parts, max(range(len(parts)), key=lambda index: (parts[index][0][0] == route[0], parts[index][1])), part)
    _add(parts, max(range(len(parts)), key=lambda index: parts[index][1]), rest)
    return [(route, part) for route, part in parts if part > 0]


def _add(parts: Division, index: int, amount_raw: int) -> None:
    parts[index] = (parts[index][0], parts[index][1] + amount_raw)
