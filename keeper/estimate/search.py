"""Finding the top of a concave curve over integers, without floats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from keeper.domain.fixed_point import mul_div_down

Curve = Callable[[int], int | None]
"""A value for each integer; None where there is none, which is worse than any value."""

_SECTION: Final = (381_966, 1_000_000)  # the golden section


_FEW: Final = 3  # an interval so short that each of its integers is looked at


def is_better(value: int | None, than: int | None) -> bool:
    """Whether a value beats another; None beats nothing."""
    return value is not None and (than is None or value > than)


def search_concave(curve: Curve, low: int, high: int, *, steps: int) -> int:
    """Return an integer in [low, high] near the top of a concave `curve`.

    Each of at most `steps` evaluations narrows the interval by the golden section; of equal
    values the lower side is kept, so plateaus end at their lower end. The curve may be None from
    some point upwards. The answer is exact for a strictly concave curve when `steps` is enough
    to narrow the interval to a few integers; otherwise it lies within the last interval.
    """
    left, right = _inner(low, high)
    at_left, at_right = curve(left), curve(right)
    for _ in range(steps):
        if high - low <= _FEW:
            break
        if is_better(at_right, at_left):
            low = left
            left, at_left = right, at_right
            right = max(_inner(low, high)[1], left + 1)
            at_right = curve(right)
        else:
            high = right
            right, at_right = left, at_left
            left = min(_inner(low, high)[0], right - 1)
            at_left = curve(left)
    if high - low > _FEW:
        return left if not is_better(at_right, at_left) else right
    return best_of(curve, range(low, high + 1))


def best_of(curve: Curve, points: range | list[int]) -> int:
    """Return the point with the greatest value, the first of equals (of nothing but None: the first)."""
    best, value = points[0], curve(points[0])
    for point in points[1:]:
        other = curve(point)
        if is_better(other, value):
            best, value = point, other
    return best


def first_true(is_true: Callable[[int], bool], low: int, high: int) -> int:
    """Return the least integer in [low, high] for which `is_true` holds, given that it does for `high`.

    The predicate must not fall back to false once it is true.
    """
    while low < high:
        middle = (low + high) >> 1
        if is_true(middle):
            high = middle
        else:
            low = middle + 1
    return high


def _inner(low: int, high: int) -> tuple[int, int]:
    offset = mul_div_down(high - low, *_SECTION)
    return low + offset, high - offset
