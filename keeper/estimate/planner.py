"""Chooses what to do next: the plan that nets most on the pools as they will be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush

from keeper.domain.fixed_point import mul_div_down
from keeper.domain.lending import Health
from keeper.domain.plans import Plan, Rejected
from keeper.domain.units import WAD, Address
from keeper.estimate import sizing
from keeper.estimate.curve import Choice, PairCurve, Scene
from keeper.estimate.explain import explain
from keeper.estimate.gas import GasMemory, GasPrice
from keeper.estimate.reasons import reject, reject_profit
from keeper.estimate.settings import EstimateSettings
from keeper.estimate.situation import Situation, find_bar, find_unpriced, gas_price
from keeper.ports import MarketView, VenueView

Key = tuple[str, Address]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A plan, with the figures it is ranked by."""

    plan: Plan
    choice: Choice


class Planner:
    """Greedy planning with lazy re-evaluation.

    `next_plan` returns the best plan on the pools and positions as the accepted plans leave them.
    An accepted plan moves them; whatever is then on top of the heap is sized again before it is
    believed. Sizing is pure computation, a few milliseconds an account.
    """

    def __init__(self, situation: Situation, settings: EstimateSettings, memory: GasMemory) -> None:
        self._situation = situation
        self._settings = settings
        self._memory = memory
        self._markets = dict(situation.markets)
        self._venues = situation.venues
        self._version = 0
        self._rejected: dict[tuple[str, Address | None], Rejected] = {}
        self._heap: list[tuple[int, str, Address, int]] = []
        self._proposals: dict[Key, Proposal] = {}
        self._is_filled = False

    @property
    def markets(self) -> Mapping[str, MarketView]:
        """The markets as the accepted plans leave them."""
        return self._markets

    @property
    def venues(self) -> VenueView:
        """The pools as the accepted plans leave them."""
        return self._venues

    def rejections(self) -> list[Rejected]:
        """Return why accounts looked at so far got no plan, and accounts without a price, sorted."""
        found = {(each.market, each.account): each for view in self._markets.values() for each in find_unpriced(view)}
        found |= self._rejected
        return sorted(found.values(), key=lambda each: (each.market, (each.account or "").lower()))

    def candidates(self) -> Iterator[Key]:
        """Yield (market, account) of every account whose health is below 1 at the inclusion time."""
        for name in sorted(self._markets):
            for health in self._markets[name].unhealthy(self._situation.inclusion_s):
                yield name, health.account

    def assess(self, market: str, account: Address) -> Proposal | Rejected:
        """Return the best plan for one account as things stand, or why there is none."""
        view = self._markets[market]
        refusal = find_bar(self._situation, self._settings, view, account)
        if refusal is not None:
            return refusal
        health = view.health(account, self._situation.inclusion_s)
        gas = self.gas_price(market)
        if health is None or gas is None:
            return reject(market, account, "price_missing", "the oracle gives no price for a token of this account")
        if health.health_factor_wad >= WAD:
            return reject(market, account, "not_liquidatable", f"its health factor is {health.health_factor_wad} wad")
        chosen = self._choose(view, health, gas)
        return chosen if isinstance(chosen, Rejected) else self._judge(view, health, chosen)

    def next_plan(self) -> Plan | None:
        """Return the best plan there is, None when nothing more is worth doing."""
        self._fill()
        while self._heap:
            _, market, account, version = self._heap[0]
            if version == self._version:
                return self._proposals[market, account].plan
            heappop(self._heap)
            self._push((market, account))
        return None

    def accept(self, plan: Plan) -> None:
        """Move markets and pools as `plan` will, and look at its account again."""
        key = (plan.market, plan.account)
        self._take_off(key)
        self._markets[plan.market] = self._markets[plan.market].after(plan.call, plan.inclusion_s)
        self._venues = self._venues.after(plan.route)
        self._version += 1
        if self._is_unhealthy(key):
            self._push(key)

    def reject(self, plan: Plan, why: Rejected) -> None:
        """Give up on the account of `plan` for this situation."""
        key = (plan.market, plan.account)
        self._take_off(key)
        self._rejected[key] = why

    def gas_price(self, market: str) -> GasPrice | None:
        """Return what gas costs in a market's base currency, None where that cannot be told."""
        return gas_price(self._situation, self._settings, self._markets[market])

    def _fill(self) -> None:
        if self._is_filled:
            return
        self._is_filled = True
        for key in list(self.candidates()):
            self._push(key)

    def _push(self, key: Key) -> None:
        assessed = self.assess(*key)
        if isinstance(assessed, Rejected):
            self._rejected[key] = assessed
            return
        self._rejected.pop(key, None)
        self._proposals[key] = assessed
        # markets may count in different units: one unit of each is a dollar
        worth = mul_div_down(assessed.choice.rank, WAD, self._markets[key[0]].base_unit)
        heappush(self._heap, (-worth, *key, self._version))

    def _take_off(self, key: Key) -> None:
        if self._heap and self._heap[0][1:3] == key:
            heappop(self._heap)
        else:
            self._heap = [each for each in self._heap if each[1:3] != key]
            self._heap.sort()

    def _is_unhealthy(self, key: Key) -> bool:
        health = self._markets[key[0]].health(key[1], self._situation.inclusion_s)
        return health is not None and health.health_factor_wad < WAD

    def _choose(self, view: MarketView, health: Health, gas: GasPrice) -> Choice | Rejected:
        scene = Scene(
            view=view,
            venues=self._venues,
            at_s=self._situation.inclusion_s,
            balances=self._situation.balances,
            gas=gas,
            memory=self._memory,
        )
        pairs = view.pairs(health.account)
        curves = [PairCurve(scene, health.account, debt, collateral) for debt, collateral in pairs]
        target_wad = self._settings.target_health_wad
        match self._settings.sizing:
            case "max-profit":
                best = _most_profitable(curves)
            case "max":
                best = _best(sizing.largest_choice(curve) for curve in curves)
            case "target-health":
                best = self._least(curves, target_wad)
        return best or explain(view, health, curves, target_wad if self._settings.sizing == "target-health" else None)

    def _least(self, curves: list[PairCurve], target_wad: int) -> Choice | None:
        """Return the reaching choice that repays the least value, of those that pay; else the best paying."""
        reached = [choice for curve in curves if (choice := sizing.least_choice(curve, target_wad)) is not None]
        paying = [choice for choice in reached if choice.rank > 0]
        return min(paying, key=lambda each: each.repaid_value, default=_best(reached))

    def _judge(self, view: MarketView, health: Health, choice: Choice) -> Proposal | Rejected:
        least_base = self._settings.min_profit_base(view.base_unit)
        if choice.net_base <= 0 or choice.net_base < least_base:
            return reject_profit(
                view.name,
                health.account,
                debt=choice.outcome.call.debt,
                collateral=choice.outcome.call.collateral,
                repay_raw=choice.outcome.repaid_raw,
                net_base=choice.net_base,
                least_base=least_base,
                base_unit=view.base_unit,
            )
        return Proposal(plan=self._make_plan(view, health, choice), choice=choice)

    def _make_plan(self, view: MarketView, health: Health, choice: Choice) -> Plan:
        situation = self._situation
        return Plan(
            chain_id=self._settings.chain_id,
            market=view.name,
            pool=view.pool,
            call=choice.outcome.call,
            epoch=view.epoch(health.account),
            repay_raw=choice.outcome.repaid_raw,
            seize_raw=choice.outcome.received_raw,
            proceeds_raw=choice.proceeds_raw,
            route=choice.quotes,
            funding=choice.fund.source,
            fund_raw=choice.fund.amount_raw,
            premium_raw=choice.fund.premium_raw,
            profit_raw=choice.profit_raw,
            min_profit_raw=0,
            deadline_block=situation.head.number + self._settings.deadline_blocks,
            head=situation.head,
            inclusion_s=situation.inclusion_s,
            health_before_wad=health.health_factor_wad,
            health_after_wad=choice.outcome.health_after_wad,
        )


def _most_profitable(curves: Iterable[PairCurve]) -> Choice | None:
    best: Choice | None = None
    for curve in curves:
        best = sizing.better_of(best, sizing.best_choice(curve, None if best is None else best.rank))
    return best


def _best(choices: Iterable[Choice | None]) -> Choice | None:
    best: Choice | None = None
    for choice in choices:
        best = sizing.better_of(best, choice)
    return best
