"""Prices at ticks, in the integers of Uniswap V3: sqrt(1.0001 ** tick) as a 64.96 fixed-point number."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from keeper.domain.units import MAX_UINT256

MIN_TICK: Final = -887272
MAX_TICK: Final = 887272
MIN_SQRT_RATIO: Final = 4295128739
MAX_SQRT_RATIO: Final = 1461446703485210103287273052203988822378723970342

# sqrt(1.0001 ** -(2 ** bit)) as 0.128 fixed-point numbers, bit 0 first.
_FACTORS: Final = (
    0xFFFCB933BD6FAD37AA2D162D1A594001,
    0xFFF97272373D413259A46990580E213A,
    0xFFF2E50F5F656932EF12357CF3C7FDCC,
    0xFFE5CACA7E10E4E61C3624EAA0941CD0,
    0xFFCB9843D60F6159C9DB58835C926644,
    0xFF973B41FA98C081472E6896DFB254C0,
    0xFF2EA16466C96A3843EC78B326B52861,
    0xFE5DEE046A99A2A811C461F1969C3053,
    0xFCBE86C7900A88AEDCFFC83B479AA3A4,
    0xF987A7253AC413176F2B074CF7815E54,
    0xF3392B0822B70005940C7A398E4B70F3,
    0xE7159475A2C29B7443B29C7FA6E889D9,
    0xD097F3BDFD2022B8845AD8F792AA5825,
    0xA9F746462D870FDF8A65DC1F90E061E5,
    0x70D869A156D2A1B890BB3DF62BAF32F7,
    0x31BE135F97D08FD981231505542FCFA6,
    0x9AA508B5B7A84E1C677DE54F3E99BC9,
    0x5D6AF8DEDB81196699C329225EE604,
    0x2216E584F5FA1EA926041BEDFE98,
    0x48A170391F7DC42444E8FA2,
)
_LOW_32: Final = (1 << 32) - 1
_LOG_BITS: Final = 14
_TICKS_PER_DOUBLING_X32: Final = 59543866431248
"""log(2) / log(sqrt(1.0001)), with 32 binary places."""


def compute_sqrt_ratio(tick: int) -> int:
    """Return the square root of the price at `tick`, times 2**96, rounded up."""
    if not MIN_TICK <= tick <= MAX_TICK:
        raise ValueError(f"no such tick: {tick}")
    ratio, left, bit = 1 << 128, abs(tick), 0
    while left:
        if left & 1:
            ratio = ratio * _FACTORS[bit] >> 128
        left >>= 1
        bit += 1
    if tick > 0:
        ratio = MAX_UINT256 // ratio
    return (ratio >> 32) + (1 if ratio & _LOW_32 else 0)


sqrt_ratio_at = lru_cache(maxsize=1 << 16)(compute_sqrt_ratio)
"""`compute_sqrt_ratio`, remembered: the same ticks are crossed again and again."""


def tick_at(sqrt_price_x96: int) -> int:
    """Return the greatest tick whose price does not exceed `sqrt_price_x96`. Raises ValueError beyond the ends."""
    if not MIN_SQRT_RATIO <= sqrt_price_x96 < MAX_SQRT_RATIO:
        raise ValueError(f"no tick has the price {sqrt_price_x96}")
    tick = min(_tick_below(sqrt_price_x96) + 2, MAX_TICK)
    while compute_sqrt_ratio(tick) > sqrt_price_x96:
        tick -= 1
    return tick


def _tick_below(sqrt_price_x96: int) -> int:
    """Return the tick of a logarithm cut off after 14 binary places: at most two under the right one."""
    whole = sqrt_price_x96.bit_length() - 1
    mantissa = sqrt_price_x96 << 127 - whole if whole <= 127 else sqrt_price_x96 >> whole - 127
    log_2 = whole - 96
    for _ in range(_LOG_BITS):  # squaring doubles the logarithm: its next binary place is whether that reaches 2
        mantissa = mantissa * mantissa >> 127
        place = mantissa >> 128
        mantissa >>= place
        log_2 = log_2 << 1 | place
    return log_2 * _TICKS_PER_DOUBLING_X32 >> 32 + _LOG_BITS
