"""Which routes are worth a look for an amount: single ones, and groups that together bring most.

Found on curves, by letting routes join and make way for one another while that is worth the gas of their legs; what
is best for an amount is decided later, by exact quotes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keeper.domain.swaps import Route
from keeper.domain.units import Address
from keeper.venues.crossing import Crossing, cross
from keeper.venues.curve import AMOUNT_BITS, LEVEL_BITS
from keeper.venues.flow import CurveOf, Flow, arrange, line, spread

MOST_LEGS: Final = 5
_GAIN_SHIFT: Final = 20
"""A route that can add no more than 2**-20, a millionth, need not be tried."""
_SINGLES: Final = 3
"""Of the routes with as many hops, so many are candidates on their own: those that bring most."""
_TRIALS: Final = 4
"""So many of the routes that may join others are tried."""
_GRID_BITS: Final = 3
"""Candidates are found for amounts of so many binary digits, and noughts."""
_STALE_SHIFT: Final = 6
"""Candidates found before are found anew once a pool's level has moved by 2**-6, its price by some 3 %."""
_NEAR_SHIFT: Final = 9
"""Up to 2**-9 away, some 0.4 % of the price, it is enough to see whether another route should join."""

_NOTHING: Final = -(1 << 512)

Members = tuple[int, ...]
"""Numbers of routes, ascending."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Routes worth a look around an amount: each of `singles` alone, and groups together.

    A nest is a group, then what is best left of it with one route less, and so on down to two.
    """

    singles: tuple[int, ...]
    nests: tuple[tuple[Members, ...], ...]

    def arrangements(self) -> Iterator[Members]:
        """Yield every one of them."""
        yield from ((number,) for number in self.singles)
        yield from dict.fromkeys(group for nest in self.nests for group in nest)


def _merge(one: Candidates, other: Candidates) -> Candidates:
    return Candidates(
        singles=tuple(dict.fromkeys(one.singles + other.singles)),
        nests=tuple(dict.fromkeys(one.nests + other.nests)),
    )


class Arrangements:
    """All ways to put `routes` together on unchanging pools, each made when it is asked for."""

    def __init__(self, routes: Sequence[Route], curve_of: CurveOf) -> None:
        self.routes = routes
        self.levels = {(hop.pool, hop.token_in): curve_of(hop).start_level for route in routes for hop in route}
        self.spots = [self.spot(route) for route in routes]
        self._curve_of = curve_of
        self._flows: dict[Members, Flow | Crossing | None] = {}
        self._lines: dict[tuple[Address, ...], Flow] = {}
        self._wide: Flow | None = None
        self._repeats: dict[Members, int] = {}

    def repeats(self, members: Members) -> int:
        """Return how many hops of these routes go into a pool that another has gone into."""
        known = self._repeats.get(members)
        if known is None:
            known = self._repeats[members] = count_repeats([self.routes[number] for number in members])
        return known

    def flow(self, members: Members) -> Flow | Crossing | None:
        """Return these routes as one arrangement, None when there is none."""
        if members not in self._flows:
            routes = [self.routes[number] for number in members]
            self._flows[members] = arrange(routes, self._curve_of, self._lines) or cross(routes, self._curve_of)
        return self._flows[members]

    def line(self, number: int) -> Flow:
        """Return one route."""
        return line(self.routes[number], self._curve_of, self._lines)

    def widest(self) -> Flow:
        """Return all routes that can stand side by side."""
        if self._wide is None:
            self._wide = spread(sorted(self.routes, key=self.spot, reverse=True), self._curve_of)
        return self._wide

    def out(self, members: Members, amount: int) -> int | None:
        """Return what these routes pay; None when they cannot stand together or take the amount."""
        flow = self.flow(members)
        return None if flow is None else flow.out_at(amount)

    def spot(self, route: Route, moved: Mapping[Address, int] | None = None) -> int:
        """Return the level of a route's next unit, where some pools have moved."""
        level = 1 << LEVEL_BITS
        for hop in route:
            after = None if moved is None else moved.get(hop.pool)
            level = level * (self.levels[hop.pool, hop.token_in] if after is None else after) >> LEVEL_BITS
        return level


class RouteSearch:
    """The candidates for sales whose legs cost `costs_raw`, by route, found once for each amount of a grid.

    `before` is the search on pools that have moved a little since: what it found is gone on with.
    """

    def __init__(self, ways: Arrangements, costs_raw: Sequence[int], before: RouteSearch | None = None) -> None:
        self._ways = ways
        self._costs = [cost << AMOUNT_BITS for cost in costs_raw]
        self._searched: Mapping[tuple[Address, Address], int] = ways.levels
        self._grid: dict[int, Candidates] = {}
        self._known: dict[int, Candidates] = {}
        self._hints: dict[int, Candidates] = {}
        self._is_near = False
        if before is not None:
            self._take_over(before)

    def candidates(self, amount_in_raw: int) -> Candidates:
        """Return what was found best at the next amounts of a grid below and above."""
        shift = max(0, amount_in_raw.bit_length() - _GRID_BITS)
        low = amount_in_raw >> shift << shift
        known = self._known.get(low)
        if known is None:
            high = low + (1 << shift)
            known = _merge(self.found_at(low), self.found_at(high))
            if low in self._hints and high in self._hints:
                known = self._grown(known, high << AMOUNT_BITS)
            self._known[low] = known
        return known

    def found_at(self, amount_in_raw: int) -> Candidates:
        """Return what was found best at an amount itself."""
        known = self._hints.get(amount_in_raw) or self._grid.get(amount_in_raw)
        if known is None:
            known = self._grid[amount_in_raw] = self._find(amount_in_raw << AMOUNT_BITS)
        return known

    def _take_over(self, before: RouteSearch) -> None:
        """Go on with what was found for pools that have not moved far since the search."""
        searched = before._searched
        if self._is_within(searched, _STALE_SHIFT):
            self._searched, self._hints = searched, before._hints | before._grid
            self._is_near = self._is_within(searched, _NEAR_SHIFT)

    def _is_within(self, searched: Mapping[tuple[Address, Address], int], shift: int) -> bool:
        return all(abs(level - searched[side]) <= level >> shift for side, level in self._ways.levels.items())

    def _grown(self, known: Candidates, amount: int) -> Candidates:
        """Return what was found before the pools moved with what has become worth joining since."""
        best = max(known.arrangements(), key=lambda members: self._net(members, amount))
        grown = self._grow(best, amount)
        if not self._is_near:
            grown = self._improve(grown, amount)
        if len(grown) == 1 or (grown == best and self._is_near):
            return known
        return _merge(known, Candidates((), (self._nest(grown, amount),)))

    def _find(self, amount: int) -> Candidates:
        lengths = sorted({len(route) for route in self._ways.routes})
        singles = [number for hops in lengths for number in self._singles(amount, hops)]
        alone = (max(singles, key=lambda each: self._net((each,), amount)),)
        groups = [self._improve(self._grow(alone, amount), amount)]
        if len(groups[0]) > 1:
            groups.append(self._improve(self._grow(self._together(amount), amount), amount))
        nests = [self._nest(group, amount) for group in dict.fromkeys(groups) if len(group) > 1]
        return Candidates(tuple(singles), tuple(nests))

    def _nest(self, group: Members, amount: int) -> tuple[Members, ...]:
        nest = [group]
        while len(nest[-1]) > 2:
            parts = [tuple(each for each in nest[-1] if each != leaving) for leaving in nest[-1]]
            nest.append(max(parts, key=lambda part: self._net(part, amount)))
        return tuple(nest)

    def _singles(self, amount: int, hops: int) -> list[int]:
        """Return the routes of so many hops that bring most; those of a poor first price are not looked at."""
        best: list[tuple[int, int]] = []
        numbers = [number for number, route in enumerate(self._ways.routes) if len(route) == hops]
        for number in sorted(numbers, key=lambda number: -self._ways.spots[number]):
            most = amount * self._ways.spots[number] ** 2 >> 2 * LEVEL_BITS
            if len(best) == _SINGLES and most < best[-1][0]:
                break
            out = self._ways.out((number,), amount)
            best = sorted([*best, (-1 if out is None else out, number)], key=lambda each: -each[0])[:_SINGLES]
        return [number for _, number in best]

    def _together(self, amount: int) -> Members:
        """Return the routes that carry most of `amount` when all stand side by side, as many as can stand together."""
        widest = self._ways.widest()
        parts = sorted(widest.parts(widest.curve.takes_up_to(amount)), key=lambda part: -part[1])[:MOST_LEGS]
        chosen: Members = ()
        for route, _ in parts:
            joined = _with(chosen, self._ways.routes.index(route))
            if self._ways.flow(joined) is not None:
                chosen = joined
        return chosen

    def _grow(self, chosen: Members, amount: int) -> Members:
        """Let routes join, each time the one that adds most."""
        while len(chosen) < MOST_LEGS:
            following = self._next(chosen, amount)
            if following is None:
                break
            chosen = _with(chosen, following)
        return chosen

    def _improve(self, chosen: Members, amount: int) -> Members:
        """Let each route make way for one that adds more, once."""
        for leaving in chosen if len(chosen) > 1 else ():
            kept = tuple(number for number in chosen if number != leaving)
            following = self._next(kept, amount)
            if following is not None and self._net(_with(kept, following), amount) > self._net(chosen, amount):
                chosen = _with(kept, following)
        return chosen

    def _next(self, chosen: Members, amount: int) -> int | None:
        """Return the route that adds most when the others have sold the amount; None when none is worth its gas."""
        flow = self._ways.flow(chosen)
        if flow is None:
            return None
        level = flow.level_at(amount)
        likely = self._likely(chosen, self._offers(chosen, flow, level, amount))
        if level is None:  # more must join before all can be sold
            whole = [number for number in likely if self._net(_with(chosen, number), amount) > _NOTHING]
            if not whole:
                return next(iter(likely), None)
        best = max(likely, key=lambda number: self._net(_with(chosen, number), amount), default=None)
        return None if best is None or self._net(_with(chosen, best), amount) <= self._net(chosen, amount) else best

    def _offers(self, chosen: Members, flow: Flow | Crossing, level: int | None, amount: int) -> list[int]:
        """Return the routes whose next unit brings more than those chosen still pay, in order of what they may add."""
        ways = self._ways
        moved: Mapping[Address, int] = {} if level is None else flow.levels(amount)
        least = level or 1
        trifle = (flow.out_at(amount) or 0) >> _GAIN_SHIFT
        sides = {hop.pool: hop.token_in for member in chosen for hop in ways.routes[member]}
        offers: list[tuple[int, int]] = []
        for number, spot in enumerate(ways.spots):
            if spot <= least or number in chosen or self._is_against(ways.routes[number], sides):
                continue
            offered = ways.spot(ways.routes[number], moved)
            if offered > least:
                room = ways.line(number).curve.in_at(least * spot // offered)
                # if all that fits in came at the price of the first unit
                gain = (room * (offered - least) * (offered + least) >> 2 * LEVEL_BITS) - self._costs[number]
                if gain > trifle:
                    offers.append((gain, number))
        return [number for _, number in sorted(offers, reverse=True)]

    def _likely(self, chosen: Members, offers: Sequence[int]) -> list[int]:
        """Return the first few of `offers` that can stand with the chosen; of those that cross them only one."""
        likely: list[int] = []
        may_cross = True
        for number in offers:
            flow = self._ways.flow(_with(chosen, number))
            if flow is None or (isinstance(flow, Crossing) and not may_cross):
                continue
            may_cross = may_cross and not isinstance(flow, Crossing)
            likely.append(number)
            if len(likely) == _TRIALS:
                break
        return likely

    def _net(self, members: Members, amount: int) -> int:
        """Return what is left of what these routes pay after the gas of their legs."""
        out = self._ways.out(members, amount)
        return _NOTHING if out is None else out - sum(self._costs[number] for number in members)

    @staticmethod
    def _is_against(route: Route, sides: Mapping[Address, Address]) -> bool:
        """Whether the route takes a pool the other way round."""
        return any(sides.get(hop.pool, hop.token_in) != hop.token_in for hop in route)


def count_repeats(routes: Sequence[Route]) -> int:
    """Return how many hops of routes go into a pool that an earlier hop has gone into."""
    pools = [hop.pool for route in routes for hop in route]
    return len(pools) - len(set(pools))


def _with(members: Iterable[int], number: int) -> Members:
    return tuple(sorted({*members, number}))
