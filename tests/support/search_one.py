"""The best single liquidation of an account, by brute force: a grid of amounts and splits, then unit by unit.

Nothing here is taken from the sizer: amounts are asked of the market one by one, pools are this
folder's own, and the neighbourhood of the best points of the grid is walked in ever smaller steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from support.search_pools import Route
from support.search_sale import Case, Paid, Selling, Sold, Spot, best_payment, grid_of_splits, run_legs

from keeper.domain.lending import Outcome, Refused
from keeper.domain.units import MAX_UINT256, Address
from keeper.lending.aave_v3.pairs import AavePair

AMOUNTS = 2_000
_MOST_LEGS = 5
_REFINED = 2  # points of the grid whose neighbourhood is walked, of each number of routes
_MOVES = 300
_NEAR = 0.995  # of the best guess: what else is worth a walk


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A run and what it nets. `rank` is base units times 10 ** 18 after gas."""

    rank: int
    profit_raw: int
    profit_token: Address
    steps: tuple[Outcome, ...]
    sold: tuple[Sold, ...]
    paid: Paid

    @property
    def parts(self) -> tuple[tuple[Route, int], ...]:
        """The routes and what is sold over each."""
        return tuple((leg.route, leg.amounts[0]) for leg in self.sold)


Taken = tuple[int, int, int]  # cover, repaid, received


@dataclass(frozen=True, slots=True)
class Pair:
    """One debt against one collateral, with the amounts looked at."""

    debt: Address
    collateral: Address
    taken: tuple[Taken, ...]
    spacing: int


def ask(case: Case, debt: Address, collateral: Address, cover_raw: int) -> Outcome | None:
    """What the market does with one amount; None when it refuses."""
    key = ("ask", debt, collateral, cover_raw)
    if key not in case.known:
        pair = _market_pair(case, debt, collateral)
        answer = pair if isinstance(pair, Refused) else pair.outcome(cover_raw)
        case.known[key] = None if isinstance(answer, Refused) else answer
    return case.known[key]  # type: ignore[return-value]


def _market_pair(case: Case, debt: Address, collateral: Address) -> AavePair | Refused:
    key = ("market pair", debt, collateral)
    if key not in case.known:
        case.known[key] = case.view.pair(case.account, debt, collateral, case.at_s)
    return case.known[key]  # type: ignore[return-value]


def owed_raw(case: Case, debt: Address) -> int:
    """No less than what the account owes of a token at the instant of the case."""
    reserve = case.view._reserve(debt)
    scaled = next((amount for id_, amount in case.view.positions[case.account].debts if id_ == reserve.id), 0)
    elapsed_s = max(0, case.at_s - reserve.updated_s)
    growth = 1 + 2 * reserve.debt_rate_ray * elapsed_s // (365 * 86_400) // 10**18
    return scaled * reserve.debt_index_ray * (10**9 + growth) // 10**27 // 10**9 + 2


def accepted(case: Case, debt: Address, collateral: Address, count: int = AMOUNTS) -> Pair:
    """`count` amounts and more, the borders between yes and no, and asking for everything."""
    market = _market_pair(case, debt, collateral)
    if isinstance(market, Refused):
        return Pair(debt, collateral, (), 1)
    bound = owed_raw(case, debt)
    probes = [market.taken(cover) for cover in _spread(bound, 128)]
    largest = max((one[0] for one in probes if one is not None), default=0)
    covers = _spread(min(bound, largest + bound // 64), count) if largest else []
    grid = {cover: market.taken(cover) for cover in covers}
    for low, high in pairwise(covers):
        if (grid[low] is None) != (grid[high] is None):
            for cover in _border(market, (low, high), low_is_in=grid[low] is not None):
                grid[cover] = market.taken(cover)
    kept = [(cover, *one) for cover, one in sorted(grid.items()) if one is not None and one[0] == cover]
    everything = market.taken(MAX_UINT256)
    if everything is not None:
        kept.append((MAX_UINT256, *everything))
    return Pair(debt, collateral, tuple(kept), max(1, largest // count))


def _spread(bound: int, count: int) -> list[int]:
    """`count` amounts evenly over [1, bound], and as many again as it takes to halve down to one."""
    even = {1 + (bound - 1) * n // (count - 1) for n in range(count)}
    return sorted(even | {bound >> shift for shift in range(1, 40) if bound >> shift})


def _border(market: AavePair, between: tuple[int, int], *, low_is_in: bool) -> tuple[int, int]:
    low, high = between
    while high - low > 1:
        middle = (low + high) // 2
        if (market.taken(middle) is not None) == low_is_in:
            low = middle
        else:
            high = middle
    return low, high


Start = tuple[float, Pair, Spot]


def search_one(case: Case, count: int = AMOUNTS) -> Found | None:
    """The best single liquidation of the account; None where none is possible at all."""
    starts: list[Start] = []
    found: list[Found] = []
    for debt, collateral in case.view.pairs(case.account):
        pair = accepted(case, debt, collateral, count)
        if not pair.taken:
            continue
        if debt == collateral:
            found += _same_asset(case, pair)
            continue
        starts += [(to_base(case, debt, spot.value), pair, spot) for spot in guesses(case, pair)]
    for _, pair, spot in _worth_a_walk(case, starts):
        one = refine(case, pair, spot)
        if one is not None:
            found.append(one)
    if found:
        found.sort(key=lambda one: one.rank, reverse=True)
        found += [vary_legs(case, one) for one in found[:1] if one.sold]
    return max(found, key=lambda one: one.rank, default=None)


def _same_asset(case: Case, pair: Pair) -> list[Found]:
    """Nothing is sold: whatever leaves most is best."""
    best = sorted(pair.taken, key=lambda one: one[2] - one[1], reverse=True)[:5]
    outcomes = [ask(case, pair.debt, pair.collateral, cover) for cover, _, _ in best]
    return [one for outcome in outcomes if outcome is not None and (one := value(case, outcome, ())) is not None]


def _worth_a_walk(case: Case, starts: Sequence[Start]) -> list[Start]:
    """The best guesses of each number of routes: the guess knows neither premiums nor shared pools' gas."""
    ranked = sorted(starts, key=lambda start: start[0], reverse=True)
    if not ranked:
        return []
    slack = (1 - _NEAR) * abs(ranked[0][0]) + 100_000 * case.gas_unit / 10**18
    near = [start for start in ranked if start[0] >= ranked[0][0] - slack]
    chosen: list[Start] = []
    for legs in (1, 2, 3):
        chosen += [start for start in near if len(start[2].weights) == legs][:_REFINED]
    return chosen


def to_base(case: Case, token: Address, raw: float) -> float:
    """Raw units in base units, as a float."""
    return float(raw * (case.view.price_base(token) or 0) / 10 ** case.view.decimals(token))


def guesses(case: Case, pair: Pair) -> list[Spot]:
    """The best points of the grid, after premium and gas in debt token."""
    selling = Selling(case, pair.collateral, pair.debt)
    if not selling.routes:
        return []
    repaid = np.array([float(one[1]) for one in pair.taken])
    received = np.array([float(one[2]) for one in pair.taken])
    raw_per_gas = case.gas_unit / 10**18 / to_base(case, pair.debt, 1.0)
    leg_cost = {
        route: sum(70_000 if hop.venue == "uniswap-v3" else 50_000 for hop in route) * raw_per_gas
        for route in selling.routes
    }
    spots = grid_of_splits(selling, received, repaid + 300_000 * raw_per_gas, leg_cost)
    kept = [[spot for spot in spots if len(spot.weights) == legs][: 2 * _REFINED] for legs in (1, 2, 3)]
    return [spot for some in kept for spot in some if np.isfinite(spot.value)]


def value(case: Case, outcome: Outcome, parts: Sequence[tuple[Route, int]]) -> Found | None:
    """What one liquidation nets with its sale split so; the last part sells the rest. None where it cannot be."""
    legs = list(parts)
    if legs:
        rest = outcome.received_raw - sum(amount for _, amount in legs[:-1])
        legs[-1] = legs[-1][0], rest
        if min(amount for _, amount in legs) <= 0:
            return None
    ran = run_legs(case.own(), legs)
    if ran is None:
        return None
    paid = best_payment(case, [outcome], ran[0], outcome.call.debt)
    if paid is None:
        return None
    return Found(
        rank=paid[0],
        profit_raw=paid[2],
        profit_token=outcome.call.debt,
        steps=(outcome,),
        sold=tuple(ran[0]),
        paid=paid[1],
    )


def in_order(weights: Sequence[tuple[Route, float]]) -> list[tuple[Route, float]]:
    """Large parts first, those that end in a pool of ranges before the others: such a pool can lend its proceeds."""
    return sorted(weights, key=lambda each: (each[0][-1].venue == "uniswap-v3", each[1]), reverse=True)


def refine(case: Case, pair: Pair, spot: Spot) -> Found | None:
    """Walk uphill from a point of the grid, in steps that shrink to one unit."""
    outcome = ask(case, pair.debt, pair.collateral, pair.taken[spot.index][0])
    assert outcome is not None
    parts = [(route, int(outcome.received_raw * weight)) for route, weight in in_order(spot.weights)]
    start = value(case, outcome, parts)
    return None if start is None else climb(case, start, pair.spacing)


def climb(case: Case, start: Found, spacing: int) -> Found:
    """The best that can be reached from `start` by changing the amount or moving what is sold between two parts."""
    best, step, shift = start, spacing, max(1, start.steps[0].received_raw // 20)
    for _ in range(_MOVES):
        if not (step or shift):
            break
        better = max(_around(case, best, step, shift), key=lambda one: one.rank, default=best)
        if better.rank > best.rank:
            best, step, shift = better, 2 * step, 2 * shift
        else:
            step, shift = step // 4, shift // 4
    return best


def _around(case: Case, best: Found, step: int, shift: int) -> Iterator[Found]:
    outcome = best.steps[0]
    call = outcome.call
    if step and call.cover_raw != MAX_UINT256:
        for cover in (call.cover_raw - step, call.cover_raw + step):
            other = ask(case, call.debt, call.collateral, cover) if cover > 0 else None
            if other is not None and other.repaid_raw == cover:
                scaled = [(r, amount * other.received_raw // outcome.received_raw) for r, amount in best.parts]
                for parts in (best.parts, scaled):
                    yield from _if_any(value(case, other, parts))
    if shift:
        for giver in range(len(best.parts)):
            for taker in range(len(best.parts)):
                if giver != taker:
                    parts = list(best.parts)
                    parts[giver] = parts[giver][0], parts[giver][1] - shift
                    parts[taker] = parts[taker][0], parts[taker][1] + shift
                    if parts[giver][1] > 0:
                        yield from _if_any(value(case, outcome, parts))


def _if_any(one: Found | None) -> Iterator[Found]:
    if one is not None:
        yield one


def vary_legs(case: Case, best: Found) -> Found:
    """Add a route, leave one out, or put another in its place, as long as that helps."""
    while True:
        tried = [climb(case, start, max(1, start.steps[0].repaid_raw // 50)) for start in _promising(case, best)]
        better = max(tried, key=lambda one: one.rank, default=best)
        if better.rank <= best.rank:
            return best
        best = better


def _promising(case: Case, best: Found) -> list[Found]:
    """The few best of all changes of one leg, before they are walked."""
    outcome = best.steps[0]
    routes = case.routes(outcome.call.collateral, outcome.call.debt)
    changed: list[list[tuple[Route, float]]] = []
    parts = [(route, float(amount)) for route, amount in best.parts]
    for route in routes:
        if any(route == other for other, _ in parts):
            continue
        if len(parts) < _MOST_LEGS:
            changed += [
                [*((r, a * (1 - share)) for r, a in parts), (route, share * outcome.received_raw)]
                for share in (0.02, 0.1, 0.3)
            ]
        changed += [[*parts[:n], (route, parts[n][1]), *parts[n + 1 :]] for n in range(len(parts))]
    changed += [[*parts[:n], *parts[n + 1 :]] for n in range(len(parts)) if len(parts) > 1]
    orders = [[(route, int(amount)) for route, amount in in_order(one)] for one in changed]
    orders += [other for order in [list(best.parts), *orders] for other in _lending(best, order)]
    found = [one for order in orders if (one := value(case, outcome, order)) is not None]
    found.sort(key=lambda one: one.rank, reverse=True)
    return found[:2]


def _lending(best: Found, order: Sequence[tuple[Route, int]]) -> Iterator[list[tuple[Route, int]]]:
    """The split changed so that one leg, ending in a pool of ranges, is just large enough to lend what is repaid."""
    outcome = best.steps[0]
    for leg in best.sold:
        others = [(route, amount) for route, amount in order if route != leg.route]
        if leg.route[-1].venue != "uniswap-v3" or not others or len(others) == len(order):
            continue
        for room in (1_001, 1_010):
            enough = leg.amounts[0] * outcome.repaid_raw * room // (leg.amounts[-1] * 1_000)
            rest, spread = outcome.received_raw - enough, sum(amount for _, amount in others)
            if rest > 0:
                scaled = [(route, amount * rest // spread) for route, amount in others]
                yield [(leg.route, enough), *(part for part in scaled if part[1] > 0)]
