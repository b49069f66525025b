"""Concentrated-liquidity pools with the interface of Uniswap V3, bit-equal to the contract.

The contract stops at each initialised tick and at the edge of each 256-tick word of its bitmap,
rounding at every stop; so does this. Where no liquidity is in range nothing is exchanged and
nothing rounded, hence empty words may be passed over at once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import isqrt
from typing import Final

from keeper.domain.swaps import VenueKind
from keeper.domain.units import MAX_UINT256, PIPS, Address
from keeper.venues.curve import AMOUNT_BITS, LEVEL_BITS, Curve, Segment
from keeper.venues.tick_math import (
    MAX_SQRT_RATIO,
    MAX_TICK,
    MIN_SQRT_RATIO,
    MIN_TICK,
    sqrt_ratio_at,
    tick_at,
)

_LOWEST: Final = MIN_SQRT_RATIO + 1
_HIGHEST: Final = MAX_SQRT_RATIO - 1
_MAX_AMOUNT: Final = 2**255 - 1
_ROUND_96: Final = (1 << 96) - 1
_ROOT_BITS: Final = 64
_DEPTH_BITS: Final = AMOUNT_BITS + _ROOT_BITS


@dataclass(frozen=True, slots=True, kw_only=True)
class V3Pool:
    """One pool with all its initialised ticks, ascending, and the liquidity each one adds (`nets`)."""

    factory: Address
    address: Address
    token0: Address
    token1: Address
    fee_pips: int
    tick_spacing: int = 1
    sqrt_price_x96: int = 0
    tick: int = 0
    liquidity: int = 0
    ticks: tuple[int, ...] = ()
    nets: tuple[int, ...] = ()

    @property
    def venue(self) -> VenueKind:
        """The kind of pool, as routes name it."""
        return "uniswap-v3"

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all can be bought here."""
        return self.sqrt_price_x96 == 0 or (self.liquidity == 0 and not self.ticks)

    def quote(self, token_in: Address, amount_in_raw: int) -> int | None:
        """Return the output of an exact-input swap without price limit; None when it would be partial."""
        swapped = swap_exact_in(self, zero_for_one=token_in == self.token0, amount_in_raw=amount_in_raw)
        return None if swapped is None else swapped.amount_out_raw

    def curve(self, token_in: Address) -> Curve:
        """Return one segment for each stretch between initialised ticks, from the price on."""
        root = _root_of_kept(self.fee_pips)
        if token_in == self.token0:
            return Curve(self.sqrt_price_x96 * root >> _ROOT_BITS, _downwards(self, root))
        return Curve((root << 2 * LEVEL_BITS - _ROOT_BITS) // self.sqrt_price_x96, _upwards(self, root))

    def after(self, token_in: Address, amount_in_raw: int) -> V3Pool:
        """Return the pool as the swap leaves it. Raises ValueError when it has no quote."""
        swapped = swap_exact_in(self, zero_for_one=token_in == self.token0, amount_in_raw=amount_in_raw)
        if swapped is None:
            raise ValueError(f"pool {self.address} cannot take {amount_in_raw}")
        tick = tick_at(swapped.sqrt_price_x96) if swapped.tick is None else swapped.tick
        return V3Pool(  # what `dataclasses.replace` returns, in a quarter of the time
            factory=self.factory,
            address=self.address,
            token0=self.token0,
            token1=self.token1,
            fee_pips=self.fee_pips,
            tick_spacing=self.tick_spacing,
            sqrt_price_x96=swapped.sqrt_price_x96,
            tick=tick,
            liquidity=swapped.liquidity,
            ticks=self.ticks,
            nets=self.nets,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Swapped:
    """Where a swap ends. `tick` is None when it ends between two ticks: the price tells which."""

    amount_out_raw: int
    sqrt_price_x96: int
    liquidity: int
    tick: int | None


def swap_exact_in(pool: V3Pool, *, zero_for_one: bool, amount_in_raw: int) -> Swapped | None:
    """Return what an exact-input swap pays and where it ends; None when liquidity runs out first."""
    if not 0 < amount_in_raw <= _MAX_AMOUNT or pool.sqrt_price_x96 == 0:
        return None
    return _sell_token0(pool, amount_in_raw) if zero_for_one else _sell_token1(pool, amount_in_raw)


def _sell_token0(pool: V3Pool, remaining: int) -> Swapped | None:
    price, tick, liquidity, fee = pool.sqrt_price_x96, pool.tick, pool.liquidity, pool.fee_pips
    ticks, spacing, out = pool.ticks, pool.tick_spacing, 0
    below = bisect_right(ticks, tick)  # ticks[below - 1] is the nearest initialised tick at or under the price
    while True:
        edge = (tick // spacing >> 8 << 8) * spacing
        nearest = ticks[below - 1] if below else MIN_TICK - 1
        crossing = nearest >= edge
        if liquidity == 0:  # nothing is exchanged before the next initialised tick
            if not below:
                return None
            crossing = True
        stop = nearest if crossing else max(edge, MIN_TICK)
        at_stop = sqrt_ratio_at(stop)
        target = max(at_stop, _LOWEST)
        scaled = liquidity << 96
        usable = remaining * (PIPS - fee) // PIPS
        quotient = -(-scaled * (price - target) // price)
        needed = -(-quotient // target)
        if usable < needed:
            ends = _price_after_token0(scaled, price, usable)
            out += liquidity * (price - ends) >> 96
            return _between(out, ends, liquidity, tick if ends == price else None)
        out += liquidity * (price - target) >> 96
        remaining -= needed - (-needed * fee // (PIPS - fee))
        price = target
        if price != at_stop:  # the price limit: whatever is left is not taken
            return None if remaining else _between(out, price, liquidity, None)
        if crossing:
            below -= 1
            liquidity -= pool.nets[below]
        tick = stop - 1
        if not remaining:
            return _between(out, price, liquidity, tick)


def _sell_token1(pool: V3Pool, remaining: int) -> Swapped | None:
    price, tick, liquidity, fee = pool.sqrt_price_x96, pool.tick, pool.liquidity, pool.fee_pips
    ticks, spacing, out = pool.ticks, pool.tick_spacing, 0
    above = bisect_right(ticks, tick)  # ticks[above] is the nearest initialised tick over the price
    count = len(ticks)
    while True:
        edge = ((tick // spacing + 1 >> 8 << 8) + 255) * spacing
        nearest = ticks[above] if above < count else MAX_TICK + 1
        crossing = nearest <= edge
        if liquidity == 0:  # nothing is exchanged before the next initialised tick
            if above == count:
                return None
            crossing = True
        stop = nearest if crossing else min(edge, MAX_TICK)
        at_stop = sqrt_ratio_at(stop)
        target = min(at_stop, _HIGHEST)
        usable = remaining * (PIPS - fee) // PIPS
        needed = liquidity * (target - price) + _ROUND_96 >> 96
        if usable < needed:
            ends = price + (usable << 96) // liquidity
            out += ((liquidity << 96) * (ends - price) // ends) // price
            return _between(out, ends, liquidity, tick if ends == price else None)
        out += ((liquidity << 96) * (target - price) // target) // price
        remaining -= needed - (-needed * fee // (PIPS - fee))
        price = target
        if price != at_stop:  # the price limit: whatever is left is not taken
            return None if remaining else _between(out, price, liquidity, None)
        if crossing:
            liquidity += pool.nets[above]
            above += 1
        tick = stop
        if not remaining:
            return _between(out, price, liquidity, tick)


def _downwards(pool: V3Pool, root: int) -> Iterator[Segment]:
    liquidity = pool.liquidity
    for index in range(bisect_right(pool.ticks, pool.tick) - 1, -1, -1):
        yield sqrt_ratio_at(pool.ticks[index]) * root >> _ROOT_BITS, (liquidity << _DEPTH_BITS) // root
        liquidity -= pool.nets[index]
    yield _LOWEST * root >> _ROOT_BITS, (liquidity << _DEPTH_BITS) // root


def _upwards(pool: V3Pool, root: int) -> Iterator[Segment]:
    liquidity, scaled = pool.liquidity, root << 2 * LEVEL_BITS - _ROOT_BITS
    for index in range(bisect_right(pool.ticks, pool.tick), len(pool.ticks)):
        yield scaled // sqrt_ratio_at(pool.ticks[index]), (liquidity << _DEPTH_BITS) // root
        liquidity += pool.nets[index]
    yield scaled // _HIGHEST, (liquidity << _DEPTH_BITS) // root


@cache
def _root_of_kept(fee_pips: int) -> int:
    """Return the square root of the share that is left after the fee."""
    return isqrt((PIPS - fee_pips << 2 * _ROOT_BITS) // PIPS)


def _between(out: int, price: int, liquidity: int, tick: int | None) -> Swapped:
    # an unmoved price keeps its tick: just below a tick crossed downwards the price alone does not tell
    return Swapped(amount_out_raw=out, sqrt_price_x96=price, liquidity=liquidity, tick=tick)


def _price_after_token0(scaled: int, price: int, amount: int) -> int:
    """Return the price after `amount` of token 0 came in, rounded up; `scaled` is liquidity << 96."""
    product = amount * price
    if scaled + product <= MAX_UINT256:
        return -(-scaled * price // (scaled + product))
    # the contract's other formula, for products that do not fit into a word
    return -(-scaled // (scaled // price + amount))
