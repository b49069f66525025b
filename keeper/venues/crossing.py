"""Routes that cross: they share pools in a way that is neither a fork nor a chain.

One of them goes first, the others stand in pools that it has moved. How much goes first is
found by trying, until its next unit brings as much as theirs; between amounts tried it is interpolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from keeper.domain.swaps import Hop, Route
from keeper.domain.units import Address
from keeper.venues.curve import LEVEL_BITS, Curve
from keeper.venues.flow import CurveOf, Flow, Parts, arrange

_TRIES: Final = 12
_CLOSE_SHIFT: Final = 8
_NARROW_SHIFT: Final = 14
_FIRST_SHIFTS: Final = (4, 2, 0)
_GRID_BITS: Final = 3


@dataclass(frozen=True, slots=True)
class _Split:
    """The first route sells `first_in`, the others the rest, on the pools as it leaves them."""

    first_in: int
    first_out: int
    first_levels: dict[Address, int]
    rest_in: int
    rest: Flow


@dataclass(slots=True)
class Crossing:
    """An arrangement of crossing routes: `first`, and `others` that can be arranged without it."""

    first: Route
    others: Sequence[Route]
    curve_of: CurveOf
    _shares: dict[int, int] = field(default_factory=dict)
    _last: tuple[int, _Split | None] = (-1, None)

    def out_at(self, amount_in: int) -> int | None:
        """Return what an amount brings; None when it is too much."""
        split = self._split(amount_in)
        rest_out = None if split is None else split.rest.out_at(split.rest_in)
        return None if split is None or rest_out is None else split.first_out + rest_out

    def level_at(self, amount_in: int) -> int | None:
        """Return the level once an amount is sold; None when it is too much."""
        split = self._split(amount_in)
        return None if split is None else split.rest.level_at(split.rest_in)

    def levels(self, amount_in: int) -> dict[Address, int]:
        """Return the level of each pool after that."""
        split = self._split(amount_in)
        return {} if split is None else split.first_levels | split.rest.levels(split.rest_in)

    def parts(self, amount_in: int) -> Parts:
        """Return the best division of an amount that the pools take."""
        split = self._split(amount_in)
        return [] if split is None else [(self.first, split.first_in), *split.rest.parts(split.rest_in)]

    def _split(self, amount_in: int) -> _Split | None:
        if self._last[0] != amount_in:
            self._last = amount_in, self._interpolate(amount_in)
        return self._last[1]

    def _interpolate(self, amount_in: int) -> _Split | None:
        shift = max(0, amount_in.bit_length() - _GRID_BITS)
        low = amount_in >> shift << shift
        share = self._share(low)
        if amount_in > low:
            share += (self._share(low + (1 << shift)) - share) * (amount_in - low) >> shift
        return self._try(amount_in, share)

    def _share(self, amount_in: int) -> int:
        if amount_in not in self._shares:
            self._shares[amount_in] = self._solve(amount_in)
        return self._shares[amount_in]

    def _solve(self, amount_in: int) -> int:
        """Return what the first route sells at best, by false position on the difference of levels."""
        low, at_low = 0, self._excess(amount_in, 0)
        if at_low <= 0:
            return 0
        close = at_low >> _CLOSE_SHIFT
        for shift in _FIRST_SHIFTS:  # most sell a small part on the route that crosses the others
            high = amount_in >> shift
            at_high = self._excess(amount_in, high)
            if at_high < 0:
                break
            low, at_low = high, at_high
        else:
            return amount_in
        side = 0
        for _ in range(_TRIES):
            middle = low + (high - low) * at_low // (at_low - at_high)
            found = self._excess(amount_in, middle)
            if abs(found) <= close or high - low <= amount_in >> _NARROW_SHIFT:
                return middle
            if found > 0:
                low, at_low = middle, found
                at_high = at_high >> 1 if side > 0 else at_high
            else:
                high, at_high = middle, found
                at_low = at_low >> 1 if side < 0 else at_low
            side = 1 if found > 0 else -1
        return low

    def _excess(self, amount_in: int, first_in: int) -> int:
        """Return by how much the first route's next unit is better than the others'."""
        split = self._try(amount_in, first_in)
        if split is None:
            return -self._start_level()
        level = split.rest.level_at(split.rest_in)
        if level is None:
            return self._start_level()
        moved = split.first_levels | split.rest.levels(split.rest_in)
        own = 1 << LEVEL_BITS
        for hop in self.first:
            own = own * moved[hop.pool] >> LEVEL_BITS
        return own - level

    def _start_level(self) -> int:
        level = 1 << LEVEL_BITS
        for hop in self.first:
            level = level * self.curve_of(hop).start_level >> LEVEL_BITS
        return level

    def _try(self, amount_in: int, first_in: int) -> _Split | None:
        """Return the division in which the first route sells `first_in`; None when it cannot."""
        levels: dict[Address, int] = {}
        moved: dict[Address, Curve] = {}
        amount: int | None = first_in
        for hop in self.first:
            curve = self.curve_of(hop)
            level = None if amount is None else curve.level_at(amount)
            if amount is None or level is None:
                return None
            levels[hop.pool] = level
            moved[hop.pool] = curve.beyond(amount)
            amount = curve.out_at(amount)

        def curve_of(hop: Hop) -> Curve:
            return moved.get(hop.pool) or self.curve_of(hop)

        rest = arrange(self.others, curve_of, {})
        if rest is None:
            return None
        return _Split(first_in, amount or 0, levels, amount_in - first_in, rest)


def cross(routes: Sequence[Route], curve_of: CurveOf) -> Crossing | None:
    """Return an arrangement of routes that cross, the longest possible one first; None when one is not enough."""
    sides: dict[Address, Address] = {}
    for route in routes:
        for hop in route:
            if sides.setdefault(hop.pool, hop.token_in) != hop.token_in:
                return None  # a pool in both directions
    for first in sorted(routes, key=len, reverse=True):
        others = [route for route in routes if route is not first]
        if arrange(others, curve_of, {}) is not None:
            return Crossing(first, others, curve_of)
    return None
