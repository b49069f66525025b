"""Curves against the pools behind them, and put together against the same done by hand."""

from __future__ import annotations

import pytest
from support.lending import address
from support.pool_chain import v2_pool, v3_pool

from keeper.venues.curve import AMOUNT_BITS, LEVEL_BITS, Curve, in_parallel, in_series
from keeper.venues.pools import Pool

A, B, C = address(1), address(2), address(3)
E18 = 10**18
FLAT = v2_pool(1, A, B, 10**6 * E18, 2 * 10**6 * E18)
OTHER = v2_pool(2, A, B, 3 * 10**5 * E18, 7 * 10**5 * E18, fee=500)
DEEP = v3_pool(
    3,
    (A, B),
    tick=6900,
    positions=[(6000, 7800, 10**24), (6600, 7080, 5 * 10**24), (-60_000, -30_000, 10**24)],
)
NEXT = v3_pool(4, (B, C), tick=-120, positions=[(-6000, 6000, 10**24), (-600, 0, 10**25)], fee=500, spacing=10)


def curve(depth: int, start: int, end: int) -> Curve:
    return Curve(start << LEVEL_BITS, iter([(end << LEVEL_BITS, depth << AMOUNT_BITS)]))


@pytest.mark.parametrize("pool", [FLAT, OTHER, DEEP, NEXT])
@pytest.mark.parametrize("digits", range(14, 27, 2))
def test_a_curve_promises_what_the_pool_pays_and_no_less(pool: Pool, digits: int) -> None:
    for token in (pool.token0, pool.token1):
        amount = 10**digits + 7
        out, paid = pool.curve(token).out_at(amount << AMOUNT_BITS), pool.quote(token, amount)
        assert (out is None) == (paid is None)
        if out is not None and paid is not None:
            promised = out >> AMOUNT_BITS
            assert -1 - (paid >> 60) <= promised - paid <= 2 + (paid >> 60)


def test_what_a_curve_takes_for_an_output_is_the_inverse() -> None:
    for token in (A, B):
        one = DEEP.curve(token)
        for digits in range(15, 23):
            out = one.out_at(10**digits << AMOUNT_BITS)
            assert out is not None
            assert abs((one.in_for(out) >> AMOUNT_BITS) - 10**digits) <= 2 + (10**digits >> 50)


def test_in_and_out_follow_from_depth_and_levels() -> None:
    one = curve(1000, 4, 1)
    # in = depth * (1 / end - 1 / start), out = depth * (start - end)
    assert one.in_at(2 << LEVEL_BITS) >> AMOUNT_BITS == 250
    assert (one.out_at(250 << AMOUNT_BITS) or 0) >> AMOUNT_BITS == 2000
    assert one.level_at(250 << AMOUNT_BITS) == 2 << LEVEL_BITS
    assert one.in_at(5 << LEVEL_BITS) == 0
    assert one.out_at(751 << AMOUNT_BITS) is None
    assert one.takes_up_to(751 << AMOUNT_BITS) == 750 << AMOUNT_BITS


def test_a_gap_costs_nothing_to_pass() -> None:
    gap = [(3 << LEVEL_BITS, 100 << AMOUNT_BITS), (2 << LEVEL_BITS, 0), (1 << LEVEL_BITS, 100 << AMOUNT_BITS)]
    one = Curve(4 << LEVEL_BITS, iter(gap))
    half = one.in_at(3 << LEVEL_BITS)
    assert one.in_at(2 << LEVEL_BITS) == half
    assert one.level_at(half) == 2 << LEVEL_BITS
    assert (one.level_at(half + 1) or 0) < 2 << LEVEL_BITS


def test_in_parallel_the_levels_are_the_same() -> None:
    both = in_parallel([FLAT.curve(A), DEEP.curve(A)])
    amount = 40_000 * E18 << AMOUNT_BITS
    level = both.level_at(amount)
    assert level is not None
    parts = [pool.curve(A).in_at(level) for pool in (FLAT, DEEP)]
    assert abs(sum(parts) - amount) <= amount >> 60
    apart = sum(pool.curve(A).out_at(part) or 0 for pool, part in zip((FLAT, DEEP), parts, strict=True))
    assert abs((both.out_at(amount) or 0) - apart) <= apart >> 60


def test_in_series_one_takes_what_the_other_pays() -> None:
    for digits in range(16, 24):
        amount = 10**digits << AMOUNT_BITS
        between = DEEP.curve(A).out_at(amount)
        assert between is not None
        by_hand = NEXT.curve(B).out_at(between)
        joined = in_series(DEEP.curve(A), NEXT.curve(B)).out_at(amount)
        assert (joined is None) == (by_hand is None)
        if joined is not None and by_hand is not None:
            assert abs(joined - by_hand) <= by_hand >> 50


def test_the_rest_of_a_curve_goes_on_where_it_was_left() -> None:
    one, first, more = DEEP.curve(A), 1000 * E18 << AMOUNT_BITS, 30_000 * E18 << AMOUNT_BITS
    rest = one.beyond(first)
    assert rest.start_level == one.level_at(first)
    apart = (one.out_at(first) or 0) + (rest.out_at(more) or 0)
    assert abs(apart - (one.out_at(first + more) or 0)) <= apart >> 60
    with pytest.raises(ValueError, match="does not take"):
        curve(1000, 4, 1).beyond(751 << AMOUNT_BITS)
