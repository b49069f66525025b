"""Integer fixed-point arithmetic with the rounding in each name.

Together with `lending/*/rules.py` and `venues/` the only place that divides money. All
arguments are non-negative; a zero divisor raises ZeroDivisionError, as the EVM would revert.
The half-up forms are those of Aave's WadRayMath and PercentageMath.
"""

from __future__ import annotations

from typing import Final

from keeper.domain.units import BPS, RAY, WAD

# Written out in each form below: sizing an account asks for thousands of them.
_HALF_BPS: Final = BPS // 2
_HALF_RAY: Final = RAY // 2


def mul_div_down(a: int, b: int, divisor: int) -> int:
    """Return a * b / divisor, rounded down."""
    return a * b // divisor


def mul_div_up(a: int, b: int, divisor: int) -> int:
    """Return a * b / divisor, rounded up."""
    return -(-a * b // divisor)


def mul_div_half_up(a: int, b: int, divisor: int) -> int:
    """Return a * b / divisor, rounded to the nearest, halves up."""
    return (a * b + divisor // 2) // divisor


def percent_mul_half_up(value: int, bps: int) -> int:
    """Return value * bps / 10000, halves up."""
    return (value * bps + _HALF_BPS) // BPS


def percent_div_half_up(value: int, bps: int) -> int:
    """Return value * 10000 / bps, halves up."""
    return (value * BPS + bps // 2) // bps


def ray_mul_half_up(a: int, b: int) -> int:
    """Return a * b / 1e27, halves up."""
    return (a * b + _HALF_RAY) // RAY


def ray_div_half_up(a: int, b: int) -> int:
    """Return a * 1e27 / b, halves up."""
    return (a * RAY + b // 2) // b


def wad_div_half_up(a: int, b: int) -> int:
    """Return a * 1e18 / b, halves up."""
    return mul_div_half_up(a, WAD, b)
