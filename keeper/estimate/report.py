"""Plans and rejections as the JSON of `keeper estimate`."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext
from typing import Any

from keeper.domain.chain import Head
from keeper.domain.plans import Rejected, SimulatedPlan
from keeper.domain.swaps import HopQuote


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
        "debt": plan.call.debt,
        "collateral": plan.call.collateral,
        "cover_raw": str(plan.call.cover_raw),
        "repay_raw": str(plan.repay_raw),
        "seize_raw": str(plan.seize_raw),
        "proceeds_raw": str(plan.proceeds_raw),
        "funding": plan.funding,
        "fund_raw": str(plan.fund_raw),
        "premium_raw": str(plan.premium_raw),
        "route": [_hop_json(quote) for quote in plan.route],
        "gas_units": simulated.gas_units,
        "gas_cost_wei": str(simulated.gas_cost_wei),
        "profit_token": plan.call.debt,
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


def _hop_json(quote: HopQuote) -> dict[str, Any]:
    return {
        "venue": quote.hop.venue,
        "pool": quote.hop.pool,
        "token_in": quote.hop.token_in,
        "token_out": quote.hop.token_out,
        "amount_in_raw": str(quote.amount_in_raw),
        "amount_out_raw": str(quote.amount_out_raw),
        "fee_pips": quote.hop.fee_pips,
    }


def _rejection_key(rejected: Rejected) -> tuple[str, str]:
    return rejected.market, rejected.account or ""
