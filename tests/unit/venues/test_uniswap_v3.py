"""Concentrated quotes against figures that the deployed contract gave."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.lending import address
from support.pool_chain import v3_pool

from keeper.venues.tick_math import sqrt_ratio_at
from keeper.venues.uniswap_v3 import V3Pool

A, B = address(1), address(2)
E18 = 10**18


@pytest.fixture
def pool() -> V3Pool:
    """Three ranges around tick 76012: vectors (a) to (e) were run on this pool."""
    return v3_pool(
        1,
        (A, B),
        tick=76012,
        positions=[(73800, 78240, 5000 * E18), (75000, 76800, 20_000 * E18), (75960, 76020, 100_000 * E18)],
        sqrt_price_x96=3543191142285914205922034323214,
    )


def test_vector_a_sells_token0_across_ticks(pool: V3Pool) -> None:
    assert pool.liquidity == 125_000 * E18
    assert pool.quote(A, 10 * E18) == 19850357502936727287825
    after = pool.after(A, 10 * E18)
    assert after.sqrt_price_x96 == 3517665391737568769147800309440
    assert (after.tick, after.liquidity) == (75868, 25_000 * E18)


def test_vector_b_a_partial_swap_has_no_quote(pool: V3Pool) -> None:
    assert pool.quote(A, 3000000000000000000001) is None
    assert pool.quote(A, 42349736477599520430) == 79380328775240044825486  # all that the pool takes
    assert pool.quote(A, 42349736477599520431) is None
    with pytest.raises(ValueError, match="cannot take"):
        pool.after(A, 42349736477599520431)


def test_vector_c_sells_token1_across_ticks(pool: V3Pool) -> None:
    assert pool.quote(B, 12345678901234567890123) == 6103278827185769013
    after = pool.after(B, 12345678901234567890123)
    assert (after.sqrt_price_x96, after.tick) == (3577113636447570772700743027868, 76203)


def test_vector_d_is_the_least_input_for_its_output(pool: V3Pool) -> None:
    least = pool.quote(A, 501594241446301576)
    assert least is not None
    assert least >= 1000 * E18
    below = pool.quote(A, 501594241446301576 - 1)
    assert below is not None
    assert below < 1000 * E18


def test_vector_e_ends_at_its_price_limit(pool: V3Pool) -> None:
    after = pool.after(A, 12850526851078780359)
    limit = 3500000000000000000000000000000
    # the limited swap stops one rounding above; unlimited, the last unit of input goes a hair further
    assert 0 <= limit - after.sqrt_price_x96 < limit >> 60
    out = pool.quote(A, 12850526851078780359)
    assert out is not None
    assert 0 <= out - 25424572269809640028183 < 10**6


def test_nothing_and_too_much_have_no_quote(pool: V3Pool) -> None:
    assert pool.quote(A, 0) is None
    assert pool.quote(A, 2**255) is None
    assert replace(pool, sqrt_price_x96=0).quote(A, 1) is None


def test_a_gap_without_liquidity_is_crossed() -> None:
    pool = v3_pool(1, (A, B), tick=0, positions=[(-600, 600, E18), (-60_000, -30_000, 10**22)])
    end_of_near = pool.quote(A, 10**16)
    assert end_of_near is not None
    far = pool.after(A, 10**18)
    assert far.liquidity == 10**22
    assert far.tick < -30_000


def test_a_price_just_under_a_crossed_tick_keeps_that_tick() -> None:
    pool = v3_pool(1, (A, B), tick=-61, positions=[(-600, -60, 10**30), (-60, 600, 10**18)])
    at_edge = replace(pool, sqrt_price_x96=sqrt_ratio_at(-60))
    after = at_edge.after(A, 1)  # too little to move the price
    assert (after.sqrt_price_x96, after.tick) == (at_edge.sqrt_price_x96, -61)


def test_only_a_pool_without_any_liquidity_is_empty(pool: V3Pool) -> None:
    assert not pool.is_empty
    assert replace(pool, liquidity=0, ticks=(), nets=()).is_empty
    assert not replace(pool, liquidity=0).is_empty
