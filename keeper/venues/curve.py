"""What a pool, or several put together, pays for more and more: the curve behind a split.

Between two initialised ticks a pool is a hyperbola, and hyperbolas stay what they are when they
are put in parallel (at one price) or in series (one pays what the next takes). So every curve
here is a list of segments, each with one number, its *depth*: while the *level* (the square root
of the price of the next unit, after fees) falls from one knot to the next,

    in  = depth * (1 / level_end - 1 / level_start)
    out = depth * (level_start - level_end)

In parallel, depths at one level add up. The real numbers behind a curve bound the contracts' integers
from above: each of their roundings is against the trader. Curves suggest, exact quotes decide.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

LEVEL_BITS: Final = 96
"""Binary places of a level."""
AMOUNT_BITS: Final = 32
"""Binary places of amounts and depths inside curves."""

Segment = tuple[int, int]
"""(level at the end, depth), a depth of 0 for a gap that costs nothing to pass."""


class Curve:
    """A curve from its start level down, computed as far as it is asked for. Divisions round down.

    It `is_divisible` when two sales one after the other bring what one of both amounts brings.
    """

    __slots__ = ("_ins", "_outs", "_segments", "depths", "falls", "is_divisible")

    def __init__(self, start_level: int, segments: Iterator[Segment], *, is_divisible: bool = True) -> None:
        self.is_divisible = is_divisible
        self.falls = [-start_level]  # knots' levels, negated: ascending
        self.depths: list[int] = []
        self._ins = [0]
        self._outs = [0]
        self._segments = segments

    @property
    def start_level(self) -> int:
        """The level of the first unit."""
        return -self.falls[0]

    def extend(self) -> bool:
        """Compute one more segment; False when the curve ends here."""
        following = next(self._segments, None)
        if following is None or following[0] <= 0:
            self._segments = iter(())
            return False
        level, (end, depth) = -self.falls[-1], following
        end = min(end, level)
        self.depths.append(depth)
        self.falls.append(-end)
        self._ins.append(self._ins[-1] + (depth * (level - end) << LEVEL_BITS) // (level * end))
        self._outs.append(self._outs[-1] + (depth * (level - end) >> LEVEL_BITS))
        return True

    def level_at(self, amount_in: int) -> int | None:
        """Return the level once `amount_in` is sold; None when that is more than the curve takes."""
        index = self._segment_of(amount_in)
        return None if index is None else self._level(index, amount_in)

    def takes_up_to(self, amount_in: int) -> int:
        """Return `amount_in`, or all the curve takes where that is less."""
        while self._ins[-1] < amount_in:
            if not self.extend():
                return self._ins[-1]
        return amount_in

    def out_at(self, amount_in: int) -> int | None:
        """Return what `amount_in` brings; None when that is more than the curve takes."""
        ins = self._ins  # asked far more often than anything else: without the calls that `level_at` makes
        while ins[-1] < amount_in:
            if not self.extend():
                return None
        index = bisect_right(ins, amount_in) - 1
        if index == len(self.depths):
            return self._outs[index]
        level, depth = -self.falls[index], self.depths[index]
        scaled = depth << LEVEL_BITS
        fall = level - level * scaled // (scaled + (amount_in - ins[index]) * level)
        return self._outs[index] + (depth * fall >> LEVEL_BITS)

    def in_at(self, level: int) -> int:
        """Return what is sold until the level has fallen to `level`: all the curve takes, where it ends above."""
        while -self.falls[-1] > level:
            if not self.extend():
                return self._ins[-1]
        index = bisect_left(self.falls, -level)
        if index == 0:
            return 0
        start = -self.falls[index - 1]
        return self._ins[index - 1] + (self.depths[index - 1] * (start - level) << LEVEL_BITS) // (start * level)

    def in_for(self, amount_out: int) -> int:
        """Return what is sold to get `amount_out`: all the curve takes, where it brings less."""
        while self._outs[-1] < amount_out:
            if not self.extend():
                return self._ins[-1]
        index = bisect_left(self._outs, amount_out)
        if index == 0:
            return 0
        start, depth = -self.falls[index - 1], self.depths[index - 1]
        level = start - ((amount_out - self._outs[index - 1]) << LEVEL_BITS) // depth
        return self._ins[index - 1] + (depth * (start - level) << LEVEL_BITS) // (start * level)

    def beyond(self, amount_in: int) -> Curve:
        """Return the curve as it is once `amount_in`, which it takes, is sold."""
        index = self._segment_of(amount_in)
        if index is None:
            raise ValueError(f"the curve does not take {amount_in}")
        return Curve(self._level(index, amount_in), self._from(index))

    def _from(self, index: int) -> Iterator[Segment]:
        while index < len(self.depths) or self.extend():
            yield -self.falls[index + 1], self.depths[index]
            index += 1

    def _segment_of(self, amount_in: int) -> int | None:
        while self._ins[-1] < amount_in:
            if not self.extend():
                return None
        return bisect_right(self._ins, amount_in) - 1

    def _level(self, index: int, amount_in: int) -> int:
        level = -self.falls[index]
        if index == len(self.depths):
            return level
        depth = self.depths[index] << LEVEL_BITS
        return level * depth // (depth + (amount_in - self._ins[index]) * level)


def in_series(first: Curve, rest: Curve) -> Curve:
    """Return the curve of selling into `first` and what it pays into `rest`."""
    return Curve(first.start_level * rest.start_level >> LEVEL_BITS, _series(first, rest))


def in_parallel(branches: Sequence[Curve]) -> Curve:
    """Return the curve of selling into all `branches` so that their levels are the same."""
    return Curve(max(branch.start_level for branch in branches), _parallel(list(branches)))


def _series(first: Curve, rest: Curve) -> Iterator[Segment]:
    one = other = 0  # the segments both stand in
    level_one, level_other = first.start_level, rest.start_level
    while (one < len(first.depths) or first.extend()) and (other < len(rest.depths) or rest.extend()):
        depth_one, depth_other = first.depths[one], rest.depths[other]
        end_one, end_other = -first.falls[one + 1], -rest.falls[other + 1]
        if not depth_one or not depth_other:
            if not depth_one:
                one, level_one = one + 1, end_one
            else:
                other, level_other = other + 1, end_other
            yield level_one * level_other >> LEVEL_BITS, 0
            continue
        # how much passes from one to the other until either segment ends
        paid = depth_one * (level_one - end_one) >> LEVEL_BITS
        taken = (depth_other * (level_other - end_other) << LEVEL_BITS) // (level_other * end_other)
        depth = (
            depth_one
            * depth_other
            // ((depth_one * level_one >> LEVEL_BITS) + (depth_other << LEVEL_BITS) // level_other)
        )
        if paid <= taken:
            scaled = depth_other << LEVEL_BITS
            one, level_one, level_other = one + 1, end_one, scaled * level_other // (scaled + paid * level_other)
        else:
            other, level_other, level_one = other + 1, end_other, level_one - (taken << LEVEL_BITS) // depth_one
        yield level_one * level_other >> LEVEL_BITS, depth


def _parallel(branches: list[Curve]) -> Iterator[Segment]:
    level = max(branch.start_level for branch in branches)
    places = dict.fromkeys(range(len(branches)), 0)
    while True:
        depth = following = 0
        for number in list(places):
            branch, index = branches[number], places[number]
            while (index < len(branch.depths) or branch.extend()) and -branch.falls[index + 1] >= level:
                index += 1
            if index == len(branch.depths):
                del places[number]  # it takes no more
                continue
            places[number] = index
            start = -branch.falls[index]
            if start >= level:
                depth += branch.depths[index]
                start = -branch.falls[index + 1]
            following = max(following, start)
        if not places:
            return
        yield following, depth
        level = following
