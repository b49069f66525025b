"""Hundreds of accounts fall at once, before pools too thin for all: how much of what can be earned is earned."""

from __future__ import annotations

import pytest
from support.bursts import (
    AT_S,
    SHAPES,
    WEI_PER_GAS,
    Burst,
    Shape,
    a_few_whales,
    also_holding_what_they_owe,
    burst,
    reserve_of,
)
from support.search_burst import BurstSearch
from support.search_pools import own_pools

from keeper.domain.plans import Plan
from keeper.domain.units import Address
from keeper.estimate.gas import GasMemory, GasPrice, shape_of_plan
from keeper.estimate.planner import Proposal
from tests.conftest import TestSize

GAS = GasPrice(wei_per_gas=WEI_PER_GAS, native_price_base=1600 * 10**8)
REVISIONS = {"one-pair": 1, "two-pairs": 10, "through-a-hub": 1}
LEAST_BPS = 9_900


class Tally:
    """What plans earn when they are carried out one after another, by the second reading of the pools' arithmetic."""

    def __init__(self, case: Burst) -> None:
        self._pools = own_pools(case.pools)
        self._market = case.market
        self.total_base = 0
        self.reverted = 0

    def carry_out(self, plan: Plan) -> int:
        """What is left of a plan after gas, in base units; one that falls short of its gas reverts and costs that."""
        gas_base = GAS.cost_base(GasMemory().guess(shape_of_plan(plan)))
        sold = self._sell(plan)
        profit_base = -1 if sold is None else self._base(plan.profit_token, sold[0])
        if sold is None or profit_base < gas_base:
            self.reverted += 1
            self.total_base -= gas_base
            return -gas_base
        self._pools = sold[1]
        self.total_base += profit_base - gas_base
        return profit_base - gas_base

    def _sell(self, plan: Plan) -> tuple[int, dict[Address, object]] | None:
        pools: dict[Address, object] = dict(self._pools)
        gains: dict[Address, int] = {}
        for step in plan.steps:
            gains[step.call.collateral] = gains.get(step.call.collateral, 0) + step.received_raw
            gains[step.call.debt] = gains.get(step.call.debt, 0) - step.repaid_raw
        for fund in plan.funds:
            gains[fund.token] = gains.get(fund.token, 0) - fund.premium_raw
        for leg in plan.legs:
            amount = leg.amount_in_raw
            gains[leg.token_in] -= amount
            for quote in leg.quotes:
                exact = pools[quote.hop.pool].exact(quote.hop.token_in, amount)  # type: ignore[attr-defined]
                if exact is None:
                    return None
                amount, pools[quote.hop.pool] = exact
            gains[leg.token_out] = gains.get(leg.token_out, 0) + amount
        if any(raw < 0 for token, raw in gains.items() if token != plan.profit_token):
            return None
        return gains[plan.profit_token], pools

    def _base(self, token: Address, raw: int) -> int:
        reserve = reserve_of(token)
        return raw * (reserve.price_base or 0) // reserve.unit


def planned(case: Burst) -> tuple[Tally, list[Plan]]:
    """All plans in order, each counted on the pools as those before leave them, where it must pay its gas."""
    planner, tally, plans = case.planner(), Tally(case), []
    while (plan := planner.next_plan()) is not None:
        assert tally.carry_out(plan) > 0, plan
        planner.accept(plan)
        plans.append(plan)
    handled = {plan.account for plan in plans} | {each.account for each in planner.rejections()}
    assert handled >= set(case.accounts)
    return tally, plans


def as_if_alone(case: Burst) -> Tally:
    """Each account sized by itself on untouched pools, then all sent, the most promising first."""
    planner, tally = case.planner(), Tally(case)
    found = [planner.assess(case.market.name, account) for account in case.accounts]
    proposals = [each for each in found if isinstance(each, Proposal)]
    for each in sorted(proposals, key=lambda each: each.choice.rank, reverse=True):
        tally.carry_out(each.plan)
    return tally


@pytest.mark.parametrize("shape", SHAPES)
def test_a_burst_earns_nearly_what_a_long_search_finds(shape: Shape, size: TestSize) -> None:
    for seed in range(1, size.pick(quick=1, prove=4) + 1):
        case = burst(seed, shape, revision=REVISIONS[shape])
        accounts = case.accounts
        assert len(accounts) >= 200
        ours, plans = planned(case)
        searching = BurstSearch(case.market, case.pools, accounts, at_s=AT_S, gas=GAS, memory=GasMemory())
        best_base = searching.exact_base(searching.search(seed, size.pick(quick=1_500, prove=60_000)))
        share_bps = ours.total_base * 10_000 // best_base
        print(
            f"{shape}, seed {seed}: {len(accounts)} accounts, {len(plans)} plans net {ours.total_base / 1e8:,.0f} USD,"
            f" {share_bps / 100:.2f} % of the search's {best_base / 1e8:,.0f}"
        )
        assert share_bps >= LEAST_BPS


@pytest.mark.parametrize("shape", SHAPES)
def test_a_burst_earns_more_than_each_account_for_itself(shape: Shape, size: TestSize) -> None:
    for seed in range(1, size.pick(quick=1, prove=4) + 1):
        case = burst(seed, shape, accounts=size.pick(quick=40, prove=220), revision=REVISIONS[shape])
        (ours, _), alone = planned(case), as_if_alone(case)
        print(
            f"{shape}, seed {seed}: {len(case.accounts)} accounts net {ours.total_base / 1e8:,.0f} USD,"
            f" as if alone {alone.total_base / 1e8:,.0f}, {alone.reverted} reverted"
        )
        assert ours.total_base > alone.total_base


@pytest.mark.parametrize("shape", SHAPES)
def test_the_most_valuable_go_first(shape: Shape) -> None:
    """Half of the plans earn far more than half: what does not fit into a block is worth least."""
    case = burst(7, shape, accounts=120)
    planner, tally, totals = case.planner(), Tally(case), [0]
    while (plan := planner.next_plan()) is not None:
        totals.append(totals[-1] + tally.carry_out(plan))
        planner.accept(plan)
    assert len(totals) > 8
    assert totals[len(totals) // 2] > totals[-1] * 3 // 4


def test_accounts_that_hold_what_they_owe_are_sold_with_the_others(size: TestSize) -> None:
    """A step that needs no sale, beside one whose sale is divided over two pools: as many legs as steps."""
    unsold = 0
    for seed in range(size.pick(quick=12, prove=100)):
        for revision in (1, 7):
            _, plans = planned(also_holding_what_they_owe(seed, revision=revision))
            unsold += sum(step.call.debt == step.call.collateral for plan in plans for step in plan.steps)
    assert unsold > 20


def test_a_sale_leaves_each_pool_what_the_shares_to_come_were_sized_with(size: TestSize) -> None:
    """Divided anew when its turn comes, a sale would take what others count on, and most of this one percent."""
    for count in (3, 5):
        ours_base = by_turns_base = 0
        for seed in range(100, 100 + size.pick(quick=10, prove=20)):
            case = a_few_whales(seed, accounts=count)
            ours_base += planned(case)[0].total_base
            by_turns_base += by_turns(case).total_base
        print(f"{count} whales: {ours_base / 1e8:,.0f} USD net; each as if alone by turns {by_turns_base / 1e8:,.0f}")
        assert ours_base > by_turns_base + by_turns_base // 100


def by_turns(case: Burst) -> Tally:
    """Each account as if alone on what those before it left, the most promising first."""
    planner, tally, waiting = case.planner(), Tally(case), list(case.accounts)
    while waiting:
        found = [planner.assess(case.market.name, account) for account in waiting]
        proposals = [each for each in found if isinstance(each, Proposal)]
        if not proposals:
            break
        best = max(proposals, key=lambda each: each.choice.rank)
        tally.carry_out(best.plan)
        planner.accept(best.plan)
        waiting.remove(best.plan.account)
    return tally


def test_the_pool_that_lends_is_looked_for_again_where_others_have_sold() -> None:
    """The pool that could lend to the second at first is left to the first, and another found to lend."""
    _, plans = planned(a_few_whales(113, accounts=2))
    assert len(plans) == 2
    assert {fund.source for plan in plans for fund in plan.funds} == {"uniswap-v3-flash"}
    assert len({plan.funds[0].lender for plan in plans}) == 2
