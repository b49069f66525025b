"""Plans as the journal keeps them: what is to be done, under which key, and what the ledger shows beside it."""

from __future__ import annotations

import hashlib
from typing import Any

from keeper.domain.plans import Fees, Plan, SimulatedPlan
from keeper.domain.units import Address
from keeper.store.records import Intent, Payload


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
        profit_token=plan.call.debt,
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


def deploy_payload(data: bytes, gas_limit: int, fees: Fees) -> Payload:
    """Return the transaction of a deployment; it stays valid for ever."""
    return Payload(
        to=None,
        data=data,
        gas_limit=gas_limit,
        fee_cap_wei=fees.fee_cap_wei,
        tip_wei=fees.tip_wei,
        deadline_block=None,
    )


def plan_detail(simulated: SimulatedPlan) -> dict[str, Any]:
    """Return the plan's figures for the ledger: amounts as decimal text, as everywhere in our JSON."""
    plan = simulated.plan
    return {
        "debt": plan.call.debt,
        "collateral": plan.call.collateral,
        "repay_raw": str(plan.repay_raw),
        "seize_raw": str(plan.seize_raw),
        "proceeds_raw": str(plan.proceeds_raw),
        "premium_raw": str(plan.premium_raw),
        "funding": plan.funding,
        "route": [
            {
                "venue": quote.hop.venue,
                "pool": quote.hop.pool,
                "token_in": quote.hop.token_in,
                "token_out": quote.hop.token_out,
                "amount_in_raw": str(quote.amount_in_raw),
                "amount_out_raw": str(quote.amount_out_raw),
            }
            for quote in plan.route
        ],
        "planned_profit_raw": str(plan.profit_raw),
        "min_profit_raw": str(plan.min_profit_raw),
        "health_before_wad": str(plan.health_before_wad),
        "health_after_wad": str(plan.health_after_wad),
        "profit_base": str(simulated.profit_base),
        "net_profit_base": str(simulated.net_profit_base),
        "base_unit": str(simulated.base_unit),
        "planned_gas_units": simulated.gas_units,
        "planned_gas_cost_wei": str(simulated.gas_cost_wei),
        "plan_block": plan.head.number,
        "deadline_block": plan.deadline_block,
        "inclusion_s": plan.inclusion_s,
    }


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
