"""Plans on the deployed contracts: simulated, sent, and worth what was promised to the unit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from support.desk import Desk, open_desk

from keeper.devnet.accounts import OPERATOR
from keeper.devnet.world import World
from keeper.domain.plans import SimulatedPlan
from keeper.estimate.executor import realised_raw
from keeper.estimate.planner import Planner, Proposal
from keeper.estimate.reprice import replay
from keeper.estimate.service import Estimator

CRASH = {"WETH": -30, "WBTC": -30, "LINK": -30}


@pytest.fixture(params=["bundled_world", "aave_world"])
def world(request: pytest.FixtureRequest) -> World:
    found: World = request.getfixturevalue(request.param)
    return found


async def planned(desk: Desk, planner: Planner, estimator: Estimator) -> list[SimulatedPlan]:
    """Everything that pays now, each on top of those before it."""
    plans: list[SimulatedPlan] = []
    while (best := await estimator.best([plan.calldata for plan in plans])) is not None:
        planner.accept(best.plan)
        plans.append(best)
    return plans


async def send_all(world: World, plans: list[SimulatedPlan]) -> list[str]:
    """Send the very calldata of all plans from the operator into one block, in order."""
    async with world.transactions():
        nonce = int(await world.anvil.rpc.call("eth_getTransactionCount", OPERATOR.address, "latest"), 16)
        hashes = []
        for number, each in enumerate(plans):
            transaction = {
                "from": OPERATOR.address,
                "to": each.executor,
                "data": "0x" + each.calldata.hex(),
                "gas": hex(each.gas_limit),
                "nonce": hex(nonce + number),
                "maxFeePerGas": hex(each.fees.fee_cap_wei),
                "maxPriorityFeePerGas": hex(each.fees.tip_wei),
            }
            hashes.append(await world.anvil.rpc.call("eth_sendTransaction", transaction))
        await world.anvil.mine()
    return hashes


async def test_what_was_expected_is_what_is_earned(world: World) -> None:
    async with open_desk(world) as desk:
        await world.shock(CRASH)
        settings = desk.settings(min_profit_usd=Decimal(1))
        situation = await desk.situation(settings)
        planner = Planner(situation, settings, desk.memory)
        differences: list[int] = []
        estimator = Estimator(
            planner,
            desk.simulator(settings, deployed=True),
            situation.fees,
            lambda _, difference_raw: differences.append(difference_raw),
        )
        plans = await planned(desk, planner, estimator)
        assert len(plans) >= 10
        assert differences == []  # our arithmetic and the contracts agree on every plan
        earned = []
        for transaction in await send_all(world, plans):
            receipt = await desk.chain.receipt(transaction)
            assert receipt is not None
            assert receipt.ok
            earned.append(realised_raw(receipt, plans[0].executor))
            mined_s = (await desk.chain.block(receipt.block_number)).timestamp_s
        row = [(each.plan, mined_s) for each in plans]
        assert earned == replay(row, situation.markets, situation.venues)
        assert all(got >= each.plan.min_profit_raw for got, each in zip(earned, plans, strict=True))


async def test_an_executor_need_not_be_deployed(world: World) -> None:
    """The same plans, gas apart, with a stand-in created in the simulation."""
    async with open_desk(world) as desk:
        await world.shock(CRASH)
        settings = desk.settings(min_profit_usd=Decimal(1))
        situation = await desk.situation(settings)
        planner = Planner(situation, settings, desk.memory)
        stand_in, deployed = (desk.simulator(settings, deployed=each) for each in (False, True))
        assert situation.fees is not None
        for name, account in list(planner.candidates())[:5]:
            proposal, gas = planner.assess(name, account), planner.gas_price(name)
            assert isinstance(proposal, Proposal)
            assert gas is not None
            view = situation.markets[name]
            both = [await each.run(proposal.plan, view, gas=gas, fees=situation.fees) for each in (stand_in, deployed)]
            one, other = (each.result for each in both)
            assert isinstance(one, SimulatedPlan)
            assert isinstance(other, SimulatedPlan)
            assert one.plan.profit_raw == other.plan.profit_raw == proposal.plan.profit_raw
            assert abs(one.gas_units - other.gas_units) < other.gas_units // 20


async def test_own_funds_are_used_when_the_executor_has_them(world: World) -> None:
    async with open_desk(world) as desk:
        await world.shock(CRASH)
        settings = desk.settings()
        flash = Planner(await desk.situation(settings), settings, desk.memory)
        name, account = next(iter(flash.candidates()))
        balances = dict.fromkeys(world.tokens.values(), 10**40)
        own = Planner(await desk.situation(settings, balances), settings, desk.memory)
        borrowed, owned = flash.assess(name, account), own.assess(name, account)
        assert isinstance(borrowed, Proposal)
        assert isinstance(owned, Proposal)
        assert (borrowed.plan.funds[0].source, owned.plan.funds[0].source) == ("aave-flash-loan", "own")
        assert owned.choice.rank > borrowed.choice.rank
