"""What the planner proposes, in which order, and every reason it gives for proposing nothing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from support.markets import (
    ACCOUNT,
    COLLATERAL,
    DEBT,
    HUB,
    NATIVE,
    Line,
    LineMarket,
    everything,
    line_market,
    span,
)
from support.planning import SETTINGS, crowd, planner
from support.pool_chain import head, v2_pool

from keeper.domain.feeds import FeedStatus
from keeper.domain.plans import Fees, Rejected
from keeper.domain.units import Address
from keeper.estimate.gas import GasMemory, shape_of_plan
from keeper.estimate.planner import Proposal
from keeper.venues.uniswap_v2 import V2Pool


def reason(market: LineMarket, *pools: V2Pool, **changes: object) -> str:
    answer = planner(market, *pools, **changes).assess("lines", ACCOUNT)  # type: ignore[arg-type]
    assert isinstance(answer, Rejected), answer
    assert answer.detail
    return answer.reason


GOOD = line_market(span(1, 10**9))  # a thousand dollars of debt, ten percent bonus


def test_a_plan_carries_what_was_decided() -> None:
    proposal = planner(GOOD).assess("lines", ACCOUNT)
    assert isinstance(proposal, Proposal)
    plan = proposal.plan
    assert plan.profit_raw == plan.proceeds_raw - plan.repay_raw - plan.funds[0].premium_raw
    assert plan.funds[0].amount_raw == plan.repay_raw
    assert plan.deadline_block == head().number + SETTINGS.deadline_blocks
    assert (plan.health_before_wad, plan.inclusion_s) == (95 * 10**16, head().timestamp_s + 12)


def test_reasons_of_the_position() -> None:
    assert reason(line_market()) == "no_accepted_amount"
    assert reason(LineMarket(lines={ACCOUNT: {}})) == "no_collateral"
    assert reason(replace(GOOD, health_wad=10**18)) == "not_liquidatable"
    atoken = Line((), receive="atoken")
    assert reason(LineMarket(lines={ACCOUNT: {(DEBT, COLLATERAL): atoken}})) == "collateral_illiquid"


def test_reasons_of_the_sale() -> None:
    elsewhere = v2_pool(9, HUB, DEBT, 10**9, 10**9)
    assert reason(GOOD, elsewhere) == "no_route"
    assert reason(GOOD, v2_pool(1, COLLATERAL, DEBT, 2**112 - 1, 10**9)) == "pools_too_thin"
    assert reason(replace(GOOD, flash_bps=None)) == "no_funding"


def test_reasons_of_profit() -> None:
    assert reason(line_market(span(1, 10**9), numerator=100)) == "not_profitable"
    wanted = replace(SETTINGS, min_profit_usd=Decimal(200))
    assert reason(GOOD, settings=wanted) == "below_min_profit"
    assert isinstance(
        planner(GOOD, settings=replace(SETTINGS, min_profit_usd=Decimal(90))).assess("lines", ACCOUNT), Proposal
    )


def test_reasons_of_cost() -> None:
    assert reason(GOOD, fees=None) == "gas_price_above_cap"
    without = replace(SETTINGS, wrapped_native=None)
    assert reason(GOOD, settings=without) == "no_native_price"
    priced = planner(GOOD, settings=without, native_price_base=2000 * 10**8)
    assert isinstance(priced.assess("lines", ACCOUNT), Proposal)
    assert reason(replace(GOOD, prices={NATIVE: None})) == "no_native_price"


def test_dear_gas_makes_a_good_position_not_profitable() -> None:
    dear = Fees(fee_cap_wei=10**12, tip_wei=0, expected_wei=10**12)
    assert reason(GOOD, fees=dear) == "not_profitable"


def test_a_denied_account_is_left_alone() -> None:
    assert reason(GOOD, settings=replace(SETTINGS, denied_accounts=frozenset({ACCOUNT}))) == "account_denied"


def unusable(token: Address) -> dict[Address, FeedStatus]:
    status = FeedStatus(
        token=token, source=token, answer=1, updated_at_s=1, stale=True, reason="feed_stale", detail="90001 s old"
    )
    return {token: status}


@pytest.mark.parametrize("token", [DEBT, COLLATERAL])
def test_an_unusable_feed_stops_what_it_prices(token: Address) -> None:
    assert reason(GOOD, feeds=unusable(token)) == "feed_stale"


def test_an_unusable_feed_of_another_token_does_not() -> None:
    assert isinstance(planner(GOOD, feeds=unusable(HUB)).assess("lines", ACCOUNT), Proposal)
    assert reason(GOOD, feeds=unusable(NATIVE)) == "no_native_price"


def test_accounts_without_a_price_are_listed_though_their_health_is_unknown() -> None:
    plan = planner(replace(GOOD, prices={COLLATERAL: None}))
    assert plan.next_plan() is None
    assert [(each.account, each.reason) for each in plan.rejections()] == [(ACCOUNT, "price_missing")]
    silent = planner(replace(GOOD, prices=dict.fromkeys((DEBT, COLLATERAL, NATIVE), None)))
    assert [each.reason for each in silent.rejections()] == ["oracle_reverted"]


def test_target_health_says_why_it_cannot_be_reached() -> None:
    target = replace(SETTINGS, sizing="target-health", target_health_wad=2 * 10**18)
    near = line_market(span(1, 10**5))
    assert reason(near, settings=target) == "target_health_unreachable"
    line = near.lines[ACCOUNT][DEBT, COLLATERAL]
    falling = replace(line, health_per_unit_wad=-(10**6))
    assert reason(LineMarket(lines={ACCOUNT: {(DEBT, COLLATERAL): falling}}), settings=target) == "repay_lowers_health"


def test_target_health_repays_the_least_that_reaches_it() -> None:
    target = replace(SETTINGS, sizing="target-health", target_health_wad=10**18 + 10**20)
    proposal = planner(line_market(span(1, 10**9)), settings=target).assess("lines", ACCOUNT)
    assert isinstance(proposal, Proposal)
    assert proposal.plan.repay_raw == 10**8 + 50_000


def test_max_repays_all_that_is_allowed() -> None:
    largest = replace(SETTINGS, sizing="max")
    market = line_market(span(1, 10**9), everything(10**9))
    proposal = planner(market, v2_pool(1, COLLATERAL, DEBT, 2 * 10**10, 2 * 10**10), settings=largest).assess(
        "lines", ACCOUNT
    )
    assert isinstance(proposal, Proposal)
    assert proposal.plan.repay_raw == 10**9


def test_the_best_comes_first_and_later_plans_see_the_pools_the_earlier_leave() -> None:
    plans = []
    desk = planner(crowd(12), v2_pool(1, COLLATERAL, DEBT, 10**11, 10**11))
    while (plan := desk.next_plan()) is not None:
        plans.append(plan)
        desk.accept(plan)
    assert len(plans) > 3
    assert plans[0].profit_raw == max(plan.profit_raw for plan in plans)
    pool = v2_pool(1, COLLATERAL, DEBT, 10**11, 10**11)
    for plan in plans:
        assert plan.proceeds_raw == pool.quote(COLLATERAL, plan.seize_raw)
        pool = pool.after(COLLATERAL, plan.seize_raw)


def test_a_plan_that_was_turned_down_does_not_come_back() -> None:
    desk = planner(crowd(4))
    first = desk.next_plan()
    assert first is not None
    assert desk.next_plan() is first
    why = Rejected(market="lines", account=first.account, reason="simulation_reverted", detail="x")
    desk.reject(first, why)
    second = desk.next_plan()
    assert second is not None
    assert second.account != first.account
    assert why in desk.rejections()


def test_where_less_is_lent_than_could_be_repaid_all_of_it_is_used() -> None:
    market = replace(GOOD, flash_liquidity_raw=2 * 10**8)
    plan = planner(market).next_plan()
    assert plan is not None
    assert plan.repay_raw == 2 * 10**8


def test_what_turns_unprofitable_on_the_moved_pools_is_rejected() -> None:
    desk = planner(crowd(8), v2_pool(1, COLLATERAL, DEBT, 4 * 10**9, 4 * 10**9))
    taken = 0
    while (plan := desk.next_plan()) is not None:
        desk.accept(plan)
        taken += 1
    assert 0 < taken < 7
    assert {each.reason for each in desk.rejections()} == {"not_profitable"}


def test_gas_of_the_shape_is_what_was_learned() -> None:
    memory = GasMemory()
    desk = planner(GOOD)
    proposal = desk.assess("lines", ACCOUNT)
    assert isinstance(proposal, Proposal)
    assert proposal.choice.gas_units == memory.guess(shape_of_plan(proposal.plan))
