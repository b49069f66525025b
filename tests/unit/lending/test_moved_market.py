"""A market after liquidations and loans remembers what was worked out before, and only what still holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.lending import NOW_S, address, in_book, reserve, view

from keeper.domain.lending import LiquidationCall, Refused
from keeper.domain.units import RAY
from keeper.lending.aave_v3.state import Position
from keeper.lending.aave_v3.view import AaveV3View

AT_S = NOW_S + 600
OWING, OTHER = address(0xACC), address(0xACD)
RATES = {"liquidity_rate_ray": RAY // 20, "debt_rate_ray": RAY // 10}


def market(revision: int) -> AaveV3View:
    reserves = [
        reserve(0, price_base=1_000 * 10**8, liquidity_rate_ray=RATES["liquidity_rate_ray"]),
        reserve(1, decimals=6, debt_rate_ray=RATES["debt_rate_ray"], liquidity_rate_ray=RAY // 25),
    ]
    reserves[1] = replace(reserves[1], supply_scaled=10**13)
    owing = Position(emode=0, collaterals=((0, 10**19),), debts=((1, 9_000 * 10**6),))
    other = Position(emode=0, collaterals=((1, 10**12),), debts=((0, 10**20),))
    return replace(in_book(view(revision, reserves, {OWING: owing, OTHER: other})), flash_premium_bps=9)


def afresh(moved: AaveV3View) -> AaveV3View:
    return replace(moved, _projections={})


@pytest.mark.parametrize("revision", [1, 10])
def test_what_a_liquidation_or_a_loan_leaves_is_valued_as_if_read_anew(revision: int) -> None:
    before = market(revision)
    assert before.health(OWING, AT_S) is not None  # the time is projected now, and taken along
    token = before.tokens[1]
    call = LiquidationCall(account=OWING, debt=token, collateral=before.tokens[0], cover_raw=10**9)
    liquidated = before.after(call, AT_S)
    lent = before.during_flash_loan(token, 10**10)
    returned = lent.after_flash_loan(token, 10**10, 9 * 10**6, AT_S)
    for moved in (liquidated, lent, returned):
        assert moved._projections
        for account in (OWING, OTHER):
            assert moved.health(account, AT_S) == afresh(moved).health(account, AT_S)
            assert moved.health(account, AT_S + 60) == afresh(moved).health(account, AT_S + 60)
        again = replace(call, cover_raw=10**8)
        assert moved.outcome(again, AT_S) == afresh(moved).outcome(again, AT_S)


def test_a_premium_moves_the_supply_index_where_the_pool_lets_it() -> None:
    before = market(1)
    health = before.health(OTHER, AT_S)
    returned = before.during_flash_loan(before.tokens[1], 10**10).after_flash_loan(
        before.tokens[1], 10**10, 9 * 10**9, AT_S
    )
    richer = returned.health(OTHER, AT_S)
    assert health is not None
    assert richer is not None
    assert richer.collateral_base > health.collateral_base


def test_a_pair_is_remembered_by_its_own_market_alone() -> None:
    before = market(1)
    asked = (OWING, before.tokens[1], before.tokens[0], AT_S)
    pair = before.pair(*asked)
    assert not isinstance(pair, Refused)
    assert before.pair(*asked) is pair
    cheaper = before.with_prices({before.tokens[0]: 900 * 10**8}).pair(*asked)
    assert not isinstance(cheaper, Refused)
    assert cheaper.held_raw == pair.held_raw
    assert cheaper.rate != pair.rate
    call = LiquidationCall(account=OWING, debt=asked[1], collateral=asked[2], cover_raw=10**9)
    less = before.after(call, AT_S).pair(*asked)
    assert not isinstance(less, Refused)
    assert 0 <= less.owed_raw - (pair.owed_raw - 10**9) <= 1  # a rounding
    later = before.pair(*asked[:3], AT_S + 3600)
    assert not isinstance(later, Refused)
    assert later.owed_raw > pair.owed_raw


def test_a_market_remembers_few_pairs() -> None:
    before = market(1)
    for later_s in range(100):
        before.pair(OWING, before.tokens[1], before.tokens[0], AT_S + later_s)
    assert len(before._pairs) == 16


def test_a_caller_cannot_change_what_a_pair_remembers() -> None:
    before = market(1)
    pair = before.pair(OWING, before.tokens[1], before.tokens[0], AT_S)
    assert not isinstance(pair, Refused)
    ranges, turns = pair.ranges(), pair.turns()
    pair.ranges().clear()
    pair.turns().clear()
    assert pair.ranges() == ranges != []
    assert pair.turns() == turns
