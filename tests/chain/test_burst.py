"""A burst on the real market: planned together, simulated a few at a time, sent in order, worth what was promised."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from support.desk import Desk, open_desk

from keeper.chain.client import RpcChain
from keeper.devnet.accounts import OPERATOR
from keeper.devnet.borrowers import Habits
from keeper.devnet.world import World, WorldOptions, open_world
from keeper.domain.chain import SimulatedCall, SimulatedOutcome
from keeper.domain.plans import SimulatedPlan
from keeper.estimate.executor import realised_raw
from keeper.estimate.planner import Planner
from keeper.estimate.reprice import replay
from keeper.estimate.service import Estimator
from keeper.estimate.settings import EstimateSettings
from keeper.estimate.situation import Situation
from tests.conftest import TestSize

CRASH = {"WETH": -30, "WBTC": -30, "LINK": -30}
HABITS = Habits(size_usd=(2_000, 60_000))


@dataclass(slots=True)
class Counter:
    """What the node is asked to execute, passed on as it is."""

    chain: RpcChain
    sizes: list[int] = field(default_factory=list)

    def start(self) -> None:
        ask = self.chain.simulate

        async def simulate(calls: Sequence[SimulatedCall], **rest: object) -> list[SimulatedOutcome]:
            self.sizes.append(len(calls))
            return await ask(calls, **rest)  # type: ignore[arg-type]

        self.chain.simulate = simulate  # type: ignore[method-assign]


async def planned(desk: Desk, situation: Situation, settings: EstimateSettings) -> list[SimulatedPlan]:
    """Everything that pays, each on top of those before it; the arithmetic and the contracts agree on all."""
    planner, differences = Planner(situation, settings, desk.memory), list[int]()
    simulator = desk.simulator(settings, deployed=True)
    estimator = Estimator(planner, simulator, situation.fees, lambda _, raw: differences.append(raw))
    plans: list[SimulatedPlan] = []
    while (best := await estimator.best([plan.calldata for plan in plans])) is not None:
        planner.accept(best.plan)
        plans.append(best)
    assert differences == []
    return plans


async def one_by_one(desk: Desk, situation: Situation, settings: EstimateSettings) -> list[bytes]:
    """The same, each plan simulated by itself behind all before it."""
    planner, simulator = Planner(situation, settings, desk.memory), desk.simulator(settings, deployed=True)
    assert situation.fees is not None
    sent: list[bytes] = []
    while (plan := planner.next_plan()) is not None:
        gas, market = planner.gas_price(plan.market), planner.markets[plan.market]
        assert gas is not None
        simulation = await simulator.run(plan, market, gas=gas, fees=situation.fees, earlier=sent)
        if not isinstance(simulation.result, SimulatedPlan):  # its gas turned out to be more than was guessed
            planner.reject(plan, simulation.result)
            continue
        sent.append(simulation.result.calldata)
        planner.accept(plan)
    return sent


async def send_all(world: World, plans: Sequence[SimulatedPlan]) -> list[str]:
    """Send all plans from the operator, in order, and mine until the last is in a block."""
    hashes: list[str] = []
    async with world.transactions():
        nonce = int(await world.anvil.rpc.call("eth_getTransactionCount", OPERATOR.address, "latest"), 16)
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
        while await world.anvil.rpc.call("eth_getTransactionReceipt", hashes[-1]) is None:
            await world.anvil.mine()
    return hashes


async def test_a_burst_is_simulated_a_few_at_a_time_and_earns_what_was_planned(size: TestSize) -> None:
    borrowers = size.pick(quick=60, prove=440)
    async with open_world(WorldOptions(kind="aave-v3", borrowers=borrowers, habits=HABITS)) as world:
        await world.deploy_executor()
        async with open_desk(world) as desk:
            await world.shock(CRASH)
            settings = desk.settings(min_profit_usd=Decimal(1))
            situation = await desk.situation(settings)
            counter = Counter(desk.chain)
            await planned(desk, situation, settings)  # by now the gas of each shape of run is known
            counter.start()
            began = time.monotonic()
            plans = await planned(desk, situation, settings)
            together, together_s, counter.sizes = counter.sizes, time.monotonic() - began, []
            began = time.monotonic()
            await one_by_one(desk, situation, settings)
            singly, singly_s = counter.sizes, time.monotonic() - began
            print(
                f"{len(plans)} plans: {len(together)} requests with {sum(together)} runs in {together_s:.1f} s,"
                f" one by one {len(singly)} requests with {sum(singly)} runs in {singly_s:.1f} s"
            )
            assert len(plans) >= borrowers * 2 // 5
            assert sum(together) * 3 < sum(singly)
            earned, mined = [], []
            for transaction in await send_all(world, plans):
                receipt = await desk.chain.receipt(transaction)
                assert receipt is not None
                assert receipt.ok
                earned.append(realised_raw(receipt, plans[0].executor))
                mined.append((await desk.chain.block(receipt.block_number)).timestamp_s)
        row = [(each.plan, mined_s) for each, mined_s in zip(plans, mined, strict=True)]
        assert earned == replay(row, situation.markets, situation.venues)
        assert all(got >= each.plan.min_profit_raw for got, each in zip(earned, plans, strict=True))
