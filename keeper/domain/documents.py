"""The parts of a plan as JSON, the same in every document: amounts as decimal text."""

from __future__ import annotations

from typing import Any

from keeper.domain.plans import Plan
from keeper.domain.swaps import HopQuote, Leg


def plan_parts(plan: Plan) -> dict[str, Any]:
    """Return what a plan does: its first pair and its totals, then every step, leg and fund.

    `repay_raw` and `seize_raw` are totals in the first pair's tokens; `funding`, `fund_raw` and
    `premium_raw` are the first fund's; `route` has the hops of all legs in order.
    """
    fund = plan.funds[0]
    return {
        "debt": plan.call.debt,
        "collateral": plan.call.collateral,
        "cover_raw": str(plan.call.cover_raw),
        "repay_raw": str(plan.repay_raw),
        "seize_raw": str(plan.seize_raw),
        "proceeds_raw": str(plan.proceeds_raw),
        "funding": fund.source,
        "fund_raw": str(fund.amount_raw),
        "premium_raw": str(fund.premium_raw),
        "route": [_hop(quote) for leg in plan.legs for quote in leg.quotes],
        "steps": _steps(plan),
        "legs": [_leg(leg) for leg in plan.legs],
        "funds": _funds(plan),
    }


def _steps(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "debt": step.call.debt,
            "collateral": step.call.collateral,
            "cover_raw": str(step.call.cover_raw),
            "repay_raw": str(step.repaid_raw),
            "seize_raw": str(step.received_raw),
            "fee_raw": str(step.fee_raw),
            "health_after_wad": str(step.health_after_wad),
            "receive": step.call.receive,
        }
        for step in plan.steps
    ]


def _funds(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "source": fund.source,
            "lender": fund.lender,
            "token": fund.token,
            "amount_raw": str(fund.amount_raw),
            "premium_raw": str(fund.premium_raw),
        }
        for fund in plan.funds
    ]


def _leg(leg: Leg) -> dict[str, Any]:
    return {
        "token_in": leg.token_in,
        "token_out": leg.token_out,
        "amount_in_raw": str(leg.amount_in_raw),
        "amount_out_raw": str(leg.amount_out_raw),
        "route": [_hop(quote) for quote in leg.quotes],
    }


def _hop(quote: HopQuote) -> dict[str, Any]:
    return {
        "venue": quote.hop.venue,
        "pool": quote.hop.pool,
        "token_in": quote.hop.token_in,
        "token_out": quote.hop.token_out,
        "amount_in_raw": str(quote.amount_in_raw),
        "amount_out_raw": str(quote.amount_out_raw),
        "fee_pips": quote.hop.fee_pips,
    }
