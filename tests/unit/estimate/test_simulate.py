"""What is simulated, how often, with which minimum profit, and what is concluded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from eth_abi.abi import encode
from eth_utils import keccak
from support.lending import address
from support.markets import ACCOUNT, COLLATERAL, DEBT, HUB, Line, LineMarket, line_market, span
from support.planning import crowd, planner
from support.plans import PLAN
from support.pool_chain import v2_pool

from keeper.domain.chain import AccountOverride, Head, SimulatedCall, SimulatedOutcome
from keeper.domain.l1_fee import L1Fee
from keeper.domain.plans import Fees, Rejected, SimulatedPlan
from keeper.domain.units import Address
from keeper.estimate.executor import encode_run
from keeper.estimate.fees import gas_limit_for
from keeper.estimate.gas import GasMemory, GasPrice, shape_of_plan
from keeper.estimate.planner import Planner
from keeper.estimate.service import Estimator
from keeper.estimate.settings import EstimateSettings
from keeper.estimate.simulate import Simulator
from keeper.ports import L1Fees

GWEI = 10**9
GAS = GasPrice(wei_per_gas=GWEI, native_price_base=2000 * 10**8)
FEES = Fees(fee_cap_wei=2 * GWEI, tip_wei=0, expected_wei=GWEI)
MARKET = line_market(span(1, 10**9))
BIG = replace(PLAN, profit_raw=90 * 10**6, proceeds_raw=10**9, steps=(replace(PLAN.steps[0], repaid_raw=909 * 10**6),))
EXECUTOR, OWNER = address(0xE0), address(0xE1)


@dataclass
class RunChain:
    """Answers each simulated run with the same amounts, or a revert, and remembers what it was given."""

    profit_raw: int = BIG.profit_raw
    gas_units: int = 600_000
    revert: bytes | None = None
    minimum_obeyed: bool = True
    asked: list[list[SimulatedCall]] = field(default_factory=list)
    overrides: list[Mapping[Address, AccountOverride]] = field(default_factory=list)
    times: list[int | None] = field(default_factory=list)

    async def simulate(
        self,
        calls: Sequence[SimulatedCall],
        *,
        at: Head,
        timestamp_s: int | None = None,
        overrides: Mapping[Address, AccountOverride] | None = None,
    ) -> list[SimulatedOutcome]:
        if calls[0].data == bytes(keccak(text="owner()")[:4]):
            return [SimulatedOutcome(ok=True, data=bytes.fromhex(OWNER[2:]).rjust(32, b"\0"), gas_units=1)]
        self.asked.append(list(calls))
        self.overrides.append(overrides or {})
        self.times.append(timestamp_s)
        return [self._outcome() for _ in calls]

    def _outcome(self) -> SimulatedOutcome:
        if self.revert is not None:
            return SimulatedOutcome(ok=False, data=self.revert, gas_units=50_000)
        steps = [(step.repaid_raw, step.received_raw) for step in BIG.steps]
        data = encode(["(uint256,uint256)[]", "uint256", "uint256"], [steps, BIG.proceeds_raw, self.profit_raw])
        return SimulatedOutcome(ok=True, data=data, gas_units=self.gas_units)


def pool_error(data: bytes) -> tuple[str, str]:
    return "HEALTH_FACTOR_NOT_BELOW_THRESHOLD", "the account is healthy"


def simulator(
    chain: RunChain,
    memory: GasMemory,
    *,
    executor: Address | None = EXECUTOR,
    sender: Address | None = None,
    min_profit_usd: int = 0,
    tip_profit_bps: int = 0,
    l1_fees: L1Fees | None = None,
) -> Simulator:
    return Simulator(
        chain,  # type: ignore[arg-type]
        EstimateSettings(chain_id=31337, min_profit_usd=Decimal(min_profit_usd), tip_profit_bps=tip_profit_bps),
        memory,
        executor=executor,
        sender=sender,
        lending_pools=[PLAN.pool],
        v2_factories=[],
        v3_factories=[],
        decode_revert=pool_error,
        l1_fees=l1_fees,
    )


async def test_a_new_shape_is_simulated_twice_and_a_known_one_once() -> None:
    chain, memory = RunChain(), GasMemory()
    desk = simulator(chain, memory)
    first = (await desk.run(BIG, MARKET, gas=GAS, fees=FEES)).result
    assert isinstance(first, SimulatedPlan)
    assert len(chain.asked) == 2
    assert first.calldata == chain.asked[1][-1].data
    other = replace(BIG, deadline_block=BIG.deadline_block + 1)
    again = (await desk.run(other, MARKET, gas=GAS, fees=FEES)).result
    assert len(chain.asked) == 3
    assert isinstance(again, SimulatedPlan)
    assert again.plan.min_profit_raw == first.plan.min_profit_raw
    assert again.calldata == chain.asked[2][-1].data


async def test_the_minimum_covers_gas_and_the_operators_profit_rounded_up() -> None:
    result = (await simulator(RunChain(), GasMemory(), min_profit_usd=7).run(BIG, MARKET, gas=GAS, fees=FEES)).result
    assert isinstance(result, SimulatedPlan)
    # 600000 gas at 1 gwei and 2000 dollars is 1.20 dollars; a unit of debt is a millionth of a dollar
    assert result.plan.min_profit_raw == 8_200_000
    assert result.gas_cost_base == 120_000_000
    assert (result.profit_base, result.net_profit_base) == (90 * 10**8, 90 * 10**8 - 120_000_000)
    assert result.gas_cost_wei == 600_000 * GWEI
    assert result.gas_limit > 600_000


@dataclass
class FixedFees:
    """Takes the same for every run, and remembers what it was asked about."""

    answer: L1Fee
    asked: list[tuple[Address, bytes]] = field(default_factory=list)

    async def fee(self, to: Address, data: bytes, at: Head) -> L1Fee:
        self.asked.append((to, data))
        return self.answer


async def test_the_data_is_paid_for_beside_the_gas() -> None:
    # 0.0005 of a coin at 2000 dollars is one dollar
    fees = FixedFees(L1Fee(wei=5 * 10**14))
    desk = simulator(RunChain(), GasMemory(), min_profit_usd=7, l1_fees=fees)
    result = (await desk.run(BIG, MARKET, gas=GAS, fees=FEES)).result
    assert isinstance(result, SimulatedPlan)
    assert result.plan.min_profit_raw == 8_200_000 + 1_000_000
    assert (result.gas_cost_base, result.l1_fee_base) == (120_000_000, 10**8)
    assert result.net_profit_base == 90 * 10**8 - 120_000_000 - 10**8
    assert (result.l1_fee_wei, result.l1_reserve_wei, result.l1_gas_units) == (5 * 10**14, 10**15, 0)
    assert result.gas_limit == gas_limit_for(600_000)
    ((to, data),) = fees.asked
    assert (to, data) == (EXECUTOR, encode_run(replace(BIG, min_profit_raw=BIG.profit_raw)))
    assert len(data) >= len(result.calldata)


async def test_data_charged_as_gas_needs_room_in_the_gas_limit() -> None:
    fees = FixedFees(L1Fee(wei=40_000 * GWEI, gas_units=40_000))
    result = (await simulator(RunChain(), GasMemory(), l1_fees=fees).run(BIG, MARKET, gas=GAS, fees=FEES)).result
    assert isinstance(result, SimulatedPlan)
    assert (result.gas_units, result.gas_limit) == (600_000, gas_limit_for(640_000))
    assert (result.l1_fee_wei, result.l1_reserve_wei, result.l1_gas_units) == (40_000 * GWEI, 0, 40_000)


async def test_a_plan_that_only_its_data_makes_a_loss_is_rejected() -> None:
    cheap, dear = (FixedFees(L1Fee(wei=wei)) for wei in (10**15, 10**17))  # two dollars, two hundred
    results = [
        (await simulator(RunChain(), GasMemory(), l1_fees=each).run(BIG, MARKET, gas=GAS, fees=FEES)).result
        for each in (cheap, dear)
    ]
    assert isinstance(results[0], SimulatedPlan)
    assert isinstance(results[1], Rejected)
    assert results[1].reason == "not_profitable"


async def test_a_share_for_the_builder_leaves_enough_for_the_data() -> None:
    fees = FixedFees(L1Fee(wei=10**16))
    desk = simulator(RunChain(), GasMemory(), tip_profit_bps=9_000, l1_fees=fees)
    result = (await desk.run(BIG, MARKET, gas=GAS, fees=FEES)).result
    assert isinstance(result, SimulatedPlan)
    assert result.fees.tip_wei > 0
    assert 0 < result.net_profit_base <= (90 * 10**8 - 120_000_000 - 20 * 10**8) // 10 + 1


async def test_the_minimum_is_never_more_than_the_profit() -> None:
    chain = RunChain(profit_raw=1_300_000)
    small = replace(BIG, profit_raw=1_300_000)
    result = (await simulator(chain, GasMemory(), min_profit_usd=7).run(small, MARKET, gas=GAS, fees=FEES)).result
    assert isinstance(result, Rejected)
    assert result.reason == "below_min_profit"
    assert encode_run(replace(small, min_profit_raw=1_300_000)) == chain.asked[-1][-1].data


async def test_gas_that_eats_the_profit_rejects() -> None:
    chain = RunChain(gas_units=60_000_000)
    result = (await simulator(chain, GasMemory()).run(BIG, MARKET, gas=GAS, fees=FEES)).result
    assert isinstance(result, Rejected)
    assert result.reason == "not_profitable"


async def test_the_simulated_profit_decides_and_the_difference_is_told() -> None:
    simulation = await simulator(RunChain(profit_raw=80 * 10**6), GasMemory()).run(BIG, MARKET, gas=GAS, fees=FEES)
    assert simulation.difference_raw == -10 * 10**6
    assert isinstance(simulation.result, SimulatedPlan)
    assert simulation.result.plan.profit_raw == 80 * 10**6
    assert simulation.result.profit_base == 80 * 10**8


async def test_a_share_of_the_profit_is_offered_and_the_minimum_rises_with_it() -> None:
    """90 dollars less 1.20 for gas, less the 7 that must remain: half of 81.80 goes into the tip."""
    chain = RunChain()
    desk = simulator(chain, GasMemory(), min_profit_usd=7, tip_profit_bps=5_000)
    result = (await desk.run(BIG, MARKET, gas=GAS, fees=FEES)).result
    assert isinstance(result, SimulatedPlan)
    extra = 40_90 * 10**6 * 10**18 // (2000 * 10**8) // 600_000
    assert result.fees.tip_wei == FEES.tip_wei + extra
    assert result.fees.fee_cap_wei == FEES.fee_cap_wei + extra
    assert result.plan.min_profit_raw == -(-600_000 * (GWEI + extra) * 2000 * 10**6 // 10**18) + 7_000_000
    assert result.net_profit_base >= 7 * 10**8
    assert result.calldata == chain.asked[-1][-1].data == encode_run(result.plan)


async def test_where_the_dearer_run_reverts_the_plain_one_stays() -> None:
    memory = GasMemory()
    plain = (await simulator(RunChain(), memory).run(BIG, MARKET, gas=GAS, fees=FEES)).result
    assert isinstance(plain, SimulatedPlan)

    class Wary(RunChain):
        def _outcome(self) -> SimulatedOutcome:
            self.revert = b"" if len(self.asked) > 1 else None
            return super()._outcome()

    shared = (await simulator(Wary(), memory, tip_profit_bps=5_000).run(BIG, MARKET, gas=GAS, fees=FEES)).result
    assert shared == plain


async def test_a_revert_is_decoded() -> None:
    too_low = bytes(keccak(text="ProfitTooLow(uint256,uint256)")[:4]) + encode(["uint256"] * 2, [5, 9])
    result = (await simulator(RunChain(revert=too_low), GasMemory()).run(BIG, MARKET, gas=GAS, fees=FEES)).result
    assert isinstance(result, Rejected)
    assert (result.reason, result.detail) == (
        "simulation_reverted",
        "profit_too_low: the run gained 5, less than the required 9",
    )
    result = (
        await simulator(RunChain(revert=b"\x93\x0b\xb7\x71"), GasMemory()).run(BIG, MARKET, gas=GAS, fees=FEES)
    ).result
    assert isinstance(result, Rejected)
    assert result.detail == "HEALTH_FACTOR_NOT_BELOW_THRESHOLD: the account is healthy"


async def test_it_runs_on_top_of_what_is_on_its_way_at_the_planned_time() -> None:
    chain = RunChain()
    await simulator(chain, GasMemory(), sender=OWNER).run(BIG, MARKET, gas=GAS, fees=FEES, earlier=[b"\x01", b"\x02"])
    assert [call.data for call in chain.asked[0]][:2] == [b"\x01", b"\x02"]
    assert {call.sender for call in chain.asked[0]} == {OWNER}
    assert {call.to for call in chain.asked[0]} == {EXECUTOR}
    assert set(chain.times) == {BIG.inclusion_s}
    assert chain.overrides[0] == {}


async def test_without_a_sender_the_executors_owner_runs_it() -> None:
    chain = RunChain()
    await simulator(chain, GasMemory()).run(BIG, MARKET, gas=GAS, fees=FEES)
    assert {call.sender for call in chain.asked[0]} == {OWNER}


async def test_without_an_executor_one_is_created_first() -> None:
    chain = RunChain()
    desk = simulator(chain, GasMemory(), executor=None)
    await desk.run(BIG, MARKET, gas=GAS, fees=FEES)
    creation, run = chain.asked[0]
    assert creation.to is None
    assert run.to == desk.executor
    assert creation.sender == run.sender
    assert chain.overrides[0][creation.sender].nonce == 0


async def test_the_gas_of_a_shape_is_remembered() -> None:
    memory = GasMemory()
    await simulator(RunChain(), memory).run(BIG, MARKET, gas=GAS, fees=FEES)
    assert memory.guess(shape_of_plan(BIG)) == 600_000


async def test_the_estimator_goes_on_to_the_next_plan_when_one_reverts() -> None:
    desk = planner(crowd(4))
    chain = RunChain(revert=b"")
    estimator = Estimator(desk, simulator(chain, GasMemory()), FEES)
    assert await estimator.best() is None
    assert [each.reason for each in desk.rejections()] == ["simulation_reverted"] * 3
    keys = list(desk.candidates())
    plans, rejected = await Estimator(planner(crowd(4)), simulator(RunChain(), GasMemory()), FEES).each(keys)
    assert (len(plans), len(rejected)) == (3, 0)


def two_debts() -> Planner:
    """A planner whose one account is best liquidated in two steps: each pool alone is thin."""
    line = Line((span(1, 10**9),), 110, 100, 10**4)
    market = LineMarket(lines={ACCOUNT: {(DEBT, COLLATERAL): line, (HUB, COLLATERAL): line}})
    pools = (v2_pool(number, COLLATERAL, debt, 10**10, 10**10) for number, debt in enumerate((DEBT, HUB), start=1))
    desk = planner(market, *pools)
    plan = desk.next_plan()
    assert plan is not None
    assert len(plan.steps) == 2
    return desk


class OneStepChain(RunChain):
    """Reverts every run that liquidates its account more than once."""

    def _outcome(self) -> SimulatedOutcome:
        several = self.asked[-1][-1].data.count(bytes.fromhex(ACCOUNT[2:])) > 1
        self.revert = b"" if several else None
        return super()._outcome()


async def test_a_run_of_several_steps_that_reverts_is_followed_by_one_in_single_steps() -> None:
    desk, chain = two_debts(), OneStepChain()
    result = await Estimator(desk, simulator(chain, GasMemory()), FEES).best()
    assert isinstance(result, SimulatedPlan)
    assert len(result.plan.steps) == 1
    assert desk.rejections() == []
    plans, rejected = await Estimator(two_debts(), simulator(OneStepChain(), GasMemory()), FEES).each(desk.candidates())
    assert [len(plan.plan.steps) for plan in plans] == [1]
    assert rejected == []


async def test_an_account_whose_single_steps_revert_too_is_given_up() -> None:
    desk, chain = two_debts(), RunChain(revert=b"")
    assert await Estimator(desk, simulator(chain, GasMemory()), FEES).best() is None
    runs = [calls[-1].data.count(bytes.fromhex(ACCOUNT[2:])) for calls in chain.asked]
    assert list(dict.fromkeys(runs)) == [2, 1]
    assert [each.reason for each in desk.rejections()] == ["simulation_reverted"]
    keys = list(desk.candidates())
    plans, rejected = await Estimator(two_debts(), simulator(RunChain(revert=b""), GasMemory()), FEES).each(keys)
    assert plans == []
    assert [each.reason for each in rejected] == ["simulation_reverted"]


def test_only_a_revert_gives_single_steps_a_chance() -> None:
    desk = two_debts()
    plan = desk.next_plan()
    assert plan is not None
    why = Rejected(market="lines", account=ACCOUNT, reason="below_min_profit", detail="too little")
    assert not desk.reject(plan, why)
    assert desk.next_plan() is None
    assert desk.rejections() == [why]


async def test_the_runner_up_of_a_plan_is_found_later_and_is_the_one_of_the_profile() -> None:
    two = {(DEBT, COLLATERAL): Line((span(1, 10**8),), 110, 100), (DEBT, DEBT): Line((span(1, 10**8),), 105, 100)}
    gap = {(DEBT, COLLATERAL): Line((span(1, 6 * 10**7), span(10**8, 10**8)), 110, 100)}
    alone = {(DEBT, COLLATERAL): two[DEBT, COLLATERAL]}
    thin = v2_pool(1, COLLATERAL, DEBT, 8 * 10**8, 8 * 10**8)
    for lines, pools, has_one in ((two, (), True), (gap, (thin,), True), (alone, (), False)):
        book = planner(LineMarket(lines={ACCOUNT: lines}), *pools)
        plan = book.next_plan()
        assert plan is not None
        profile = book.profile("lines", ACCOUNT)
        assert profile is not None
        assert (profile.runner_up is not None) is has_one
        find = book.runner_up_of(plan)
        book.accept(plan)
        assert find() == (profile.runner_up.net_base if profile.runner_up is not None else None)
