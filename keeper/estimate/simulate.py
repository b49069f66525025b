"""Runs the very calldata of a plan on the state it will meet, before anything is signed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from eth_utils import keccak

from keeper.domain.chain import AccountOverride, Head, SimulatedCall, SimulatedOutcome
from keeper.domain.fixed_point import mul_div_down, mul_div_up
from keeper.domain.l1_fee import NO_L1_FEE, L1Fee
from keeper.domain.lending import Outcome
from keeper.domain.plans import Fees, Plan, Rejected, SimulatedPlan
from keeper.domain.units import WAD, Address, to_address
from keeper.estimate.executor import (
    RevertDecoder,
    RunResult,
    decode_executor_revert,
    decode_run,
    encode_creation,
    encode_owner,
    encode_run,
)
from keeper.estimate.fees import gas_limit_for, l1_reserve_wei, share_profit
from keeper.estimate.gas import GasMemory, GasPrice, Shape, shape_of_plan
from keeper.estimate.reasons import reject_profit
from keeper.estimate.rehearsal import Rehearsal
from keeper.estimate.settings import EstimateSettings
from keeper.estimate.tolls import premium_base, slippage_base
from keeper.ports import Chain, L1Fees, MarketView

_STAND_IN_OWNER: Final = to_address(keccak(text="keeper: owner of a simulated executor")[12:])
_STAND_IN_TREASURY: Final = to_address(keccak(text="keeper: treasury of a simulated executor")[12:])

_KNOWN_ROOM, _GUESS_ROOM = 4, 1
"""Room above the gas of a shape, as a shift: a sixteenth where it is known, half where it is guessed."""

Following = Callable[[], Sequence[tuple[Plan, MarketView]]]
"""Tells which plans are expected next, with their markets."""


def nothing_follows() -> Sequence[tuple[Plan, MarketView]]:
    """Expect no further plan."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What came of one plan. `difference_raw` is simulated less planned profit, in units of the profit token.

    Anything but zero means that our arithmetic and the contracts disagree about this plan; the
    decision in `result` rests on the simulated figures.
    """

    result: SimulatedPlan | Rejected
    difference_raw: int = 0


class Simulator:
    """Executes plans by eth_simulateV1 at their predicted block time.

    Without a deployed executor each simulation first creates one, owned by a stand-in, that allows
    exactly the given lending pools, factories and flash lenders.
    """

    def __init__(  # noqa: PLR0913 - the executor's lists, all by keyword
        self,
        chain: Chain,
        settings: EstimateSettings,
        memory: GasMemory,
        *,
        executor: Address | None,
        sender: Address | None,
        lending_pools: Iterable[Address],
        v2_factories: Iterable[Address],
        v3_factories: Iterable[Address],
        flash_lenders: Iterable[Address] = (),
        decode_revert: RevertDecoder,
        l1_fees: L1Fees | None = None,
    ) -> None:
        self._chain = chain
        self._settings = settings
        self._memory = memory
        self._deployed = executor
        self._sender = sender
        self._decode_revert = decode_revert
        self._l1_fees = l1_fees
        self._rehearsal = Rehearsal()
        self._creation = encode_creation(
            owner=_STAND_IN_OWNER,
            treasury=_STAND_IN_TREASURY,
            operators=(),
            lending_pools=tuple(lending_pools),
            v2_factories=tuple(v2_factories),
            v3_factories=tuple(v3_factories),
            flash_lenders=tuple(flash_lenders),
        )

    @property
    def executor(self) -> Address:
        """The executor that plans are encoded for: the deployed one, or where the stand-in is created."""
        return self._deployed or _first_contract_of(_STAND_IN_OWNER)

    async def run(
        self,
        plan: Plan,
        market: MarketView,
        *,
        gas: GasPrice,
        fees: Fees,
        earlier: Sequence[bytes] = (),
        before: Sequence[SimulatedCall] = (),
        following: Following = nothing_follows,
    ) -> Simulation:
        """Return the simulated plan, or why it is not worth sending.

        `earlier` is the calldata of plans already on their way: they are executed first, and what is
        in `before` ahead of them. The minimum profit in the calldata covers the gas this shape of run
        is known to use, and its data; for a new shape the run is simulated twice, the second time with
        the gas the first one measured. The plans that are expected after this one are executed with it;
        what they did then counts when their turn comes, if what they asked for still covers their costs.
        """
        l1_fee = await self._l1_fee(plan)
        gas = replace(gas, l1_fee_wei=l1_fee.wei)
        shape = shape_of_plan(plan)
        was_known = self._memory.is_known(shape)
        rehearsed = self._rehearsal.find(plan, earlier, before)
        gas_units = self._memory.guess(shape) if rehearsed is None else rehearsed[1].gas_units
        final = self._with_minimum(plan, market, gas, gas_units)
        if rehearsed is not None and _covers(rehearsed[0], final):
            final, outcome = rehearsed
        else:
            outcome = await self._rehearse(final, gas, earlier, before, following)
        if not outcome.ok and not was_known:
            outcome = await self._execute(final := replace(plan, min_profit_raw=0), earlier, before)
        if outcome.ok:
            self._memory.learn(shape, outcome.gas_units)
        if outcome.ok and not was_known:
            measured = self._with_minimum(plan, market, gas, outcome.gas_units)
            if not _covers(final, measured):
                outcome = await self._execute(final := measured, earlier, before)
        if not outcome.ok:
            return Simulation(result=self._reverted(plan, outcome))
        simulation = self._judge(final, market, gas, fees, l1_fee, outcome)
        if self._settings.tip_profit_bps and isinstance(simulation.result, SimulatedPlan):
            return await self._with_higher_tip(plan, market, simulation.result, l1_fee, earlier, before) or simulation
        return simulation

    async def _with_higher_tip(
        self,
        plan: Plan,
        market: MarketView,
        simulated: SimulatedPlan,
        l1_fee: L1Fee,
        earlier: Sequence[bytes],
        before: Sequence[SimulatedCall],
    ) -> Simulation | None:
        """Give a share of the profit to whoever includes the plan; None when that would leave too little.

        The minimum profit rises with the tip, so the calldata is another one, and is run again.
        """
        settings = self._settings
        fees = share_profit(
            simulated.fees,
            spare_base=simulated.net_profit_base - settings.min_profit_base(market.base_unit),
            share_bps=settings.tip_profit_bps,
            gas_units=simulated.gas_units,
            native_price_base=simulated.native_price_base,
            max_gas_price_wei=settings.max_gas_price_wei,
        )
        gas = GasPrice(
            wei_per_gas=fees.expected_wei, native_price_base=simulated.native_price_base, l1_fee_wei=l1_fee.wei
        )
        dearer = self._with_minimum(plan, market, gas, simulated.gas_units)
        outcome = await self._execute(dearer, earlier, before)
        if not outcome.ok:
            return None
        simulation = self._judge(dearer, market, gas, fees, l1_fee, outcome)
        return simulation if isinstance(simulation.result, SimulatedPlan) else None

    async def _l1_fee(self, plan: Plan) -> L1Fee:
        """Return what the plan's data costs, encoded with the greatest minimum profit: no final one is longer."""
        if self._l1_fees is None:
            return NO_L1_FEE
        data = encode_run(replace(plan, min_profit_raw=max(0, plan.profit_raw)))
        return await self._l1_fees.fee(self.executor, data, plan.head)

    async def _rehearse(
        self,
        plan: Plan,
        gas: GasPrice,
        earlier: Sequence[bytes],
        before: Sequence[SimulatedCall],
        following: Following,
    ) -> SimulatedOutcome:
        """Execute `plan` and those that follow in its market, and remember what they did."""
        plans = [plan]
        for other, market in following():
            if other.market != plan.market:
                break
            its_gas = replace(gas, l1_fee_wei=(await self._l1_fee(other)).wei)
            plans.append(self._with_minimum(other, market, its_gas, self._most_gas(shape_of_plan(other))))
        outcomes = await self._execute_all(plans, earlier, before)
        self._rehearsal.note(plans, outcomes, earlier, before)
        return outcomes[0]

    def _most_gas(self, shape: Shape) -> int:
        """Return the gas of a shape with some room, and more where it is a guess: it is to cover what is measured."""
        guess = self._memory.guess(shape)
        return guess + (guess >> (_KNOWN_ROOM if self._memory.is_known(shape) else _GUESS_ROOM))

    async def _execute(self, plan: Plan, earlier: Sequence[bytes], before: Sequence[SimulatedCall]) -> SimulatedOutcome:
        outcomes = await self._execute_all([plan], earlier, before)
        self._rehearsal.note([plan], outcomes, earlier, before)
        return outcomes[0]

    async def _execute_all(
        self, plans: Sequence[Plan], earlier: Sequence[bytes], before: Sequence[SimulatedCall]
    ) -> list[SimulatedOutcome]:
        """Return what each plan does; each time the failure of what should have been ready before, if that fails."""
        head, at_s = plans[0].head, plans[0].inclusion_s
        sender = await self._runner(head)
        data = [*earlier, *(encode_run(plan) for plan in plans)]
        runs = [SimulatedCall(sender=sender, to=self.executor, data=each) for each in data]
        calls = [*before, *runs]
        overrides: dict[Address, AccountOverride] = {}
        if self._deployed is None:
            calls.insert(0, SimulatedCall(sender=sender, to=None, data=self._creation))
            overrides[sender] = AccountOverride(balance_wei=WAD, nonce=0)
        outcomes = await self._chain.simulate(calls, at=head, timestamp_s=at_s, overrides=overrides)
        ahead = len(outcomes) - len(runs)
        failed = next((outcome for outcome in outcomes[:ahead] if not outcome.ok), None)
        return outcomes[-len(plans) :] if failed is None else [failed] * len(plans)

    async def _runner(self, head: Head) -> Address:
        if self._deployed is None:
            return _STAND_IN_OWNER
        if self._sender is None:
            call = SimulatedCall(sender=self._deployed, to=self._deployed, data=encode_owner())
            (answer,) = await self._chain.simulate([call], at=head)
            self._sender = to_address(answer.data)
        return self._sender

    def _with_minimum(self, plan: Plan, market: MarketView, gas: GasPrice, gas_units: int) -> Plan:
        minimum_base = gas.cost_base(gas_units) + self._settings.min_profit_base(market.base_unit)
        price_base = market.price_base(plan.profit_token)
        if not price_base:
            return replace(plan, min_profit_raw=plan.profit_raw)
        minimum_raw = mul_div_up(minimum_base, 10 ** market.decimals(plan.profit_token), price_base)
        return replace(plan, min_profit_raw=max(0, min(minimum_raw, plan.profit_raw)))

    def _judge(
        self, plan: Plan, market: MarketView, gas: GasPrice, fees: Fees, l1_fee: L1Fee, outcome: SimulatedOutcome
    ) -> Simulation:
        done = decode_run(outcome.data)
        final = _as_simulated(plan, done)
        price_base = market.price_base(plan.profit_token) or 0
        profit_base = mul_div_down(done.profit_raw, price_base, 10 ** market.decimals(plan.profit_token))
        cost_base, l1_fee_base = gas.cost_base(outcome.gas_units), gas.base_of(l1_fee.wei)
        simulated = SimulatedPlan(
            plan=final,
            executor=self.executor,
            calldata=encode_run(plan),
            gas_units=outcome.gas_units,
            gas_limit=gas_limit_for(outcome.gas_units + l1_fee.gas_units),
            fees=fees,
            gas_cost_wei=outcome.gas_units * fees.expected_wei,
            gas_cost_base=cost_base - l1_fee_base,
            profit_base=profit_base,
            net_profit_base=profit_base - cost_base,
            base_unit=market.base_unit,
            notional_base=sum(_repaid_base(step, market) for step in final.steps),
            native_price_base=gas.native_price_base,
            l1_fee_wei=l1_fee.wei,
            l1_gas_units=l1_fee.gas_units,
            l1_reserve_wei=l1_reserve_wei(l1_fee),
            l1_fee_base=l1_fee_base,
            premium_base=premium_base(final.funds, market),
            slippage_base=slippage_base(final.legs, market),
        )
        refusal = refuse_small_profit(simulated, self._settings)
        return Simulation(result=refusal or simulated, difference_raw=done.profit_raw - plan.profit_raw)

    def _reverted(self, plan: Plan, outcome: SimulatedOutcome) -> Rejected:
        code, sentence = decode_executor_revert(outcome.data, self._decode_revert)
        return Rejected(
            market=plan.market, account=plan.account, reason="simulation_reverted", detail=f"{code}: {sentence}"
        )


def _covers(asked: Plan, wanted: Plan) -> bool:
    """Whether the minimum profit asked is the wanted one, or up to twice that and still less than the whole profit."""
    least_raw = wanted.min_profit_raw
    most_raw = min(2 * least_raw, wanted.profit_raw - 1)
    return least_raw <= asked.min_profit_raw <= max(least_raw, most_raw)


def refuse_small_profit(simulated: SimulatedPlan, settings: EstimateSettings) -> Rejected | None:
    """Return why the profit after gas is too small, None when it is not."""
    net_base = simulated.net_profit_base
    least_base = settings.min_profit_base(simulated.base_unit)
    if net_base > 0 and net_base >= least_base:
        return None
    plan = simulated.plan
    return reject_profit(
        plan.market,
        plan.account,
        debt=plan.call.debt,
        collateral=plan.call.collateral,
        repay_raw=plan.repay_raw,
        net_base=net_base,
        least_base=least_base,
        base_unit=simulated.base_unit,
    )


def _repaid_base(step: Outcome, market: MarketView) -> int:
    price_base = market.price_base(step.call.debt) or 0
    return mul_div_up(step.repaid_raw, price_base, 10 ** market.decimals(step.call.debt))


def _as_simulated(plan: Plan, done: RunResult) -> Plan:
    """Return the plan with the simulated amounts, the contracts having the last word."""
    steps = tuple(
        replace(step, repaid_raw=each.repaid_raw, received_raw=each.received_raw)
        for step, each in zip(plan.steps, done.steps, strict=True)
    )
    return replace(plan, steps=steps, proceeds_raw=done.proceeds_raw, profit_raw=done.profit_raw)


def _first_contract_of(sender: Address) -> Address:
    # the address of the contract that the transaction with nonce 0 creates: keccak(rlp([sender, 0]))
    return to_address(keccak(b"\xd6\x94" + bytes.fromhex(sender[2:]) + b"\x80")[12:])
