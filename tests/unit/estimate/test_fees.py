"""The next base fee, what is offered, and when nothing is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.pool_chain import head

from keeper.domain.l1_fee import L1Fee
from keeper.domain.plans import Fees
from keeper.estimate.fees import (
    bound_tip_wei,
    decide_fees,
    gas_limit_for,
    l1_reserve_wei,
    next_base_fee_wei,
    share_profit,
)

GWEI = 10**9


@pytest.mark.parametrize(
    ("used", "base_wei", "expected_wei"),
    [
        (15_000_000, 8 * GWEI, 8 * GWEI),
        (30_000_000, 8 * GWEI, 9 * GWEI),
        (0, 8 * GWEI, 7 * GWEI),
        (30_000_000, 7, 8),  # at least one wei up
        (0, 7, 7),  # an eighth of seven is nothing
    ],
)
def test_next_base_fee(used: int, base_wei: int, expected_wei: int) -> None:
    assert next_base_fee_wei(replace(head(), gas_used=used, base_fee_wei=base_wei)) == expected_wei


def test_the_cap_leaves_room_for_the_base_fee_to_double() -> None:
    fees = decide_fees(head(), suggested_tip_wei=2 * GWEI, max_gas_price_wei=None)
    assert fees == Fees(fee_cap_wei=4 * GWEI, tip_wei=2 * GWEI, expected_wei=3 * GWEI)


def test_the_operators_bound_cuts_cap_and_tip() -> None:
    fees = decide_fees(head(), suggested_tip_wei=2 * GWEI, max_gas_price_wei=GWEI + 5)
    assert fees == Fees(fee_cap_wei=GWEI + 5, tip_wei=5, expected_wei=GWEI + 5)


def test_a_base_fee_over_the_bound_offers_nothing() -> None:
    assert decide_fees(head(), suggested_tip_wei=0, max_gas_price_wei=GWEI) is not None
    assert decide_fees(head(), suggested_tip_wei=0, max_gas_price_wei=GWEI - 1) is None


def test_the_gas_limit_has_room_for_refunds() -> None:
    assert gas_limit_for(800_000) >= 800_000 * 5 // 4 * 64 // 63


@pytest.mark.parametrize(
    ("suggested", "least", "most", "tip"),
    [(5, 0, None, 5), (5, 7, None, 7), (5, 0, 3, 3), (5, 0, 0, 0), (5, 4, 6, 5)],
)
def test_the_tip_stays_between_the_operators_bounds(suggested: int, least: int, most: int | None, tip: int) -> None:
    assert bound_tip_wei(suggested, least_wei=least, most_wei=most) == tip


def test_the_price_of_data_may_double_where_no_fee_cap_bounds_it() -> None:
    assert l1_reserve_wei(L1Fee(wei=21)) == 42
    assert l1_reserve_wei(L1Fee(wei=21, gas_units=3)) == 0


OFFER = Fees(fee_cap_wei=4 * GWEI, tip_wei=GWEI, expected_wei=3 * GWEI)


def test_a_share_of_the_profit_goes_into_the_tip_rounded_down() -> None:
    # 10 dollars to spare, half of it, at 2,000 dollars a coin and 600,000 gas: 2.5e15 wei over the gas
    fees = share_profit(
        OFFER,
        spare_base=10 * 10**8,
        share_bps=5_000,
        gas_units=600_000,
        native_price_base=2_000 * 10**8,
        max_gas_price_wei=None,
    )
    extra = 2_500_000_000_000_000 // 600_000
    assert fees == Fees(fee_cap_wei=4 * GWEI + extra, tip_wei=GWEI + extra, expected_wei=3 * GWEI + extra)


def test_the_share_ends_at_the_operators_bound() -> None:
    fees = share_profit(
        OFFER,
        spare_base=10**12,
        share_bps=9_000,
        gas_units=600_000,
        native_price_base=2_000 * 10**8,
        max_gas_price_wei=5 * GWEI,
    )
    assert fees == Fees(fee_cap_wei=5 * GWEI, tip_wei=2 * GWEI, expected_wei=4 * GWEI)


@pytest.mark.parametrize(("spare", "price", "gas"), [(0, 1, 1), (-5, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_without_profit_price_or_gas_nothing_is_shared(spare: int, price: int, gas: int) -> None:
    shared = share_profit(
        OFFER, spare_base=spare, share_bps=9_000, gas_units=gas, native_price_base=price, max_gas_price_wei=None
    )
    assert shared == OFFER
