"""Constant-product quotes against figures worked out by hand, and where the pair would refuse."""

from __future__ import annotations

import pytest
from support.lending import address
from support.pool_chain import v2_pool

from keeper.venues.uniswap_v2 import MAX_RESERVE, fee_of

A, B = address(1), address(2)


def test_quote_is_the_routers_formula() -> None:
    pool = v2_pool(1, A, B, 1_000_000, 2_000_000)
    # 1000 * 997 * 2000000 // (1000000 * 1000 + 1000 * 997)
    assert pool.quote(A, 1000) == 1992
    assert pool.quote(B, 1000) == 1000 * 997 * 1_000_000 // (2_000_000 * 1000 + 1000 * 997)


def test_a_forks_fee_is_in_pips() -> None:
    assert v2_pool(1, A, B, 10**24, 10**24, fee=2500).quote(A, 10**20) == 10**20 * 997_500 * 10**24 // (
        10**24 * 10**6 + 10**20 * 997_500
    )
    assert fee_of(()) == 3000
    assert fee_of((2500, 100)) == 2500


def test_what_the_pair_would_refuse_has_no_quote() -> None:
    pool = v2_pool(1, A, B, 10**12, 10**6)
    assert pool.quote(A, 0) is None
    assert pool.quote(A, 1) is None  # nothing would come out
    assert pool.quote(A, MAX_RESERVE - 10**12) is not None
    assert pool.quote(A, MAX_RESERVE - 10**12 + 1) is None


def test_after_moves_both_reserves() -> None:
    pool = v2_pool(1, A, B, 10**24, 10**24)
    out = pool.quote(A, 10**20)
    assert out is not None
    moved = pool.after(A, 10**20)
    assert (moved.reserve0, moved.reserve1) == (10**24 + 10**20, 10**24 - out)
    assert moved.reserve0 * moved.reserve1 >= pool.reserve0 * pool.reserve1


def test_after_an_impossible_swap_is_an_error() -> None:
    with pytest.raises(ValueError, match="cannot take"):
        v2_pool(1, A, B, 0, 0).after(A, 1)


def test_an_empty_side_makes_an_empty_pool() -> None:
    assert v2_pool(1, A, B, 0, 10).is_empty
    assert not v2_pool(1, A, B, 1, 1).is_empty
