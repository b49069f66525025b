"""The next base fee, what is offered, and when nothing is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.pool_chain import head

from keeper.domain.plans import Fees
from keeper.estimate.fees import decide_fees, gas_limit_for, next_base_fee_wei

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
