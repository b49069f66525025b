"""Runs the very calldata of a plan on the state it will meet, before anything is signed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from eth_utils import keccak

from keeper.domain.chain import AccountOverride, Head, SimulatedCall, SimulatedOutcome
from keeper.domain.fixed_point import mul_div_down, mul_div_up
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
from keeper.estimate.fees import gas_limit_for, share_profit
from keeper.estimate.gas import GasMemory, GasPrice, shape_of
from keeper.estimate.reasons import reject_profit
from keeper.estimate.settings import EstimateSettings
from keeper.ports import Chain, MarketView

_STAND_IN_OWNER: Final = to_address(keccak(text="keeper: owner of a simulated executor")[12:])
_STAND_IN_TREASURY: Final = to_address(keccak(text="keeper: treasury of a simulated executor")[12:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What came of one plan. `difference_raw` is simulated less planned profit, in debt-token units.

    Anything but zero means that our arithmetic and the contracts disagree about this plan; the
    decision in `result` rests on the simulated figures.
    """

    result: SimulatedPlan | Rejected
    difference_raw: int = 0


class Simulator:
    """Executes plans by eth_simulateV1 at their predicted block time.

    Without a deployed executor each simulation first creates one, owned by a stand-in, that allows
    exactly the given lending pools and factories.
    """

    def __init__(
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
        decode_revert: RevertDecoder,
    ) -> None:
        self._chain = chain
        self._settings = settings
        self._memory = memory
        self._deployed = executor
        self._sender = sender
        self._decode_revert = decode_revert
        self._creation = encode_creation(
            owner=_STAND_IN_OWNER,
            treasury=_STAND_IN_TREASURY,
            operators=(),
            lending_pools=tuple(lending_pools),
            v2_factories=tuple(v2_factories),
            v3_factories=tuple(v3_factories),
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
    ) -> Simulation:
        """Return the simulated plan, or why it is not worth sending.

        `earlier` is the calldata of plans already on their way: they are executed first, and what is
        in `before` ahead of them. The minimum profit in the calldata covers the gas this shape of run
        is known to use; for a new shape the run is simulated twice, the second time with the gas the
        first one measured.
        """
        shape = shape_of((quote.hop for quote in plan.route), plan.funding, _deficits(plan, market))
        was_known = self._memory.is_known(shape)
        final = self._with_minimum(plan, market, gas, self._memory.guess(shape))
        outcome = await self._execute(final, earlier, before)
        if not outcome.ok and not was_known:
            outcome = await self._execute(final := replace(plan, min_profit_raw=0), earlier, before)
        if outcome.ok:
            self._memory.learn(shape, outcome.gas_units)
        if outcome.ok and not was_known:
            final = self._with_minimum(plan, market, gas, outcome.gas_units)
            outcome = await self._execute(final, earlier, before)
        if not outcome.ok:
            return Simulation(result=self._reverted(plan, outcome))
        simulation = self._judge(final, market, gas, fees, outcome)
        if self._settings.tip_profit_bps and isinstance(simulation.result, SimulatedPlan):
            return await self._with_higher_tip(plan, market, simulation.result, earlier, before) or simulation
        return simulation

    async def _with_higher_tip(
        self,
        plan: Plan,
        market: MarketView,
        simulated: SimulatedPlan,
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
        gas = GasPrice(wei_per_gas=fees.expected_wei, native_price_base=simulated.native_price_base)
        dearer = self._with_minimum(plan, market, gas, simulated.gas_units)
        outcome = await self._execute(dearer, earlier, before)
        if not outcome.ok:
            return None
        simulation = self._judge(dearer, market, gas, fees, outcome)
        return simulation if isinstance(simulation.result, SimulatedPlan) else None

    async def _execute(self, plan: Plan, earlier: Sequence[bytes], before: Sequence[SimulatedCall]) -> SimulatedOutcome:
        sender = await self._runner(plan.head)
        runs = [SimulatedCall(sender=sender, to=self.executor, data=data) for data in (*earlier, encode_run(plan))]
        calls = [*before, *runs]
        overrides: dict[Address, AccountOverride] = {}
        if self._deployed is None:
            calls.insert(0, SimulatedCall(sender=sender, to=None, data=self._creation))
            overrides[sender] = AccountOverride(balance_wei=WAD, nonce=0)
        outcomes = await self._chain.simulate(calls, at=plan.head, timestamp_s=plan.inclusion_s, overrides=overrides)
        ahead = len(outcomes) - len(runs)
        return next((outcome for outcome in outcomes[:ahead] if not outcome.ok), outcomes[-1])

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
        price_base = market.price_base(plan.call.debt)
        if not price_base:
            return replace(plan, min_profit_raw=plan.profit_raw)
        minimum_raw = mul_div_up(minimum_base, 10 ** market.decimals(plan.call.debt), price_base)
        return replace(plan, min_profit_raw=max(0, min(minimum_raw, plan.profit_raw)))

    def _judge(
        self, plan: Plan, market: MarketView, gas: GasPrice, fees: Fees, outcome: SimulatedOutcome
    ) -> Simulation:
        done = decode_run(outcome.data)
        price_base = market.price_base(plan.call.debt) or 0
        profit_base = mul_div_down(done.profit_raw, price_base, 10 ** market.decimals(plan.call.debt))
        gas_cost_base = gas.cost_base(outcome.gas_units)
        simulated = SimulatedPlan(
            plan=_as_simulated(plan, done),
            executor=self.executor,
            calldata=encode_run(plan),
            gas_units=outcome.gas_units,
            gas_limit=gas_limit_for(outcome.gas_units),
            fees=fees,
            gas_cost_wei=outcome.gas_units * fees.expected_wei,
            gas_cost_base=gas_cost_base,
            profit_base=profit_base,
            net_profit_base=profit_base - gas_cost_base,
            base_unit=market.base_unit,
            notional_base=mul_div_up(done.repaid_raw, price_base, 10 ** market.decimals(plan.call.debt)),
            native_price_base=gas.native_price_base,
        )
        refusal = refuse_small_profit(simulated, self._settings)
        return Simulation(result=refusal or simulated, difference_raw=done.profit_raw - plan.profit_raw)

    def _reverted(self, plan: Plan, outcome: SimulatedOutcome) -> Rejected:
        code, sentence = decode_executor_revert(outcome.data, self._decode_revert)
        return Rejected(
            market=plan.market, account=plan.account, reason="simulation_reverted", detail=f"{code}: {sentence}"
        )


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


def _deficits(plan: Plan, market: MarketView) -> int:
    outcome = market.outcome(plan.call, plan.inclusion_s)
    return len(getattr(outcome, "deficits", ()))


def _as_simulated(plan: Plan, done: RunResult) -> Plan:
    """Return the plan with the simulated amounts, the contracts having the last word."""
    return replace(
        plan,
        repay_raw=done.repaid_raw,
        seize_raw=done.seized_raw,
        proceeds_raw=done.proceeds_raw,
        profit_raw=done.profit_raw,
    )


def _first_contract_of(sender: Address) -> Address:
    # the address of the contract that the transaction with nonce 0 creates: keccak(rlp([sender, 0]))
    return to_address(keccak(b"\xd6\x94" + bytes.fromhex(sender[2:]) + b"\x80")[12:])
