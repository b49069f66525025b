"""What holds of every pool and every amount."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st
from support.lending import address
from support.pool_chain import v2_pool, v3_pool

from keeper.venues.uniswap_v2 import V2Pool
from keeper.venues.uniswap_v3 import V3Pool

A, B = address(1), address(2)
reserves = st.integers(1, 2**112 - 1)
amounts = st.integers(1, 10**30)
sides = st.sampled_from([A, B])


@st.composite
def v3_pools(draw: st.DrawFn) -> V3Pool:
    spacing, fee = draw(st.sampled_from([(1, 100), (10, 500), (60, 3000), (200, 10_000)]))
    tick = draw(st.integers(-200_000, 200_000))
    positions = []
    for _ in range(draw(st.integers(1, 6))):
        low = draw(st.integers(-4000, 3999)) + tick // spacing
        high = low + draw(st.integers(1, 4000))
        positions.append((low * spacing, high * spacing, draw(st.integers(1, 10**26))))
    return v3_pool(1, (A, B), tick=tick, positions=positions, fee=fee, spacing=spacing)


@given(reserves, reserves, amounts, sides)
def test_a_constant_product_never_falls(reserve0: int, reserve1: int, amount: int, side: str) -> None:
    pool: V2Pool = v2_pool(1, A, B, reserve0, reserve1)
    assume(pool.quote(side, amount) is not None)
    after = pool.after(side, amount)
    assert after.reserve0 * after.reserve1 >= reserve0 * reserve1
    assert min(after.reserve0, after.reserve1) > 0


@given(v3_pools(), amounts, sides)
def test_there_and_back_gains_nothing(pool: V3Pool, amount: int, side: str) -> None:
    out = pool.quote(side, amount)
    assume(out)
    assert out is not None
    back = pool.after(side, amount).quote(B if side == A else A, out)
    assert back is None or back < amount


@given(v3_pools(), amounts, sides)
def test_after_a_swap_the_ticks_still_add_up(pool: V3Pool, amount: int, side: str) -> None:
    assume(pool.quote(side, amount) is not None)
    after = pool.after(side, amount)
    assert after.liquidity == sum(net for tick, net in zip(pool.ticks, pool.nets, strict=True) if tick <= after.tick)
    assert after.ticks is pool.ticks


@given(v3_pools(), st.integers(2, 10**28), sides)
def test_two_halves_pay_no_more_than_the_whole_and_hardly_less(pool: V3Pool, amount: int, side: str) -> None:
    whole = pool.quote(side, amount)
    first = pool.quote(side, amount // 2)
    assume(whole is not None and first is not None)
    assert whole is not None
    assert first is not None
    second = pool.after(side, amount // 2).quote(side, amount - amount // 2)
    assert second is not None
    # each step rounds down for the trader, by a unit of output at a time and of input at the price
    assert first + second <= whole + max(2, whole >> 20)


@given(v3_pools(), amounts, st.integers(1, 10**6), sides)
def test_more_in_is_never_less_out(pool: V3Pool, amount: int, more: int, side: str) -> None:
    larger = pool.quote(side, amount + more)
    assume(larger is not None)
    smaller = pool.quote(side, amount)
    assert smaller is not None
    assert larger is not None
    assert smaller <= larger
