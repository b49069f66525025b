"""What is simulated, how often, with which minimum profit, and what is concluded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from eth_abi.abi import encode
from eth_utils import keccak
from support.lending import address
from support.markets import line_market, span
from support.planning import crowd, planner
from support.plans import PLAN

from keeper.domain.chain import AccountOverride, Head, SimulatedCall, SimulatedOutcome
from keeper.domain.plans import Fees, Rejected, SimulatedPlan
from keeper.domain.units import Address
from keeper.estimate.executor import encode_run
from keeper.estimate.gas import GasMemory, GasPrice, shape_of
from keeper.estimate.service import Estimator
from keeper.estimate.settings import EstimateSettings
from keeper.estimate.simulate import Simulator

GWEI = 10**9
GAS = GasPrice(wei_per_gas=GWEI, native_price_base=2000 * 10**8)
FEES = Fees(fee_cap_wei=2 * GWEI, tip_wei=0, expected_wei=GWEI)
MARKET = line_market(span(1, 10**9))
BIG = replace(PLAN, profit_raw=90 * 10**6, proceeds_raw=10**9, repay_raw=909 * 10**6)
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
        data = encode(["uint256"] * 4, [BIG.repay_raw, BIG.seize_raw, BIG.proceeds_raw, self.profit_raw])
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
    )


async def test_a_new_shape_is_simulated_twice_and_a_known_one_once() -> None:
    chain, memory = RunChain(), GasMemory()
    desk = simulator(chain, memory)
    first = (await desk.run(BIG, MARKET, gas=GAS, fees=FEES)).result
    assert isinstance(first, SimulatedPlan)
    assert len(chain.asked) == 2
    again = (await desk.run(BIG, MARKET, gas=GAS, fees=FEES)).result
    assert len(chain.asked) == 3
    assert isinstance(again, SimulatedPlan)
    assert again.calldata == first.calldata == chain.asked[1][-1].data


async def test_the_minimum_covers_gas_and_the_operators_profit_rounded_up() -> None:
    result = (await simulator(RunChain(), GasMemory(), min_profit_usd=7).run(BIG, MARKET, gas=GAS, fees=FEES)).result
    assert isinstance(result, SimulatedPlan)
    # 600000 gas at 1 gwei and 2000 dollars is 1.20 dollars; a unit of debt is a millionth of a dollar
    assert result.plan.min_profit_raw == 8_200_000
    assert result.gas_cost_base == 120_000_000
    assert (result.profit_base, result.net_profit_base) == (90 * 10**8, 90 * 10**8 - 120_000_000)
    assert result.gas_cost_wei == 600_000 * GWEI
    assert result.gas_limit > 600_000


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
    loss = bytes(keccak(text="Loss(uint256)")[:4]) + encode(["uint256"], [5])
    result = (await simulator(RunChain(revert=loss), GasMemory()).run(BIG, MARKET, gas=GAS, fees=FEES)).result
    assert isinstance(result, Rejected)
    assert (result.reason, result.detail) == (
        "simulation_reverted",
        "loss: the run would lose 5 of the debt token",
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
    assert memory.guess(shape_of((quote.hop for quote in BIG.route), "aave-flash-loan", 0)) == 600_000


async def test_the_estimator_goes_on_to_the_next_plan_when_one_reverts() -> None:
    desk = planner(crowd(4))
    chain = RunChain(revert=b"")
    estimator = Estimator(desk, simulator(chain, GasMemory()), FEES)
    assert await estimator.best() is None
    assert [each.reason for each in desk.rejections()] == ["simulation_reverted"] * 3
    keys = list(desk.candidates())
    plans, rejected = await Estimator(planner(crowd(4)), simulator(RunChain(), GasMemory()), FEES).each(keys)
    assert (len(plans), len(rejected)) == (3, 0)
