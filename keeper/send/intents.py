"""Plans as the journal keeps them: what is to be done, under which key, and what the ledger shows beside it."""

from __future__ import annotations

import hashlib
from typing import Any

from keeper.domain.documents import plan_parts
from keeper.domain.fixed_point import mul_div_down, mul_div_up
from keeper.domain.plans import Fees, Plan, SimulatedPlan
from keeper.domain.units import Address
from keeper.send.fees import GasOffer, fee_ceiling_wei
from keeper.store.records import Intent, Payload, Stake

_USD_UNIT = 10**8
_EMPTY_GAS = 21_000


def intent_key(plan: Plan) -> str:
    """Return the name of the decision: same position in the same state, same pair, same key."""
    return _digest(
        "liquidation", str(plan.chain_id), plan.market, plan.pool, plan.account, plan.call.debt, plan.call.collateral,
        plan.epoch,
    )  # fmt: skip


def deploy_key_prefix(chain_id: int, sender: Address, data: bytes) -> str:
    """Return what all deployments of the same code by the same signer have in common."""
    return _digest("deploy", str(chain_id), sender, hashlib.sha256(data).hexdigest()) + ":"


def to_intent(simulated: SimulatedPlan, sender: Address) -> Intent:
    """Return the intent of a plan."""
    plan = simulated.plan
    return Intent(
        key=intent_key(plan),
        chain_id=plan.chain_id,
        sender=sender,
        kind="liquidation",
        market=plan.market,
        account=plan.account,
        profit_token=plan.profit_token,
        expected_raw=plan.profit_raw,
        detail=plan_detail(simulated),
    )


def to_payload(simulated: SimulatedPlan) -> Payload:
    """Return the transaction of a plan."""
    return Payload(
        to=simulated.executor,
        data=simulated.calldata,
        gas_limit=simulated.gas_limit,
        fee_cap_wei=simulated.fees.fee_cap_wei,
        tip_wei=simulated.fees.tip_wei,
        deadline_block=simulated.plan.deadline_block,
        legacy=simulated.plan.head.base_fee_wei == 0,
        l1_fee_wei=simulated.l1_reserve_wei,
    )


def to_stake(simulated: SimulatedPlan) -> Stake:
    """Return what is at stake with a plan: what it moves and costs rounded up, what it earns rounded down."""
    unit = simulated.base_unit
    profit_usd_e8 = mul_div_down(max(0, simulated.profit_base), _USD_UNIT, unit)
    native_usd_e8 = mul_div_up(simulated.native_price_base, _USD_UNIT, unit)
    # Data that is charged as gas is paid at the fee cap, like all gas; other data at its own price.
    data_base = 0 if simulated.l1_gas_units else simulated.l1_fee_base
    left_for_gas_usd_e8 = profit_usd_e8 - mul_div_up(data_base, _USD_UNIT, unit)
    charged_units = simulated.gas_units + simulated.l1_gas_units
    return Stake(
        notional_usd_e8=mul_div_up(simulated.notional_base, _USD_UNIT, unit),
        profit_usd_e8=profit_usd_e8,
        native_usd_e8=native_usd_e8,
        fee_ceiling_wei=fee_ceiling_wei(left_for_gas_usd_e8, native_usd_e8, charged_units),
    )


def to_tokens(simulated: SimulatedPlan) -> tuple[Address, ...]:
    """Return every token a plan touches."""
    plan = simulated.plan
    hops = [quote.hop for leg in plan.legs for quote in leg.quotes]
    found = [token for step in plan.steps for token in (step.call.debt, step.call.collateral)]
    found += [token for hop in hops for token in (hop.token_in, hop.token_out)]
    return tuple(dict.fromkeys(found))


def fill_intent(*, chain_id: int, sender: Address, nonce: int, turn: int) -> Intent:
    """Return the intent that closes a hole: nothing but the use of a nonce, for the `turn`-th time."""
    return Intent(
        key=_digest("fill", str(chain_id), sender, str(nonce), str(turn)),
        chain_id=chain_id,
        sender=sender,
        kind="fill",
        market=None,
        account=None,
        profit_token=None,
        expected_raw=0,
    )


def empty_payload(sender: Address, offer: GasOffer, *, legacy: bool, l1_fee_wei: int) -> Payload:
    """Return the transaction that does nothing: it sends nothing to its own sender.

    `l1_fee_wei` is what is reserved for the data of the transaction it stands in for, which is longer.
    """
    return Payload(
        to=sender,
        data=b"",
        gas_limit=_EMPTY_GAS,
        fee_cap_wei=offer.fee_cap_wei,
        tip_wei=offer.tip_wei,
        deadline_block=None,
        legacy=legacy,
        l1_fee_wei=l1_fee_wei,
    )


def deploy_intent(*, key: str, chain_id: int, sender: Address) -> Intent:
    """Return the intent of a deployment."""
    return Intent(
        key=key,
        chain_id=chain_id,
        sender=sender,
        kind="deploy",
        market=None,
        account=None,
        profit_token=None,
        expected_raw=0,
    )


def deploy_payload(data: bytes, gas_limit: int, fees: Fees, *, legacy: bool = False, l1_fee_wei: int = 0) -> Payload:
    """Return the transaction of a deployment; it stays valid for ever."""
    return Payload(
        to=None,
        data=data,
        gas_limit=gas_limit,
        fee_cap_wei=fees.fee_cap_wei,
        tip_wei=fees.tip_wei,
        deadline_block=None,
        legacy=legacy,
        l1_fee_wei=l1_fee_wei,
    )


def plan_detail(simulated: SimulatedPlan) -> dict[str, Any]:
    """Return the plan's figures for the ledger: amounts as decimal text, as everywhere in our JSON."""
    plan = simulated.plan
    return {
        **plan_parts(plan),
        "planned_profit_raw": str(plan.profit_raw),
        "min_profit_raw": str(plan.min_profit_raw),
        "health_before_wad": str(plan.health_before_wad),
        "health_after_wad": str(plan.health_after_wad),
        "profit_base": str(simulated.profit_base),
        "net_profit_base": str(simulated.net_profit_base),
        "base_unit": str(simulated.base_unit),
        "planned_gas_units": simulated.gas_units,
        "planned_gas_cost_wei": str(simulated.gas_cost_wei),
        "planned_l1_fee_wei": str(simulated.l1_fee_wei),
        "gas_cost_base": str(simulated.gas_cost_base),
        "l1_fee_base": str(simulated.l1_fee_base),
        "premium_base": str(simulated.premium_base),
        "slippage_base": str(simulated.slippage_base),
        "runner_up_net_base": None,  # found and written after the plan was sent
        "plan_block": plan.head.number,
        "deadline_block": plan.deadline_block,
        "inclusion_s": plan.inclusion_s,
    }


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
