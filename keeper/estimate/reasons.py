"""Rejections in the planner's words. Reasons are stable; details are for people."""

from __future__ import annotations

from keeper.domain.plans import Rejected
from keeper.domain.units import Address
from keeper.estimate.report import usd


def reject(market: str, account: Address | None, reason: str, detail: str) -> Rejected:
    """Return a rejection."""
    return Rejected(market=market, account=account, reason=reason, detail=detail)


def reject_profit(
    market: str,
    account: Address,
    *,
    debt: Address,
    collateral: Address,
    repay_raw: int,
    net_base: int,
    least_base: int,
    base_unit: int,
) -> Rejected:
    """Return the rejection of a best way whose net profit is no profit, or less than asked for."""
    way = f"repaying {repay_raw} of {debt} against {collateral}"
    net = usd(net_base, base_unit)
    if net_base <= 0:
        return reject(market, account, "not_profitable", f"the best way nets {net} USD: {way}")
    least = usd(least_base, base_unit)
    return reject(market, account, "below_min_profit", f"the best way nets {net} USD of {least} demanded: {way}")
