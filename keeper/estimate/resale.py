"""The sale of one run moved about leg by leg, on exact quotes of all of it: too dear for each run that is looked at.

Curves divide each sale as if it were alone. Where sales meet in a pool, or what is seized pays several
debts, what is best for one depends on the others; and a leg through a pool that the run has used
already costs less gas than one alone. Here every change is judged by what the whole run then nets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

from keeper.domain.fixed_point import mul_div_down
from keeper.domain.swaps import Route
from keeper.domain.units import Address
from keeper.estimate.flows import Division
from keeper.estimate.scene import Choice, Scene
from keeper.estimate.selling import Parts, after
from keeper.ports import VenueView

BUDGET: Final = 900
"""So many sales are tried for an account, so that none keeps the others waiting."""
_MOST_IMPROVED: Final = 5
_FEW_LEGS: Final = 4
_MOST_LEGS: Final = 5
_COARSE: Final = (4, 6)
_FINE: Final = (7, 7, 10)
_FARTHEST: Final = 16
_SLIGHT_SHIFT: Final = 17
_REACH: Final = 4
_NEW_SHIFTS: Final = (3, 6)
_LIKELY: Final = 3
_SETTLED: Final = 3
_NEAR_SHIFT: Final = 8
_CLOSE_SHIFT: Final = 12

Side = tuple[Address, Address]
"""(sold, bought)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """How a run sells: what for what, and each sale's routes in order with their weights."""

    division: Division
    sales: dict[Side, Parts]


Realise = Callable[[Pattern], Choice | None]
"""What a run nets with this sale; None where it cannot be run."""

Best = tuple[Choice, Pattern]


def pattern_of(choice: Choice, division: Division) -> Pattern:
    """Return how a choice sells."""
    sales: dict[Side, Parts] = {}
    for leg in choice.legs:
        side = (leg.token_in, leg.token_out)
        sales[side] = (*sales.get(side, ()), (leg.route, leg.amount_in_raw))
    flows = {side: sum(raw for _, raw in parts) for side, parts in sales.items()}
    return Pattern(division=replace(division, flows=flows), sales=sales)


def resell(scene: Scene, starts: Sequence[Best], realise: Realise, tries: Iterator[int]) -> Choice:
    """Return the best that is found by moving amounts between legs, and adding, dropping or replacing legs.

    `starts` is the same run sold in different ways, at least one; the most promising are gone on with.
    Each sale tried takes one of `tries`; without any left the best so far is returned.
    """

    def attempt(pattern: Pattern) -> Choice | None:
        return None if next(tries, None) is None else realise(pattern)

    climbed = sorted((_climb(start, attempt, _COARSE) for start in starts), key=_rank_of, reverse=True)
    best = max((_improved(scene, start, attempt) for start in climbed[:_MOST_IMPROVED]), key=_rank_of)
    return _climb(best, attempt, _FINE)[0]


def _improved(scene: Scene, best: Best, realise: Realise) -> Best:
    while True:
        firsts = _varied(scene, best, realise)
        better = _first_better(firsts, best, realise)
        if better is None and _count_legs(best[1]) <= _FEW_LEGS:  # perhaps two changes at once
            seconds = [each for first in firsts[:_SETTLED] for each in _varied(scene, first, realise)]
            better = _first_better(seconds, best, realise)
        if better is None:
            return best
        best = better


def _varied(scene: Scene, best: Best, realise: Realise) -> list[Best]:
    """Return what changes of one leg come to, the best first, but those that lose too much."""
    least = best[0].rank - (abs(best[0].rank) >> _NEAR_SHIFT)
    tried = [(one, pattern) for pattern in _variants(scene, *best) if (one := realise(pattern)) is not None]
    return sorted((each for each in tried if each[0].rank > least), key=_rank_of, reverse=True)


def _first_better(starts: Sequence[Best], best: Best, realise: Realise) -> Best | None:
    """Return the first run that is better than `best` once its amounts have followed, of the most promising.

    Some that add no leg are tried in any case: they lose at first, until the other legs have followed.
    """
    ranked, legs = sorted(starts, key=_rank_of, reverse=True), _count_legs(best[1])
    no_more = [each for each in ranked if _count_legs(each[1]) <= legs]
    for start in {id(each): each for each in (*ranked[:_SETTLED], *no_more[:_SETTLED])}.values():
        climbed = _climb(start, realise, _COARSE[:1])
        if climbed[0].rank > best[0].rank - (abs(best[0].rank) >> _CLOSE_SHIFT):
            climbed = _climb(climbed, realise, _COARSE[1:])
        if climbed[0].rank > best[0].rank + (abs(best[0].rank) >> _SLIGHT_SHIFT):
            return climbed
    return None


def _rank_of(each: Best) -> int:
    return each[0].rank


def _count_legs(pattern: Pattern) -> int:
    return sum(map(len, pattern.sales.values()))


def _climb(best: Best, realise: Realise, shifts: Sequence[int]) -> Best:
    """Move one amount after another, in steps that shrink, and all of them on in the direction they went."""
    for shift in shifts:
        before = best[1]
        for what in list(_movable(before)):
            if what in _movable(best[1]):  # a leg may have become nothing
                best = _move(best, realise, what, shift)
        best = _leap(best, before, realise)
    return best


def _movable(pattern: Pattern) -> Iterator[tuple[Side, int]]:
    """Yield what may be moved: each leg of a sale of several; -1 stands for the whole of a sale for another debt."""
    last = {bought: side for side in pattern.sales for bought in side[1:]}
    for side, parts in pattern.sales.items():
        if len(parts) > 1:
            yield from ((side, number) for number in range(len(parts)))
        if side[1] != pattern.division.token and last[side[1]] != side:
            yield side, -1


def _leap(best: Best, before: Pattern, realise: Realise) -> Best:
    """Return the better of a run and of what moving on as far again, and farther, leads to."""
    start, reach = best[1], 1
    while best[1] is not before and reach <= _FARTHEST:
        further = _extrapolated(start, before, reach)
        one = None if further is None else realise(further)
        if one is None or further is None or one.rank <= best[0].rank:
            break
        best = one, pattern_of(one, further.division)
        reach *= 2
    return best


def _extrapolated(pattern: Pattern, before: Pattern, reach: int) -> Pattern | None:
    sales: dict[Side, Parts] = {}
    for side, parts in pattern.sales.items():
        was = dict(before.sales.get(side, ()))
        sales[side] = tuple((route, raw + reach * (raw - was.get(route, raw))) for route, raw in parts)
    if any(raw <= 0 for parts in sales.values() for _, raw in parts):
        return None
    flows = {side: sum(raw for _, raw in parts) for side, parts in sales.items()}
    return Pattern(division=replace(pattern.division, flows=flows), sales=sales)


def _move(best: Best, realise: Realise, what: tuple[Side, int], shift: int) -> Best:
    """Return the best of one amount as it is, a little more, a little less, and where a parabola through them tops."""
    (choice, start), step_raw = best, max(1, _amount(best[1], what) >> shift)
    tried: list[Best] = [best]

    def rank_of(by_raw: int) -> int | None:
        pattern = _changed(start, what, by_raw)
        one = None if pattern is None else realise(pattern)
        if one is not None and pattern is not None:
            tried.append((one, pattern_of(one, pattern.division)))
        return None if one is None else one.rank

    more, less = rank_of(step_raw), rank_of(-step_raw)
    bend = 0 if more is None or less is None else 2 * choice.rank - more - less
    if more is not None and less is not None and bend > 0:
        top_raw = min(mul_div_down(step_raw, abs(more - less), 2 * bend), _REACH * step_raw)
        rank_of(top_raw if more > less else -top_raw)
    return max(tried, key=_rank_of)


def _amount(pattern: Pattern, what: tuple[Side, int]) -> int:
    side, number = what
    return pattern.division.flows[side] if number < 0 else pattern.sales[side][number][1]


def _changed(pattern: Pattern, what: tuple[Side, int], by_raw: int) -> Pattern | None:
    side, number = what
    amount_raw = _amount(pattern, what) + by_raw
    if amount_raw <= 0 or not by_raw:
        return None
    if number < 0:
        flows = {**pattern.division.flows, side: amount_raw}
        return replace(pattern, division=replace(pattern.division, flows=flows))
    parts = pattern.sales[side]
    changed = (*parts[:number], (parts[number][0], amount_raw), *parts[number + 1 :])
    return replace(pattern, sales={**pattern.sales, side: changed})


def _variants(scene: Scene, choice: Choice, pattern: Pattern) -> Iterator[Pattern]:
    """Yield the pattern with one leg more, one less, or one along another route."""
    moved = after(scene.venues, choice.legs)
    for side, parts in pattern.sales.items():
        changed = [(*parts[:n], *parts[n + 1 :]) for n in range(len(parts)) if len(parts) > 1]
        changed += _crossed(parts)
        whole_raw = sum(raw for _, raw in parts)
        for route in _likely_routes(scene, moved, side, parts):
            changed += [(*parts[:n], (route, raw), *parts[n + 1 :]) for n, (_, raw) in enumerate(parts)]
            if len(parts) < _MOST_LEGS:
                changed += [(*parts, (route, max(1, whole_raw >> shift))) for shift in _NEW_SHIFTS]
        for each in changed:
            yield replace(pattern, sales={**pattern.sales, side: each})
    yield from _handed_over(scene, choice, pattern)


def _handed_over(scene: Scene, choice: Choice, pattern: Pattern) -> Iterator[Pattern]:
    """Yield the pattern with a leg less in one sale, whose first or last pool another sale uses instead."""
    for leg in choice.legs:
        side = (leg.token_in, leg.token_out)
        rest = tuple(part for part in pattern.sales[side] if part[0] != leg.route)
        for other, parts in pattern.sales.items() if rest else ():
            end = 0 if other[0] == side[0] else -1 if other[1] == side[1] else None
            if other == side or end is None or len(parts) >= _MOST_LEGS:
                continue
            amount_raw = leg.amount_in_raw if end == 0 else _to_bring(choice, other, leg.amount_out_raw)
            used = {route for route, _ in parts}
            routes = [
                route
                for route in scene.venues.routes(*other)
                if route[end].pool == leg.route[end].pool and route not in used
            ]
            for route in _best_routes(scene, scene.venues, routes, amount_raw, 1):
                yield replace(pattern, sales={**pattern.sales, side: rest, other: (*parts, (route, amount_raw))})


def _to_bring(choice: Choice, side: Side, out_raw: int) -> int:
    """Return about what a sale has to sell more to bring so much."""
    legs = [leg for leg in choice.legs if (leg.token_in, leg.token_out) == side]
    whole_raw, brought_raw = sum(leg.amount_in_raw for leg in legs), sum(leg.amount_out_raw for leg in legs)
    return max(1, mul_div_down(whole_raw, out_raw, max(brought_raw, 1)))


def _crossed(parts: Parts) -> Iterator[Parts]:
    """Yield the same sale with two legs that meet in a token going on along each other's way from there."""
    for (one, (first, raw)), (other, (second, more_raw)) in combinations(enumerate(parts), 2):
        for cut, hop in enumerate(first[:-1], start=1):
            if len(second) > cut and second[cut - 1].token_out == hop.token_out:
                crossed = list(parts)
                crossed[one] = (first[:cut] + second[cut:], raw)
                crossed[other] = (second[:cut] + first[cut:], more_raw)
                if not {route for route, _ in crossed} <= {route for route, _ in parts}:
                    yield tuple(crossed)


def _likely_routes(scene: Scene, moved: VenueView, side: Side, parts: Parts) -> list[Route]:
    """Return the routes not used yet that bring most: a little on the pools as the run leaves them, or all of it."""
    used = {route for route, _ in parts}
    routes = [route for route in scene.venues.routes(*side) if route not in used]
    whole_raw = sum(raw for _, raw in parts)
    found = _best_routes(scene, moved, routes, whole_raw >> _NEW_SHIFTS[-1], _LIKELY)
    return list(dict.fromkeys([*found, *_best_routes(scene, scene.venues, routes, whole_raw, _LIKELY)]))


def _best_routes(scene: Scene, venues: VenueView, routes: Sequence[Route], amount_raw: int, count: int) -> list[Route]:
    """Return the routes that bring most of an amount after gas."""
    if not routes:
        return []
    cost_raw = scene.leg_cost_raw(routes[0][-1].token_out)
    quoted = [(venues.quote(route, amount_raw), route) for route in routes]
    brought = [(quotes[-1].amount_out_raw - cost_raw(route), route) for quotes, route in quoted if quotes]
    return [route for _, route in sorted(brought, key=lambda each: each[0], reverse=True)[:count]]
