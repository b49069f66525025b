"""How accounts share pools: who comes first, who is left out, and that nothing that pays is left."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from support.lending import address
from support.markets import ACCOUNT, COLLATERAL, DEBT, HUB, Line, LineMarket, everything, line_market, span
from support.planning import SETTINGS, USUAL_FEES, crowd, planner
from support.pool_chain import head, v2_pool

from keeper.domain.plans import Fees, Plan, Rejected
from keeper.domain.swaps import HopQuote, Leg
from keeper.domain.units import Address
from keeper.estimate.gas import GasMemory
from keeper.estimate.planner import Planner, Proposal
from keeper.estimate.shares import undivided_routes
from keeper.estimate.situation import Situation
from keeper.venues.uniswap_v2 import V2Pool
from keeper.venues.view import BookView, RouteIndex

DEAR = Fees(fee_cap_wei=10**11, tip_wei=0, expected_wei=2 * 10**10)  # about 17 dollars a run
THIN = v2_pool(1, COLLATERAL, DEBT, 5 * 10**11, 5 * 10**11)


def drain(desk: Planner) -> list[Plan]:
    plans = []
    while (plan := desk.next_plan()) is not None:
        plans.append(plan)
        desk.accept(plan)
    return plans


def joint_planner(
    *markets: LineMarket, pool: V2Pool = THIN, fees: Fees = DEAR, lendable_raw: int | None = None
) -> Planner:
    """A planner for several markets, with a flash lender that takes nothing where it has something to lend."""
    pools = {pool.address: pool}
    situation = Situation(
        head=head(),
        inclusion_s=head().timestamp_s + 12,
        markets={market.name: market for market in markets},
        venues=BookView(pools, RouteIndex(pools.values(), [HUB])),
        feeds={},
        fees=fees,
        flash_lender=None if lendable_raw is None else address(0x9099),
        lendable={} if lendable_raw is None else {DEBT: lendable_raw},
    )
    return Planner(situation, SETTINGS, GasMemory())


def number(plan: Plan) -> int:
    return int(plan.account, 16) - 0xA000


def repaid(plans: list[Plan]) -> int:
    return sum(plan.repay_raw for plan in plans)


def test_where_room_and_gas_are_scarce_the_large_are_taken_and_the_small_left() -> None:
    plans = drain(planner(crowd(40), THIN, fees=DEAR))
    taken = {number(plan) for plan in plans}
    assert 2 <= len(taken) < 20
    smallest_whole = min(number(plan) for plan in plans if plan.repay_raw == number(plan) * 10**8)
    left = set(range(1, 40)) - taken
    assert all(one < smallest_whole for one in left)


def test_nothing_that_pays_is_left_and_every_account_has_an_answer() -> None:
    desk = planner(crowd(30), THIN, fees=DEAR)
    plans = drain(desk)
    left = {each.account for each in desk.rejections()}
    assert left | {plan.account for plan in plans} == set(crowd(30).accounts())
    for account in left:
        assert isinstance(desk.assess("lines", account), Rejected)


def test_a_higher_bonus_goes_before_a_larger_debt() -> None:
    """The whale could fill the pool alone; those with twice its bonus are worth more of it."""
    small = {address(0xB000 + n): {(DEBT, COLLATERAL): Line((span(1, 10**8),), 110, 100)} for n in range(6)}
    whale = {ACCOUNT: {(DEBT, COLLATERAL): Line((span(1, 10**12),), 105, 100)}}
    pool = v2_pool(1, COLLATERAL, DEBT, 4 * 10**10, 4 * 10**10)
    plans = drain(planner(LineMarket(lines={**small, **whale}), pool))
    assert {plan.account for plan in plans} == {*small, ACCOUNT}
    alone = planner(LineMarket(lines=whale), pool).assess("lines", ACCOUNT)
    assert isinstance(alone, Proposal)
    (beside,) = (plan for plan in plans if plan.account == ACCOUNT)
    sold = sum(plan.seize_raw for plan in plans if plan.account != ACCOUNT)
    assert abs(alone.plan.seize_raw - beside.seize_raw - sold) < sold // 50  # it leaves the others their room


def test_among_many_one_that_is_too_large_gets_the_part_that_pays() -> None:
    small = {address(0xB000 + n): {(DEBT, COLLATERAL): Line((span(1, 10**8),), 110, 100)} for n in range(12)}
    whales = {address(0xC000 + n): {(DEBT, COLLATERAL): Line((span(1, 10**12 + n),), 108, 100)} for n in range(12)}
    pool = v2_pool(1, COLLATERAL, DEBT, 4 * 10**11, 4 * 10**11)
    plans = drain(planner(LineMarket(lines={**small, **whales}), pool))
    assert {plan.account for plan in plans} > set(small)
    (part,) = (plan for plan in plans if plan.account in whales)
    for plan in plans:
        if plan is not part:
            pool = pool.after(COLLATERAL, plan.seize_raw)

    def profit_raw(repay_raw: int) -> int:
        out_raw = pool.quote(COLLATERAL, repay_raw * 108 // 100)
        assert out_raw is not None
        return out_raw - repay_raw - repay_raw * 5 // 10_000

    best = profit_raw(part.repay_raw)
    assert all(profit_raw(part.repay_raw * percent // 100) < best for percent in (95, 105))
    assert best > 100 * 10**6


def test_two_markets_share_the_pools_they_sell_into() -> None:
    one, other = crowd(10), replace(crowd(10), name="others", pool=address(0x9002))
    alone, both = drain(joint_planner(one)), drain(joint_planner(one, other))
    assert {plan.market for plan in both} == {"lines", "others"}
    assert repaid(alone) < repaid(both) < 2 * repaid(alone)
    pool: V2Pool = THIN
    for plan in both:
        assert plan.legs[0].amount_out_raw == pool.quote(COLLATERAL, plan.seize_raw)
        pool = pool.after(COLLATERAL, plan.seize_raw)


def test_what_an_account_owes_in_another_market_is_not_mistaken_for_what_it_owes_here() -> None:
    """The large shares leave room for the small ones, but not for the large ones once more."""
    large, small = (
        LineMarket(
            lines={address(0xA000 + n): {(DEBT, COLLATERAL): Line((span(1, raw + n),), 110, 100)} for n in range(5)}
        )
        for raw in (10**10, 10**8)
    )
    pool = v2_pool(1, COLLATERAL, DEBT, 122 * 10**10, 122 * 10**10)
    cheap = Fees(fee_cap_wei=10**6, tip_wei=0, expected_wei=10**5)
    desk = joint_planner(
        replace(large, name="large", pool=address(0x9002)),
        replace(small, name="small", pool=address(0x9003)),
        pool=pool,
        fees=cheap,
    )
    first = desk.next_plan()
    assert first is not None
    markets = [plan.market for plan in (first, *desk.preview(100))]
    assert sorted(markets) == ["large"] * 5 + ["small"] * 5


def test_the_part_of_one_that_is_too_large_is_best_at_what_its_lender_really_takes() -> None:
    """Fees of three thousandths a pool and of none of the lender: a premium not paid would leave a part unsold."""
    whales = {address(0xC000 + n): {(DEBT, COLLATERAL): Line((span(1, 10**12 + n),), 108, 100)} for n in range(12)}
    pool = v2_pool(1, COLLATERAL, DEBT, 4 * 10**11, 4 * 10**11)
    part = joint_planner(LineMarket(lines=whales), pool=pool, lendable_raw=10**14).next_plan()
    assert part is not None
    assert part.funds[0].source == "morpho-flash"

    def profit_raw(repay_raw: int) -> int:
        out_raw = pool.quote(COLLATERAL, repay_raw * 108 // 100)
        assert out_raw is not None
        return out_raw - repay_raw

    best = profit_raw(part.repay_raw)
    assert best == part.profit_raw
    assert all(profit_raw(part.repay_raw * per_mille // 1000) < best for per_mille in (997, 1003))


def test_a_sale_keeps_to_routes_only_where_they_sell_each_token_once() -> None:
    def leg(token: Address, number: int) -> Leg:
        pool = v2_pool(number, token, DEBT, 10**12, 10**12)
        hop = RouteIndex([pool], []).routes(token, DEBT)[0][0]
        return Leg(quotes=(HopQuote(hop=hop, amount_in_raw=10, amount_out_raw=9),))

    one, other, second = leg(COLLATERAL, 1), leg(COLLATERAL, 2), leg(HUB, 3)
    sale, same, hub = ((COLLATERAL, DEBT), 20), ((DEBT, DEBT), 5), ((HUB, DEBT), 10)
    assert undivided_routes([sale], (one,)) == (one.route,)
    assert undivided_routes([sale, sale], (one,)) == (one.route, one.route)
    assert undivided_routes([same, sale, hub], (one, second)) == ((), one.route, second.route)
    assert undivided_routes([same], ()) == ((),)
    assert undivided_routes([same, sale], (one, other)) is None
    assert undivided_routes([sale, sale], (one, other)) is None
    assert undivided_routes([sale, hub], (second, one)) is None  # the other way round the pools may be others
    assert undivided_routes([sale, hub], (one,)) is None


def test_the_room_of_a_plan_that_is_turned_down_goes_to_others() -> None:
    desk = planner(crowd(40), THIN, fees=DEAR)
    first = desk.next_plan()
    assert first is not None
    desk.reject(first, Rejected(market="lines", account=first.account, reason="simulation_reverted", detail="x"))
    rest = drain(desk)
    assert first.account not in {plan.account for plan in rest}
    usual = drain(planner(crowd(40), THIN, fees=DEAR))
    assert repaid(rest) > repaid(usual[1:])


def test_every_plan_earns_what_the_operator_asks_for() -> None:
    wanted = replace(SETTINGS, min_profit_usd=Decimal(40))
    desk = planner(crowd(40), THIN, settings=wanted, fees=DEAR)
    plans = drain(desk)
    assert plans
    assert all(plan.profit_raw >= 40 * 10**6 for plan in plans)
    assert {each.reason for each in desk.rejections()} <= {"below_min_profit", "not_profitable"}


@pytest.mark.parametrize("sizing", ["max", "target-health"])
def test_other_policies_take_their_amounts_in_a_burst_too(sizing: str) -> None:
    lines = {
        address(0xA000 + n): {(DEBT, COLLATERAL): Line((span(1, n * 10**8), everything(n * 10**8)), 110, 100)}
        for n in range(2, 13)
    }
    settings = replace(SETTINGS, sizing=sizing, target_health_wad=95 * 10**16 + 10**20)  # type: ignore[arg-type]
    plans = drain(planner(LineMarket(lines=lines), settings=settings))
    assert len(plans) == 11
    for plan in plans:
        assert plan.repay_raw == (number(plan) * 10**8 if sizing == "max" else 10**8)


def test_what_is_previewed_is_what_follows() -> None:
    desk = planner(crowd(30), THIN, fees=DEAR)
    first = desk.next_plan()
    expected = desk.preview(100)
    assert desk.next_plan() is first
    assert len(expected) > 3
    plans = drain(desk)
    assert plans[1 : len(expected) + 1] == expected
    assert desk.preview(5) == []


def test_an_amount_that_everything_is_is_named_where_it_can_be() -> None:
    """Asking for all depends on the second of inclusion; nearly all of it does not."""
    nearly = line_market(span(1, 10**9 - 500), everything(10**9))
    (plan,) = drain(planner(nearly, fees=USUAL_FEES))
    assert plan.call.cover_raw == 10**9 - 500
