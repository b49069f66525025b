"""What selling seized collateral brings, and what a run nets: exactly for one split, as a guess for a grid of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product

import numpy as np
from support.search_pools import Floats, Pools, Route, find_routes, own_pools

from keeper.domain.lending import Outcome
from keeper.domain.plans import Funding
from keeper.domain.units import MAX_UINT256, Address
from keeper.estimate.gas import GasMemory, shape_of
from keeper.lending.aave_v3.view import AaveV3View
from keeper.venues.pools import Pool as KeeperPool

SPLITS = 21  # parts of a sale over two routes: 0 %, 5 %, ... 100 %
_ROOM = 20_000  # what asking for everything borrows beyond the expected: one part in so many, and one unit
_WIDE = 7  # the routes among which splits in two are tried
_NARROW = 5  # those among which splits in three are


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One account at one instant, the pools to sell into, and what a unit of gas costs."""

    name: str
    view: AaveV3View
    at_s: int
    account: Address
    pools: Mapping[Address, KeeperPool]
    native: Address
    wei_per_gas: int
    memory: GasMemory = field(default_factory=GasMemory)
    balances: Mapping[Address, int] = field(default_factory=dict)
    lender: Address | None = None  # who lends for nothing, and what it has
    lendable: Mapping[Address, int] = field(default_factory=dict)
    known: dict[object, object] = field(default_factory=dict, repr=False)

    @property
    def gas_unit(self) -> int:
        """The cost of one unit of gas, as a rank."""
        return self.wei_per_gas * (self.view.price_base(self.native) or 0)

    def rank(self, profit_raw: int, token: Address, gas_units: int) -> int:
        """Net profit in base units times 10 ** 18, without rounding."""
        scale = 10 ** (18 - self.view.decimals(token))
        return profit_raw * (self.view.price_base(token) or 0) * scale - gas_units * self.gas_unit

    def own(self) -> Pools:
        """The pools in the searches' own arithmetic."""
        return self._keep("pools", lambda: own_pools(self.pools.values()))  # type: ignore[no-any-return]

    def routes(self, token_in: Address, token_out: Address) -> list[Route]:
        """All routes of up to three hops."""
        return self._keep((token_in, token_out), lambda: find_routes(self.pools.values(), token_in, token_out))  # type: ignore[no-any-return]

    def _keep(self, key: object, make):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        if key not in self.known:
            self.known[key] = make()
        return self.known[key]


@dataclass(frozen=True, slots=True)
class Sold:
    """One leg as it ran: the amounts before and after each hop."""

    route: Route
    amounts: tuple[int, ...]


def run_legs(pools: Pools, legs: Sequence[tuple[Route, int]]) -> tuple[list[Sold], Pools] | None:
    """Run the legs in order, exactly; None where a pool cannot take its amount."""
    moved = dict(pools)
    sold = []
    for route, amount in legs:
        amounts = [amount]
        for hop in route:
            answer = moved[hop.pool].exact(hop.token_in, amounts[-1])
            if answer is None:
                return None
            amounts.append(answer[0])
            moved[hop.pool] = answer[1]
        sold.append(Sold(route, tuple(amounts)))
    return sold, moved


@dataclass(frozen=True, slots=True)
class Paid:
    """How the debt tokens are had: a source for each, with the amount and the premium."""

    funds: tuple[tuple[Address, Funding, int, int], ...]


def needs_of(steps: Sequence[Outcome]) -> dict[Address, int]:
    """What must be at hand of each debt token, in the order of first use."""
    needs: dict[Address, int] = {}
    for step in steps:
        cover = step.call.cover_raw
        needed = step.repaid_raw + -(-step.repaid_raw // _ROOM) + 1 if cover == MAX_UINT256 else cover
        needs[step.call.debt] = needs.get(step.call.debt, 0) + max(needed, step.repaid_raw)
    return needs


def ways_to_pay(case: Case, steps: Sequence[Outcome], sold: Sequence[Sold]) -> list[Paid]:
    """Every way to have the debt tokens for the length of the run."""
    needs = needs_of(steps)
    options = []
    for token, amount in needs.items():
        fee = case.view.flash_fee_raw(token, amount)
        of_token: list[tuple[Address, Funding, int, int]] = []
        if case.balances.get(token, 0) >= amount:
            of_token.append((token, "own", amount, 0))
        if case.lender is not None and case.lendable.get(token, 0) >= amount:
            of_token.append((token, "morpho-flash", amount, 0))
        if fee is not None:
            of_token.append((token, "aave-flash-loan", amount, fee))
        options.append(of_token)
    ways = [Paid(funds) for funds in product(*options)]
    (token, amount), *others = needs.items()
    if not others and sold and sold[0].route[-1].venue == "uniswap-v3" and sold[0].route[-1].token_out == token:
        entered = [hop.pool for leg in sold for hop in leg.route]
        if sold[0].amounts[-1] >= amount and entered.count(sold[0].route[-1].pool) == 1:
            ways.append(Paid(((token, "uniswap-v3-flash", amount, 0),)))
    return ways


def gas_of(case: Case, steps: Sequence[Outcome], sold: Sequence[Sold], paid: Paid) -> int:
    """The gas that the planner's memory expects of such a run."""
    return case.memory.guess(shape_of(steps, [leg.route for leg in sold], [fund[1] for fund in paid.funds]))


def best_payment(
    case: Case, steps: Sequence[Outcome], sold: Sequence[Sold], token: Address
) -> tuple[int, Paid, int] | None:
    """(rank, way to pay, profit in `token`) of a run that keeps its gain in `token`; None if it cannot pay back."""
    had: dict[Address, int] = {}
    repaid: dict[Address, int] = {}
    for step in steps:
        had[step.call.collateral] = had.get(step.call.collateral, 0) + step.received_raw
        repaid[step.call.debt] = repaid.get(step.call.debt, 0) + step.repaid_raw
    for leg in sold:
        first, last = leg.route[0].token_in, leg.route[-1].token_out
        had[first] = had.get(first, 0) - leg.amounts[0]
        had[last] = had.get(last, 0) + leg.amounts[-1]
    best: tuple[int, Paid, int] | None = None
    for paid in ways_to_pay(case, steps, sold):
        left = {fund[0]: had.get(fund[0], 0) - repaid[fund[0]] - fund[3] for fund in paid.funds}
        if any(amount < 0 for other, amount in left.items() if other != token):
            continue
        rank = case.rank(left[token], token, gas_of(case, steps, sold, paid))
        if best is None or rank > best[0]:
            best = rank, paid, left[token]
    return best


# --- guesses over grids --------------------------------------------------------------------------


class Selling:
    """The sale of one token for another over grids of amounts, in floats."""

    def __init__(self, case: Case, token_in: Address, token_out: Address) -> None:
        self.case = case
        self.routes = case.routes(token_in, token_out)
        self._pools = case.own()

    def brings(self, legs: Sequence[tuple[Route, Floats]]) -> Floats:
        """What the legs bring together; a pool entered twice goes on where it was left."""
        used: dict[tuple[Address, Address], Floats] = {}
        total: Floats | None = None
        for route, amounts in legs:
            flow = amounts
            for hop in route:
                key = hop.pool, hop.token_in
                pool = self._pools[hop.pool]
                before = used.get(key)
                if before is None:
                    got = pool.guess(hop.token_in, flow)
                    used[key] = flow
                else:
                    got = pool.guess(hop.token_in, before + flow) - pool.guess(hop.token_in, before)
                    used[key] = before + flow
                flow = np.where(np.isfinite(got), got, -np.inf)
                if hop is not route[-1]:
                    flow = np.where(flow > 0, flow, 0.0)
            total = flow if total is None else total + flow
        assert total is not None
        return np.where(np.isnan(total), -np.inf, total)


@dataclass(frozen=True, slots=True)
class Spot:
    """A point of the grid: its guessed value, the index of the amount, and the weights of the routes sold over."""

    value: float
    index: int
    weights: tuple[tuple[Route, float], ...]


def grid_of_splits(selling: Selling, received: Floats, cost: Floats, leg_cost: dict[Route, float]) -> list[Spot]:
    """The best point of each set of routes: one route, two in steps of 5 %, three in steps of 10 %.

    `received` is what there is to sell, `cost` what each amount costs before the gas of its legs,
    both as arrays; values are in the token bought.
    """
    spots = [_spot(selling, received, cost, leg_cost, ((route, 1.0),)) for route in selling.routes]
    spots.sort(key=lambda spot: spot.value, reverse=True)
    near = _best_at_first(selling, received, leg_cost)
    wide = list(dict.fromkeys([*(spot.weights[0][0] for spot in spots[:_WIDE]), *near[:2]]))
    for pair in combinations(wide, 2):
        parts = [k / (SPLITS - 1) for k in range(1, SPLITS - 1)]
        found = [_spot(selling, received, cost, leg_cost, tuple(zip(pair, (p, 1 - p), strict=True))) for p in parts]
        spots.append(max(found, key=lambda spot: spot.value))
    sparse = slice(None, None, 16)
    for three in combinations(wide[:_NARROW], 3):
        shares = [(a / 10, b / 10, (10 - a - b) / 10) for a in range(1, 9) for b in range(1, 10 - a)]
        found = [
            _spot(selling, received[sparse], cost[sparse], leg_cost, tuple(zip(three, share, strict=True)))
            for share in shares
        ]
        top = max(found, key=lambda spot: spot.value)
        spots.append(Spot(top.value, top.index * 16, top.weights))
    spots.sort(key=lambda spot: spot.value, reverse=True)
    return spots


def _spot(
    selling: Selling,
    received: Floats,
    cost: Floats,
    leg_cost: dict[Route, float],
    weights: tuple[tuple[Route, float], ...],
) -> Spot:
    brought = selling.brings([(route, received * weight) for route, weight in weights])
    values = brought - cost - sum(leg_cost[route] for route, _ in weights)
    index = int(np.argmax(values))
    return Spot(float(values[index]), index, weights)


def _best_at_first(selling: Selling, received: Floats, leg_cost: dict[Route, float]) -> list[Route]:
    """The routes by what a hundredth of the largest sale would bring."""
    little = np.array([float(received.max()) / 100])
    brought = {route: float(selling.brings([(route, little)])[0]) for route in selling.routes}
    return sorted(brought, key=lambda route: brought[route], reverse=True)
