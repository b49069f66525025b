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
_TICKS_PER_DOUBLING_X32: Final = 59543866431248
"""log(2) / log(sqrt(1.0001)), with 32 binary places."""
_BITS_PER_NAT_X64: Final = 26613026195688644984
"""1 / log(2), with 64 binary places."""
_STEPS_BITS: Final = 6
"""Between one power of two and the next, logarithms are known at 2**6 places."""
_MARGIN: Final = 1 << 76
"""A millionth of a tick, with 96 binary places: far more than logarithms are wrong by."""


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
    tick = min(_log_2_x64(sqrt_price_x96) * _TICKS_PER_DOUBLING_X32 + _MARGIN >> 96, MAX_TICK)
    while compute_sqrt_ratio(tick) > sqrt_price_x96:
        tick -= 1
    return tick


def _log_2_x64(sqrt_price_x96: int) -> int:
    """Return the binary logarithm of a price: that of a place nearby, and two terms of a series from there."""
    whole = sqrt_price_x96.bit_length() - 1
    mantissa = (sqrt_price_x96 << 64) >> whole
    place = (mantissa >> 64 - _STEPS_BITS) - (1 << _STEPS_BITS)
    near, log = _PLACES[place]
    ratio = (mantissa - near << 64) // (mantissa + near)
    nats = 2 * (ratio + (ratio**3 >> 128) // 3)
    return (whole - 96 << 64) + log + (nats * _BITS_PER_NAT_X64 >> 64)


def _slow_log_2_x64(mantissa_x64: int) -> int:
    """Return the binary logarithm of a number from one to two: each squaring doubles it, and shows a place."""
    mantissa, log = mantissa_x64 << 64, 0
    for _ in range(64):
        mantissa = mantissa * mantissa >> 128
        place = mantissa >> 129
        mantissa >>= place
        log = log << 1 | place
    return log


_MIDDLES: Final = [(2 * place + 1 << 63 - _STEPS_BITS) + (1 << 64) for place in range(1 << _STEPS_BITS)]
_PLACES: Final = [(middle, _slow_log_2_x64(middle)) for middle in _MIDDLES]
"""Numbers from one to two, and their binary logarithms, with 64 binary places."""
