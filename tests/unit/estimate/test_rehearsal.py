"""Runs executed ahead of their turn: what may be used again, and what may not."""

from __future__ import annotations

from dataclasses import replace

from support.lending import address
from support.plans import PLAN

from keeper.domain.chain import Head, SimulatedCall, SimulatedOutcome
from keeper.domain.l1_fee import L1Fee
from keeper.domain.plans import Plan, SimulatedPlan
from keeper.domain.units import Address
from keeper.estimate.executor import encode_run
from keeper.estimate.gas import GasMemory, shape_of_plan
from keeper.estimate.rehearsal import Rehearsal
from keeper.estimate.simulate import Simulator
from tests.unit.estimate.test_simulate import BIG, FEES, GAS, MARKET, RunChain, simulator

OTHER = replace(PLAN, deadline_block=PLAN.deadline_block + 1)
DONE = SimulatedOutcome(ok=True, data=b"done", gas_units=1)
REVERTED = SimulatedOutcome(ok=False, data=b"", gas_units=1)


def test_an_outcome_is_found_behind_the_same_runs_only() -> None:
    rehearsal = Rehearsal()
    rehearsal.note([PLAN, OTHER], [DONE, DONE], [b"x"], ())
    assert rehearsal.find(PLAN, [b"x"], ()) == (PLAN, DONE)
    assert rehearsal.find(PLAN, [], ()) is None
    assert rehearsal.find(OTHER, [b"x"], ()) is None
    assert rehearsal.find(OTHER, [b"x", encode_run(PLAN)], ()) == (OTHER, DONE)
    assert rehearsal.find(OTHER, [encode_run(PLAN), b"x"], ()) is None


def test_what_comes_first_the_head_and_the_time_count_too() -> None:
    rehearsal = Rehearsal()
    push = SimulatedCall(sender=address(1), to=address(2), data=b"push")
    rehearsal.note([PLAN], [DONE], [], (push,))
    assert rehearsal.find(PLAN, [], (push,)) is not None
    assert rehearsal.find(PLAN, [], ()) is None
    assert rehearsal.find(replace(PLAN, inclusion_s=PLAN.inclusion_s + 1), [], (push,)) is None
    assert rehearsal.find(replace(PLAN, head=replace(PLAN.head, hash="0x" + "ab" * 32)), [], (push,)) is None


def test_the_minimum_profit_it_was_executed_with_comes_back() -> None:
    rehearsal = Rehearsal()
    asked = replace(PLAN, min_profit_raw=7)
    rehearsal.note([asked], [DONE], [], ())
    assert rehearsal.find(PLAN, [], ()) == (asked, DONE)


def test_what_ran_on_an_earlier_head_is_forgotten_at_the_next_and_not_the_other_way_round() -> None:
    rehearsal = Rehearsal()
    later = replace(PLAN, head=replace(PLAN.head, number=PLAN.head.number + 1, hash="0x" + "ab" * 32))
    rehearsal.note([PLAN], [DONE], [], ())
    assert rehearsal.find(later, [], ()) is None
    assert rehearsal.find(PLAN, [], ()) is None
    rehearsal.note([later], [DONE], [], ())
    assert rehearsal.find(PLAN, [], ()) is None
    assert rehearsal.find(later, [], ()) == (later, DONE)


def test_nothing_is_known_from_the_first_failure_on() -> None:
    rehearsal = Rehearsal()
    rehearsal.note([PLAN, OTHER], [REVERTED, DONE], [], ())
    assert rehearsal.find(PLAN, [], ()) is None
    assert rehearsal.find(OTHER, [encode_run(PLAN)], ()) is None


async def test_plans_that_follow_are_executed_with_the_first_and_not_again() -> None:
    chain, memory = RunChain(), GasMemory()
    memory.learn(shape_of_plan(BIG), 600_000)
    desk = simulator(chain, memory)
    following = [replace(BIG, deadline_block=BIG.deadline_block + more) for more in (1, 2)]
    plans, calldata = [BIG, *following], list[bytes]()
    for plan in plans:
        simulation = await desk.run(
            plan, MARKET, gas=GAS, fees=FEES, earlier=calldata, following=lambda: [(each, MARKET) for each in following]
        )
        assert isinstance(simulation.result, SimulatedPlan)
        calldata.append(simulation.result.calldata)
    assert [len(calls) for calls in chain.asked] == [3]
    assert [call.data for call in chain.asked[0]] == calldata


async def test_who_follows_is_asked_again_where_something_else_came_between() -> None:
    chain, memory = RunChain(), GasMemory()
    memory.learn(shape_of_plan(BIG), 600_000)
    desk = simulator(chain, memory)
    other = replace(BIG, deadline_block=BIG.deadline_block + 1)
    await desk.run(BIG, MARKET, gas=GAS, fees=FEES, following=lambda: [(other, MARKET)])
    await desk.run(other, MARKET, gas=GAS, fees=FEES, earlier=[b"another run"])
    assert [len(calls) for calls in chain.asked] == [2, 2]


async def test_another_minimum_profit_of_an_earlier_run_changes_nothing_for_those_behind_it() -> None:
    """A tip that rises with the profit: each run is executed once more by itself, with its final minimum."""
    chain, memory = RunChain(), GasMemory()
    memory.learn(shape_of_plan(BIG), 600_000)
    desk, calldata = simulator(chain, memory, tip_profit_bps=1_000), list[bytes]()
    following = [replace(BIG, deadline_block=BIG.deadline_block + more) for more in (1, 2)]
    for plan in (BIG, *following):
        ahead = [(each, MARKET) for each in following]
        simulation = await desk.run(plan, MARKET, gas=GAS, fees=FEES, earlier=calldata, following=lambda x=ahead: x)
        assert isinstance(simulation.result, SimulatedPlan)
        calldata.append(simulation.result.calldata)
    assert [len(calls) for calls in chain.asked] == [3, 1, 2, 3]
    assert [calls[-1].data for calls in chain.asked[1:]] == calldata
    assert chain.asked[0][0].data != calldata[0]


async def test_a_new_shape_executed_ahead_is_asked_for_more_than_its_gas_and_not_run_again() -> None:
    guess, first = GasMemory().guess(shape_of_plan(BIG)), replace(BIG, legs=())
    for measured, requests in ((guess + guess // 3, 1), (2 * guess, 2)):
        chain, known = RunChain(gas_units=measured), GasMemory()
        known.learn(shape_of_plan(first), known.guess(shape_of_plan(first)))
        desk = simulator(chain, known)
        await desk.run(first, MARKET, gas=GAS, fees=FEES, following=lambda: [(BIG, MARKET)])
        simulation = await desk.run(BIG, MARKET, gas=GAS, fees=FEES, earlier=[chain.asked[0][0].data])
        assert isinstance(simulation.result, SimulatedPlan)
        assert len(chain.asked) == requests
        assert GAS.cost_base(measured) <= simulation.result.plan.min_profit_raw * 100


async def test_only_plans_of_the_same_market_are_executed_ahead() -> None:
    chain = RunChain()
    other = replace(BIG, market="another", deadline_block=BIG.deadline_block + 1)
    await simulator(chain, GasMemory()).run(BIG, MARKET, gas=GAS, fees=FEES, following=lambda: [(other, MARKET)])
    assert {len(calls) for calls in chain.asked} == {1}


class FeesByTurn:
    """Takes what is next in the list for data it has not seen yet."""

    def __init__(self, *wei: int) -> None:
        self.wei = list(wei)
        self.known: dict[bytes, L1Fee] = {}

    async def fee(self, to: Address, data: bytes, at: Head) -> L1Fee:
        if data not in self.known:
            self.known[data] = L1Fee(wei=self.wei.pop(0))
        return self.known[data]


def desk_with(chain: RunChain, fees: FeesByTurn) -> Simulator:
    memory = GasMemory()
    memory.learn(shape_of_plan(BIG), 600_000)
    return simulator(chain, memory, l1_fees=fees)


async def test_a_run_executed_ahead_asks_for_what_its_own_data_costs() -> None:
    """Two dollars for the data of the first run, eight for the second; 1.20 for the gas of each."""
    chain, other = RunChain(), replace(BIG, deadline_block=BIG.deadline_block + 1)
    desk = desk_with(chain, FeesByTurn(10**15, 4 * 10**15))
    first = await desk.run(BIG, MARKET, gas=GAS, fees=FEES, following=lambda: [(other, MARKET)])
    assert isinstance(first.result, SimulatedPlan)
    second = await desk.run(other, MARKET, gas=GAS, fees=FEES, earlier=[first.result.calldata])
    assert isinstance(second.result, SimulatedPlan)
    assert [len(calls) for calls in chain.asked] == [2]
    assert first.result.plan.min_profit_raw == 3_200_000
    assert 9_200_000 <= second.result.plan.min_profit_raw <= 9_500_000
    assert second.result.calldata == chain.asked[0][-1].data


async def test_a_run_executed_ahead_is_executed_again_where_it_asked_for_too_little_or_too_much() -> None:
    for wei_then, wei_now in ((10**15, 4 * 10**15), (4 * 10**15, 10**15)):
        chain, other = RunChain(), replace(BIG, deadline_block=BIG.deadline_block + 1)
        fees = FeesByTurn(0, wei_then, wei_now)
        desk = desk_with(chain, fees)
        first = await desk.run(BIG, MARKET, gas=GAS, fees=FEES, following=lambda: [(other, MARKET)])  # noqa: B023
        assert isinstance(first.result, SimulatedPlan)
        fees.known.clear()
        second = await desk.run(other, MARKET, gas=GAS, fees=FEES, earlier=[first.result.calldata])
        assert isinstance(second.result, SimulatedPlan)
        assert [len(calls) for calls in chain.asked] == [2, 2]
        assert second.result.plan.min_profit_raw == 1_200_000 + wei_now * 2000 // 10**12
        assert second.result.calldata == chain.asked[1][-1].data


async def test_a_little_more_gas_than_the_run_before_is_no_reason_to_execute_again() -> None:
    for more, requests in ((30_000, 1), (60_000, 2)):
        chain = Growing(more=more)
        desk, other = desk_with(chain, FeesByTurn(0, 0)), replace(BIG, deadline_block=BIG.deadline_block + 1)
        plan: Plan
        calldata: list[bytes] = []
        for plan in (BIG, other):
            done = await desk.run(
                plan,
                MARKET,
                gas=GAS,
                fees=FEES,
                earlier=calldata,
                following=lambda: [(other, MARKET)],  # noqa: B023
            )
            assert isinstance(done.result, SimulatedPlan)
            calldata.append(done.result.calldata)
        assert len(chain.asked) == requests
        assert done.result.plan.min_profit_raw >= (600_000 + more) * 2


class Growing(RunChain):
    """Each further run of a request uses `more` gas."""

    def __init__(self, more: int) -> None:
        super().__init__()
        self.more = more

    async def simulate(  # type: ignore[override]
        self, calls: list[SimulatedCall], *, at: Head, **other: object
    ) -> list[SimulatedOutcome]:
        outcomes = await super().simulate(calls, at=at, **other)  # type: ignore[arg-type]
        return [replace(each, gas_units=each.gas_units + index * self.more) for index, each in enumerate(outcomes)]
