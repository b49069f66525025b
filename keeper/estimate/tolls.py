"""What stands between the collateral's value at oracle prices and the profit, in base units."""

from __future__ import annotations

from collections.abc import Iterable

from keeper.domain.fixed_point import mul_div_up
from keeper.domain.plans import Fund
from keeper.domain.swaps import Sale
from keeper.domain.units import Address
from keeper.ports import MarketView


def premium_base(funds: Iterable[Fund], market: MarketView) -> int:
    """Return what the funds cost, rounded up."""
    return sum(_value_base(fund.token, fund.premium_raw, market) for fund in funds)


def slippage_base(legs: Sale, market: MarketView) -> int:
    """Return the oracle's value of what is sold less the value of what it brings, the exchanges' fees included.

    Negative where the pools pay more than the oracle says; 0 for what has no price.
    """
    sold = sum(_value_base(leg.token_in, leg.amount_in_raw, market) for leg in legs)
    return sold - sum(_value_base(leg.token_out, leg.amount_out_raw, market) for leg in legs)


def _value_base(token: Address, amount_raw: int, market: MarketView) -> int:
    return mul_div_up(amount_raw, market.price_base(token) or 0, 10 ** market.decimals(token))
