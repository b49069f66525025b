"""What funds and exchanges take, at oracle prices."""

from __future__ import annotations

from dataclasses import replace

from support.markets import COLLATERAL, DEBT, line_market, span
from support.plans import FUND, HOP, LEG

from keeper.domain.swaps import HopQuote, Leg
from keeper.estimate.tolls import premium_base, slippage_base

MARKET = line_market(span(1, 10**9))  # a dollar for every 10**6 units of either token


def test_the_slippage_is_the_value_sold_less_the_value_brought() -> None:
    assert slippage_base((LEG,), MARKET) == (1_100_000 - 1_090_000) * 100


def test_legs_add_up_and_hops_between_do_not_count() -> None:
    first = HopQuote(hop=replace(HOP, token_out=COLLATERAL), amount_in_raw=500, amount_out_raw=7)
    second = HopQuote(hop=HOP, amount_in_raw=7, amount_out_raw=490)
    assert slippage_base((LEG, Leg(quotes=(first, second))), MARKET) == (10_000 + 10) * 100


def test_pools_that_pay_more_than_the_oracle_says_make_it_negative() -> None:
    cheap = replace(MARKET, prices={COLLATERAL: 98 * 10**6})
    assert slippage_base((LEG,), cheap) == 1_100_000 * 98 - 1_090_000 * 100


def test_nothing_sold_slips_nothing() -> None:
    assert slippage_base((), MARKET) == 0


def test_premiums_count_in_their_own_token() -> None:
    other = replace(FUND, token=COLLATERAL, premium_raw=10)
    dear = replace(MARKET, prices={COLLATERAL: 3 * 10**8, DEBT: 10**8})
    assert premium_base((FUND, other), dear) == 500 * 100 + 10 * 300
