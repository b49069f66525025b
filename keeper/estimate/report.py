"""Plans and rejections as the JSON of `keeper estimate`."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext
from typing import Any

from keeper.domain.chain import Head
from keeper.domain.documents import plan_parts
from keeper.domain.plans import Rejected, SimulatedPlan


def estimate_report(
    chain_id: int, head: Head, plans: Sequence[SimulatedPlan], rejected: Sequence[Rejected]
) -> dict[str, Any]:
    """Return the document `keeper estimate --json` prints, sorted by market, then address."""
    return {
        "chain_id": chain_id,
        "block": {"number": head.number, "hash": head.hash, "timestamp": head.timestamp_s},
        "plans": [plan_json(plan) for plan in sorted(plans, key=lambda each: (each.plan.market, each.plan.account))],
        "rejected": [rejection_json(each) for each in sorted(rejected, key=_rejection_key)],
    }


def plan_json(simulated: SimulatedPlan) -> dict[str, Any]:
    """Return one plan: amounts as decimal strings, gas units as a number, dollars signed."""
    plan = simulated.plan
    return {
        "market": plan.market,
        "account": plan.account,
        **plan_parts(plan),
        "gas_units": simulated.gas_units,
        "gas_cost_wei": str(simulated.gas_cost_wei),
        "l1_fee_wei": str(simulated.l1_fee_wei),
        "profit_token": plan.profit_token,
        "profit_raw": str(plan.profit_raw),
        "min_profit_raw": str(plan.min_profit_raw),
        "net_profit_usd": usd(simulated.net_profit_base, simulated.base_unit),
        "inclusion_timestamp": plan.inclusion_s,
        "deadline_block": plan.deadline_block,
        "health_before_wad": str(plan.health_before_wad),
        "health_after_wad": str(plan.health_after_wad),
    }


def rejection_json(rejected: Rejected) -> dict[str, Any]:
    """Return one rejection."""
    return {
        "market": rejected.market,
        "account": rejected.account,
        "reason": rejected.reason,
        "detail": rejected.detail,
    }


def usd(amount_base: int, base_unit: int) -> str:
    """Return base units as a signed decimal string, exact when `base_unit` is a power of ten."""
    with localcontext() as context:
        context.prec = 80
        places = context.divide(Decimal(1), Decimal(base_unit))
        return f"{context.divide(Decimal(amount_base), Decimal(base_unit)).quantize(places):f}"


def _rejection_key(rejected: Rejected) -> tuple[str, str]:
    return rejected.market, rejected.account or ""
