"""What a run leaves behind, loans and premiums included: the market read afterwards is the one we computed."""

from __future__ import annotations

from decimal import Decimal

import pytest
from support.desk import BLOCK_S, open_desk

from keeper.devnet.world import World
from keeper.domain.plans import SimulatedPlan
from keeper.estimate.planner import Planner, Proposal
from keeper.estimate.reprice import carry_out
from keeper.estimate.service import Estimator
from keeper.lending.aave_v3.rules.interest import compute_debt_ray, compute_income_ray
from keeper.lending.aave_v3.view import AaveV3View
from tests.chain.test_quotes_plans import CRASH, planned, send_all


@pytest.fixture(params=["bundled_world", "aave_world", "aave_36_world"])
def world(request: pytest.FixtureRequest) -> World:
    found: World = request.getfixturevalue(request.param)
    return found


def carried_out(view: AaveV3View, plans: list[SimulatedPlan], venues: object, at_s: int) -> AaveV3View:
    for each in plans:
        done = carry_out(each.plan, view, venues, at_s)  # type: ignore[arg-type]
        assert done is not None
        assert isinstance(done.market, AaveV3View)
        view, venues = done.market, done.venues
    return view


async def test_the_market_after_a_block_of_runs_is_the_one_computed(world: World) -> None:
    """Indices, what reserves hold and count, what the treasury is owed, and every position, to the unit."""
    async with open_desk(world) as desk:
        await world.shock(CRASH)
        settings = desk.settings(min_profit_usd=Decimal(1))
        situation = await desk.situation(settings)
        planner = Planner(situation, settings, desk.memory)
        estimator = Estimator(planner, desk.simulator(settings, deployed=True), situation.fees)
        plans = await planned(desk, planner, estimator)
        assert len(plans) >= 5
        receipt = await desk.chain.receipt((await send_all(world, plans))[-1])
        assert receipt is not None
        mined = await desk.chain.block(receipt.block_number)
        (before,) = situation.markets.values()
        assert isinstance(before, AaveV3View)
        now = await desk.market.advance(mined, None)
        expected = carried_out(before, plans, situation.venues, mined.timestamp_s)
    assert dict(now.positions) == dict(expected.positions)
    lent = {fund.token for each in plans for fund in each.plan.funds if fund.source == "aave-flash-loan"}
    assert lent
    for id_, reserve in now.reserves.items():
        computed = expected.reserves[id_]
        assert compute_income_ray(reserve, mined.timestamp_s) == compute_income_ray(computed, mined.timestamp_s)
        debt_rays = [compute_debt_ray(each, now.deployment, mined.timestamp_s) for each in (reserve, computed)]
        assert debt_rays[0] == debt_rays[1]
        assert (reserve.balance_raw, reserve.virtual_raw) == (computed.balance_raw, computed.virtual_raw)
        assert reserve.supply_scaled == computed.supply_scaled
        if reserve.token in lent and now.deployment.premium_to_suppliers:
            assert reserve.treasury_scaled == computed.treasury_scaled
            assert reserve.liquidity_index_ray > before.reserves[id_].liquidity_index_ray


async def test_a_plan_stands_until_its_deadline(world: World) -> None:
    """Debts grow while a plan waits for its block; what it buys to repay them has room for that."""
    async with open_desk(world) as desk:
        await world.shock(CRASH)
        settings = desk.settings()
        situation = await desk.situation(settings)
        planner = Planner(situation, settings, desk.memory)
        found = [planner.assess(*key) for key in planner.candidates()]
        plans = [each.plan for each in found if isinstance(each, Proposal)]
        assert any(len(plan.funds) > 1 for plan in plans)
        for plan in plans:
            market = situation.markets[plan.market]
            for late_s in (0, 12, 60, settings.deadline_blocks * BLOCK_S):
                carried = carry_out(plan, market, situation.venues, plan.inclusion_s + late_s)
                assert carried is not None, (plan.account, late_s)
                assert carried.plan.profit_raw > 0
