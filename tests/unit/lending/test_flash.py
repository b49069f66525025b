"""The market's own flash loan: what it lacks while the loan is out, and what the premium does once it is back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.domain.lending import LiquidationCall, Outcome, Refused
from keeper.domain.units import RAY, WAD
from keeper.lending.aave_v3.revisions import known_revisions, revision_for
from keeper.lending.aave_v3.rules.flash import book_premium, count_lendable_raw
from keeper.lending.aave_v3.state import Position
from tests.support.lending import NOW_S, address, reserve, view

TOKEN = address(0x1000)
BORROWER = address(0xB0)
OLD = revision_for(1)
BASE = reserve(0, income_ray=2 * RAY, debt_ray=3 * RAY, balance_raw=10**6, virtual_raw=10**6)
SUPPLIED = replace(BASE, supply_scaled=400_000, treasury_scaled=100_000, debt_scaled=0)


def test_until_3_3_suppliers_get_their_part_by_a_rise_of_the_index() -> None:
    # 800,000 supplied and 200,000 the treasury's; of a premium of 1,000 suppliers get 700: 7 in 10,000
    after = book_premium(SUPPLIED, 1_000, 3_000, OLD, NOW_S)
    assert after.liquidity_index_ray == 2 * RAY + 2 * RAY * 7 // 10_000
    assert after.treasury_scaled == 100_000 + 150  # 300 at an index of about two
    assert (after.balance_raw, after.virtual_raw) == (10**6 + 1_000, 10**6 + 1_000)
    assert after.debt_index_ray == SUPPLIED.debt_index_ray


def test_interest_for_the_treasury_counts_as_supply() -> None:
    """A year at 100 %: the debt grows, and a tenth of what it grew by belongs to the treasury."""
    year_s = 31_536_000
    owed = replace(SUPPLIED, debt_scaled=1_000, debt_rate_ray=RAY, factor_bps=1_000, treasury_scaled=0)
    after = book_premium(owed, 0, 0, OLD, NOW_S + year_s)
    grown_raw = 1_000 * (after.debt_index_ray - 3 * RAY) // RAY
    assert grown_raw == 4_999  # just under (1 + 1 + 1/2 + 1/6) times 3,000, less 3,000; the pool rounds it up
    assert after.treasury_scaled == 250
    assert after.updated_s == NOW_S + year_s


@pytest.mark.parametrize("revision", known_revisions(), ids=lambda each: str(each.number))
def test_only_old_revisions_pay_suppliers_so(revision: object) -> None:
    known = revision_for(revision.number)  # type: ignore[attr-defined]
    after = book_premium(SUPPLIED, 1_000, 0, known, NOW_S)
    assert (after.liquidity_index_ray > SUPPLIED.liquidity_index_ray) == (known.number <= 7)
    assert after.balance_raw == SUPPLIED.balance_raw + 1_000


def test_a_reserve_without_supply_takes_its_premium_in() -> None:
    assert book_premium(BASE, 10, 0, OLD, NOW_S).liquidity_index_ray == BASE.liquidity_index_ray


def test_what_can_be_lent() -> None:
    assert count_lendable_raw(BASE) == 10**6
    assert count_lendable_raw(replace(BASE, virtual_raw=5)) == 5
    assert count_lendable_raw(replace(BASE, virtual_raw=None)) == 10**6
    for closed in ({"paused": True}, {"active": False}, {"flash_loans": False}):
        assert count_lendable_raw(replace(BASE, **closed)) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [1, 10])
def test_a_loan_that_is_out_cannot_be_paid_out(number: int) -> None:
    held = Position(emode=0, collaterals=((0, 10_000 * WAD),), debts=((0, 8_200 * WAD),))
    market = view(number, [reserve(0, balance_raw=6_000 * WAD, virtual_raw=6_000 * WAD)], {BORROWER: held})
    call = LiquidationCall(account=BORROWER, debt=TOKEN, collateral=TOKEN, cover_raw=2_000 * WAD)
    assert isinstance(market.outcome(call, NOW_S), Outcome)
    lent = market.during_flash_loan(TOKEN, 5_000 * WAD)
    refused = lent.outcome(call, NOW_S)
    assert isinstance(refused, Refused)
    assert refused.code == "NO_LIQUIDITY"
    assert lent.flash_fee_raw(TOKEN, 1_001 * WAD) is None
    back = lent.after_flash_loan(TOKEN, 5_000 * WAD, 3 * WAD, NOW_S)
    assert back.reserves[0].balance_raw == 6_003 * WAD
    assert isinstance(back.outcome(call, NOW_S), Outcome)
