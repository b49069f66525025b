"""A long search for the best way to liquidate very many accounts into the same pools.

It knows nothing of the planner: annealing over who is liquidated, by which pair, through which
route and how far, judged in floats by what all sales together bring; then every account in turn
is given its best amount beside all others, until nothing moves. What it finds is counted again
in exact integers, one run after the other, by the second reading of the pools' arithmetic.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter

from support.search_pools import Product, Ranges, Route, find_routes, own_pools, root_at

from keeper.domain.lending import LiquidationCall, Outcome
from keeper.domain.plans import Funding
from keeper.domain.units import MAX_UINT256, WAD, Address
from keeper.estimate.gas import GasMemory, GasPrice, shape_of
from keeper.ports import MarketView
from keeper.venues.pools import Pool

Side = tuple[Address, Address]
"""A pool and the token sold into it."""

_MILLION = 1_000_000
_MOST_STEPS = 2
_GOLDEN = (math.sqrt(5) - 1) / 2
_SECTIONS = 24


@dataclass(frozen=True, slots=True)
class Step:
    """One liquidation and the route its collateral is sold along."""

    outcome: Outcome
    route: Route
    repay_usd: float

    @property
    def received(self) -> float:
        return float(self.outcome.received_raw)


@dataclass(frozen=True, slots=True)
class Option:
    """One way to liquidate an account: `before` in full, then anything between `low` and `high`."""

    before: tuple[Step, ...]
    low: Step
    high: Step
    gas_usd: float
    lender: Funding

    @property
    def most_usd(self) -> float:
        """All it may repay."""
        return sum(step.repay_usd for step in (*self.before, self.high))


@dataclass(slots=True)
class Action:
    """An option and how far its last step goes, from 0 (its low end) to 1 (its high end)."""

    option: Option
    share: float

    @property
    def cost_usd(self) -> float:
        option = self.option
        last = option.low.repay_usd + (option.high.repay_usd - option.low.repay_usd) * self.share
        return last + sum(step.repay_usd for step in option.before) + option.gas_usd

    @property
    def flows(self) -> list[tuple[Route, float]]:
        """What is sold along which route."""
        low, high = self.option.low.received, self.option.high.received
        last = (self.option.high.route, low + (high - low) * self.share)
        return [*((step.route, step.received) for step in self.option.before), last]

    def calls(self) -> list[tuple[LiquidationCall, Route]]:
        """The liquidations in whole units."""
        low, high = self.option.low.outcome.call, self.option.high.outcome.call
        cover_raw = high.cover_raw
        if high.cover_raw != MAX_UINT256 and self.share < 1:
            cover_raw = min(high.cover_raw, low.cover_raw + int((high.cover_raw - low.cover_raw) * self.share))
        done = [(step.outcome.call, step.route) for step in self.option.before]
        return [*done, (replace(high, cover_raw=cover_raw), self.option.high.route)]


State = dict[Address, Action]


class _Curve:
    """What a pool pays for everything sold into it from one side, in floats."""

    def __init__(self, pool: Product | Ranges, token: Address) -> None:
        self._keep = 1 - pool.fee / _MILLION
        self._product = None
        if isinstance(pool, Product):
            side = pool.tokens.index(token)
            self._product = (float(pool.held[side]), float(pool.held[1 - side]))
            return
        self._rows = list(_segments(pool, down=token == pool.tokens[0]))
        self._starts = [row[0] for row in self._rows]

    def paid(self, sold: float) -> float:
        net = sold * self._keep
        if self._product is not None:
            into, out_of = self._product
            return out_of * net / (into + net)
        start, paid, root, depth, down = self._rows[max(0, bisect_right(self._starts, net) - 1)]
        net -= start
        if down:
            moved = net * root / depth
            return paid + depth * root * moved / (1 + moved)
        return paid + net / (root * (root + net / depth))


def _segments(pool: Ranges, *, down: bool) -> Iterable[tuple[float, float, float, float, bool]]:
    """(taken before, paid before, root price, liquidity, direction) of each stretch between two ticks."""
    ticks = sorted(pool.nets)
    ahead = [each for each in reversed(ticks) if each <= pool.tick] if down else [e for e in ticks if e > pool.tick]
    root, depth, taken, paid = pool.root / 2**96, float(pool.liquidity), 0.0, 0.0
    for tick in ahead:
        if depth > 0:
            yield taken, paid, root, depth, down
        stop = root_at(tick) / 2**96
        taken += depth * (1 / stop - 1 / root) if down else depth * (stop - root)
        paid += depth * (root - stop) if down else depth * (1 / root - 1 / stop)
        depth += (-1 if down else 1) * pool.nets[tick]
        root = stop
    yield taken, paid, root, 1e-9, down  # dry: whatever is sold beyond brings nothing


def _in_order(routes: Iterable[Route]) -> list[tuple[Side, list[Route]]]:
    """Every side of a pool with the routes over it, after all the sides that feed it."""
    passing: dict[Side, list[Route]] = {}
    feeds: dict[Side, set[Side]] = {}
    for route in sorted(routes, key=str):
        before: Side | None = None
        for hop in route:
            side = (hop.pool, hop.token_in)
            passing.setdefault(side, []).append(route)
            feeds.setdefault(side, set()).update({before} if before else ())
            before = side
    return [(side, passing[side]) for side in TopologicalSorter(feeds).static_order()]


class BurstSearch:
    """Everything the search may choose from, and what a choice brings."""

    def __init__(
        self,
        market: MarketView,
        pools: Sequence[Pool],
        accounts: Iterable[Address],
        *,
        at_s: int,
        gas: GasPrice,
        memory: GasMemory,
    ) -> None:
        self._market, self._at_s, self._gas, self._memory = market, at_s, gas, memory
        self._pools = pools
        self._routes: dict[tuple[Address, Address], list[Route]] = {}
        self.options = {account: list(self._options(market, account, ())) for account in accounts}
        self._own = own_pools(pools)
        routes = {each.high.route for options in self.options.values() for each in options}
        self._order = _in_order(routes)
        self._curves = {side: _Curve(self._own[side[0]], side[1]) for side, _ in self._order}
        self._prices = {token: self._usd_per_raw(token) for token in market.tokens}

    def value_usd(self, sold: Mapping[Route, float], cost_usd: float) -> float:
        """What is left when so much is sold along each route: all flows of a pool get its average price."""
        flows = {route: amount for route, amount in sold.items() if amount > 0}
        for side, passing in self._order:
            entering = sum(flows.get(route, 0.0) for route in passing)
            if entering > 0:
                rate = self._curves[side].paid(entering) / entering
                for route in passing:
                    if route in flows:
                        flows[route] *= rate
        return sum(amount * self._prices[route[-1].token_out] for route, amount in flows.items()) - cost_usd

    def search(self, seed: int, steps: int) -> State:
        """Return the best of an annealed state and of one filled up from the largest account down, both improved.

        `steps` proposals are annealed, and a hundredth as many times a few accounts are thrown out
        and others let in, each with the best it can have.
        """
        dice = random.Random(seed)
        names = [account for account, options in self.options.items() if options]
        walks = [_Walk(self), _Walk(self)]
        self._anneal(walks[0], names, dice, steps)
        for account in sorted(names, key=self._most_usd, reverse=True):
            walks[1].settle(account)
        for walk in walks:
            while self._improve(walk):
                pass
            for _ in range(steps // 100):
                walk.ruin(names, dice)
            while self._improve(walk):
                pass
        return max(walks, key=lambda each: each.value).state

    def _anneal(self, walk: _Walk, names: Sequence[Address], dice: random.Random, steps: int) -> None:
        for step in range(steps):
            heat_usd = 60.0 * (0.0005 ** (step / steps))
            walk.propose(dice.choice(names), dice, heat_usd)
            if step % 5 == 0:
                walk.exchange(dice.choice(names), dice.choice(names), heat_usd, dice)

    def _most_usd(self, account: Address) -> float:
        return max(option.most_usd for option in self.options[account])

    def exact_base(self, state: State) -> int:
        """What `state` earns after gas in base units, run after run on the moved pools, all in integers."""
        self._left = dict(self._own)
        ordered = sorted(state.values(), key=lambda each: each.option.most_usd, reverse=True)
        return sum(self._run_base(action) for action in ordered)

    def _run_base(self, action: Action) -> int:
        market, total, outcomes = self._market, 0, []
        for call, route in action.calls():
            outcome = market.outcome(call, self._at_s)
            assert isinstance(outcome, Outcome), outcome
            amount = outcome.received_raw
            for hop in route:
                sold = self._left[hop.pool].exact(hop.token_in, amount)
                assert sold is not None, hop
                amount, self._left[hop.pool] = sold
            premium_raw = market.flash_fee_raw(call.debt, outcome.repaid_raw)
            assert premium_raw is not None
            premium_raw *= action.option.lender == "aave-flash-loan"
            gained_raw = amount - outcome.repaid_raw - premium_raw
            total += gained_raw * (market.price_base(call.debt) or 0) // 10 ** market.decimals(call.debt)
            market = market.after(call, self._at_s)
            outcomes.append(outcome)
        routes = [route for _, route in action.calls()]
        return total - self._gas.cost_base(self._gas_units(outcomes, routes, action.option.lender))

    def _improve(self, walk: _Walk) -> bool:
        before = walk.value
        for account in self.options:
            walk.settle(account)
        return walk.value > before + 1e-6 * abs(before)

    def _options(self, market: MarketView, account: Address, before: tuple[Step, ...]) -> Iterable[Option]:
        """Every way to go on from `before`, of which `market` is what is left."""
        health = market.health(account, self._at_s)
        if health is None or health.health_factor_wad >= WAD:
            return
        for debt, collateral in market.pairs(account):
            for each in market.ranges(account, debt, collateral, self._at_s):
                covers = (MAX_UINT256,) * 2 if each.cover_max else (each.low_raw, each.high_raw)
                low, high = (self._outcome(market, account, (debt, collateral), cover) for cover in covers)
                for route in self._ways(collateral, debt):
                    yield self._option(before, self._step(low, route), self._step(high, route))
                    if not before and route[-1].venue == "uniswap-v3":
                        ends = (self._step(each, route, borrowed=False) for each in (low, high))
                        yield self._option((), *ends, lender="uniswap-v3-flash")
                    if len(before) + 1 < _MOST_STEPS:
                        taken = (*before, self._step(high, route))
                        yield from self._options(market.after(high.call, self._at_s), account, taken)

    def _step(self, outcome: Outcome, route: Route, *, borrowed: bool = True) -> Step:
        """A step with the premium of a flash loan, or without where the pool that is sold into pays first."""
        premium_raw = self._market.flash_fee_raw(outcome.call.debt, outcome.repaid_raw) or 0
        rate = self._usd_per_raw(outcome.call.debt)
        return Step(outcome, route, (outcome.repaid_raw + premium_raw * borrowed) * rate)

    def _option(self, before: tuple[Step, ...], low: Step, high: Step, lender: Funding = "aave-flash-loan") -> Option:
        steps = (*before, high)
        gas_units = self._gas_units([step.outcome for step in steps], [step.route for step in steps], lender)
        gas_usd = gas_units * self._gas.wei_per_gas * self._gas.native_price_base / WAD / self._market.base_unit
        return Option(before, low, high, gas_usd, lender)

    def _gas_units(self, outcomes: Sequence[Outcome], routes: Sequence[Route], lender: Funding) -> int:
        debts = {outcome.call.debt for outcome in outcomes}
        return self._memory.guess(shape_of(outcomes, routes, (lender,) * len(debts)))

    def _outcome(self, market: MarketView, account: Address, pair: tuple[Address, Address], cover_raw: int) -> Outcome:
        call = LiquidationCall(account=account, debt=pair[0], collateral=pair[1], cover_raw=cover_raw)
        outcome = market.outcome(call, self._at_s)
        assert isinstance(outcome, Outcome)
        return outcome

    def _ways(self, token_in: Address, token_out: Address) -> list[Route]:
        if (token_in, token_out) not in self._routes:
            self._routes[token_in, token_out] = find_routes(self._pools, token_in, token_out)
        return self._routes[token_in, token_out]

    def _usd_per_raw(self, token: Address) -> float:
        price = self._market.price_base(token) or 0
        return float(price / self._market.base_unit / 10 ** self._market.decimals(token))


class _Walk:
    """A state with its sums, so that one change is judged without counting all again."""

    def __init__(self, search: BurstSearch) -> None:
        self._search = search
        self.state: State = {}
        self._sold: dict[Route, float] = {}
        self._cost = 0.0
        self.value = 0.0

    def propose(self, account: Address, dice: random.Random, heat_usd: float) -> None:
        options, now = self._search.options[account], self.state.get(account)
        new: Action | None = None
        if now is None or dice.random() < 0.6:
            share = 1.0 if dice.random() < 0.6 else dice.random()
            new = Action(dice.choice(options), share) if now is None or dice.random() < 0.6 else None
        else:
            new = Action(now.option, min(max(now.share + dice.gauss(0, 0.2), 0.0), 1.0))
        self._try({account: new}, heat_usd, dice)

    def exchange(self, one: Address, other: Address, heat_usd: float, dice: random.Random) -> None:
        """Leave one out and take another in."""
        if one in self.state and other not in self.state:
            taken = Action(dice.choice(self._search.options[other]), 1.0)
            self._try({one: None, other: taken}, heat_usd, dice)

    def settle(self, account: Address) -> None:
        """Give `account` the best it can have beside all others, nothing included."""
        options = self._search.options[account]
        candidates: list[Action | None] = [None, *(_section(self, account, option) for option in options)]
        best = max(candidates, key=lambda each: self.worth({account: each}))
        if self.worth({account: best}) > self.value:
            self._take({account: best})

    def ruin(self, names: Sequence[Address], dice: random.Random) -> None:
        """Throw a few out, let others in at their best, and keep that only where it is better."""
        before, value = dict(self.state), self.value
        out = dice.sample(sorted(self.state), min(len(self.state), dice.randrange(1, 4)))
        self._take(dict.fromkeys(out))
        for account in (*dice.sample(names, min(len(names), 4)), *dice.sample(out, len(out))):
            self.settle(account)
        if self.value < value:
            changed = {
                account for account in {*before, *self.state} if before.get(account) is not self.state.get(account)
            }
            self._take({account: before.get(account) for account in changed})

    def worth(self, changes: Mapping[Address, Action | None]) -> float:
        sold, cost = dict(self._sold), self._cost
        for account, new in changes.items():
            for action, sign in ((self.state.get(account), -1), (new, 1)):
                if action is not None:
                    cost += sign * action.cost_usd
                    for route, amount in action.flows:
                        sold[route] = sold.get(route, 0.0) + sign * amount
        return self._search.value_usd(sold, cost)

    def _try(self, changes: Mapping[Address, Action | None], heat_usd: float, dice: random.Random) -> None:
        gain = self.worth(changes) - self.value
        if gain >= 0 or dice.random() < math.exp(gain / heat_usd):
            self._take(changes)

    def _take(self, changes: Mapping[Address, Action | None]) -> None:
        for account, new in changes.items():
            old = self.state.pop(account, None)
            if old is not None:
                self._book(old, -1)
            if new is not None:
                self.state[account] = new
                self._book(new, 1)
        self.value = self._search.value_usd(self._sold, self._cost)

    def _book(self, action: Action, sign: int) -> None:
        self._cost += sign * action.cost_usd
        for route, amount in action.flows:
            self._sold[route] = self._sold.get(route, 0.0) + sign * amount


def _section(walk: _Walk, account: Address, option: Option) -> Action:
    """The best share of one option, by the golden section: all else being equal the curve is concave."""

    def worth(share: float) -> float:
        return walk.worth({account: Action(option, share)})

    low, high = 0.0, 1.0
    if worth(1.0) >= worth(0.999):
        return Action(option, 1.0)
    for _ in range(_SECTIONS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if worth(left) < worth(right):
            low = left
        else:
            high = right
    return Action(option, (low + high) / 2)
