"""Tick prices at the ends of the range, and back from price to tick."""

from __future__ import annotations

import random
from decimal import Decimal, getcontext

import pytest

from keeper.venues.tick_math import MAX_SQRT_RATIO, MAX_TICK, MIN_SQRT_RATIO, MIN_TICK, compute_sqrt_ratio, tick_at


def test_known_prices() -> None:
    assert compute_sqrt_ratio(MIN_TICK) == MIN_SQRT_RATIO
    assert compute_sqrt_ratio(MAX_TICK) == MAX_SQRT_RATIO
    assert compute_sqrt_ratio(0) == 2**96


@pytest.mark.parametrize("bit", range(20))
def test_each_factor_is_the_power_it_stands_for(bit: int) -> None:
    getcontext().prec = 60
    exact = Decimal("1.0001") ** (-(1 << bit)) if 1 << bit <= MAX_TICK else None
    assert exact is not None
    wanted = int(exact.sqrt() * 2**96)
    assert abs(compute_sqrt_ratio(-(1 << bit)) - wanted) <= 2


def test_no_price_beyond_the_ends() -> None:
    for tick in (MIN_TICK - 1, MAX_TICK + 1):
        with pytest.raises(ValueError, match="no such tick"):
            compute_sqrt_ratio(tick)
    for price in (MIN_SQRT_RATIO - 1, MAX_SQRT_RATIO):
        with pytest.raises(ValueError, match="no tick"):
            tick_at(price)


def test_tick_at_is_the_greatest_tick_not_above() -> None:
    ticks = random.Random(5)
    for _ in range(200):
        tick = ticks.randrange(MIN_TICK, MAX_TICK)
        price = compute_sqrt_ratio(tick)
        assert tick_at(price) == tick
        assert tick_at(compute_sqrt_ratio(tick + 1) - 1) == tick
