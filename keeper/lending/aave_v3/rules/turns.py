"""Repay amounts at which what the pool allows next changes: where one call opens or closes the way for another.

Each is estimated in closed form, and a hair to either side of it is offered: which side is the better
one, and what the pool really allows there, the exact rules decide. Health is a step function in the older
revisions, so where it crosses a threshold is searched for around the estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from keeper.domain.fixed_point import mul_div_down, mul_div_up
from keeper.domain.units import BPS, WAD
from keeper.lending.aave_v3.rules.account import Projection
from keeper.lending.aave_v3.rules.liquidation import (
    FULL_CLOSE_HEALTH_WAD,
    Pair,
)
from keeper.lending.aave_v3.rules.openings import find_openings
from keeper.lending.aave_v3.rules.search import compute_largest_cover_raw
from keeper.lending.aave_v3.state import Position

_SEIZED_UNIT: Final = BPS * BPS
_TIERED: Final = ("half-per-reserve", "half-of-total")
_WIDEST_SHIFT: Final = 5
_WIDEN_SHIFT: Final = 7
_NEAR_SHIFT: Final = 26
_MOST_TEETH: Final = 4
_HAIR_SHIFT: Final = 22
"""A turn is passed, or kept away from, by a part in four million: more than half a minute's interest moves it."""

HealthAfter = Callable[[int], int]
"""The health factor in wad after a repay of so much."""


def find_turns(pair: Pair, position: Position, projection: Projection, health_after: HealthAfter) -> list[int]:
    """Return the turns of one pair, ascending, in raw debt units; some may not be accepted themselves.

    Each is on the side from which more can be done.
    """
    # health falls and rises by the worth of single base units and single units of the collateral
    base_raw = mul_div_up(pair.debt.unit, 1, pair.debt_price)
    unit_raw = mul_div_up(pair.collateral_price, pair.debt.unit, pair.debt_price * pair.collateral.unit)
    hair_raw = 4 * (base_raw + unit_raw)
    turns = set(_crossings(pair, position, health_after, hair_raw))
    turns.update(_apart(raw, side, hair_raw) for raw, side in find_openings(pair, position, projection))
    return sorted(turn for turn in turns if 0 < turn <= pair.debt_raw)


def _apart(raw: int, side: int, hair_raw: int) -> int:
    """Return an amount a hair's breadth above (1) or below (-1) another."""
    return raw + side * ((raw >> _HAIR_SHIFT) + hair_raw)


def _crossings(pair: Pair, position: Position, health_after: HealthAfter, hair_raw: int) -> Iterator[int]:
    """Yield amounts a hair's breadth from where health crosses a threshold, on the side below it."""
    most_raw = compute_largest_cover_raw(pair, pair.collateral_raw)
    is_tiered = pair.revision.close_factor in _TIERED
    for target_wad in (WAD, FULL_CLOSE_HEALTH_WAD) if is_tiered else (WAD,):
        teeth_wad = _teeth_wad(pair, position, target_wad)
        ends = _crossing_raws(pair, target_wad, teeth_wad)
        if ends is not None and ends[0] <= most_raw:
            crossing = _Crossing(
                health_after=health_after,
                target_wad=target_wad,
                falls=pair.health_wad >= target_wad,
                is_saw=teeth_wad > 0,
                hair_raw=hair_raw,
            )
            yield crossing.around(*ends, most_raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Crossing:
    """One threshold that health crosses as the repay grows: back and forth, where it is a saw."""

    health_after: HealthAfter
    target_wad: int
    falls: bool
    is_saw: bool
    hair_raw: int

    def around(self, near_raw: int, far_raw: int, most_raw: int) -> int:
        """Return the turn of a crossing between two amounts, or nearby; beside them where there is none."""
        shift, grain_raw = _NEAR_SHIFT, self.hair_raw >> 1
        while shift >= _WIDEST_SHIFT:
            low = max(near_raw - (near_raw >> shift) - grain_raw, 1)
            high = min(far_raw + (far_raw >> shift) + grain_raw, most_raw)
            if self._is_past(high) and not self._is_past(low):
                return self._between(low, high)
            shift -= _WIDEN_SHIFT
        return self._turn(near_raw, far_raw)

    def _between(self, low: int, high: int) -> int:
        """Return a turn between an amount before the threshold and one past it.

        A tooth may be narrower than a hair: then there is another crossing, on the side of the turn.
        """
        before, past = self._narrow(low, high)
        turn = self._turn(before, past)
        for _ in range(_MOST_TEETH if self.is_saw else 0):
            if not low < turn < high or self._is_past(turn) == self.falls:
                break
            low, high = (turn, high) if self.falls else (low, turn)
            turn = self._turn(*self._narrow(low, high))
        return turn

    def _narrow(self, low: int, high: int) -> tuple[int, int]:
        """Return two near amounts between such two; a part in sixteen million is near enough."""
        while high - low > self.hair_raw + (high >> _NEAR_SHIFT - 2):
            middle = (low + high) >> 1
            low, high = (low, middle) if self._is_past(middle) else (middle, high)
        return low, high

    def _turn(self, before: int, past: int) -> int:
        """Return the amount a hair's breadth on the side of them where health is below the threshold."""
        return _apart(past, 1, self.hair_raw) if self.falls else _apart(before, -1, self.hair_raw)

    def _is_past(self, repay_raw: int) -> bool:
        """Whether health is on the other side of the threshold after a repay."""
        return (self.health_after(repay_raw) < self.target_wad) == self.falls


def _teeth_wad(pair: Pair, position: Position, target_wad: int) -> int:
    """Return by how much health may be counted short where the average threshold is cut to whole bps."""
    collateral_base, _, weighted = pair.sums
    if pair.revision.directional or len(position.collaterals) == 1 or not weighted:
        return 0
    return 2 * mul_div_down(target_wad, collateral_base, weighted)  # twice: the average moves with what is seized


def _crossing_raws(pair: Pair, target_wad: int, teeth_wad: int) -> tuple[int, int] | None:
    """Return two amounts, ascending, between which health crosses a threshold; None where it does not.

    What is not cut short crosses at one of them, and is by the height of the teeth above at the other.
    """
    even = _crossing_raw(pair, target_wad)
    if not even or not teeth_wad:
        return (even, even) if even else None
    above = _crossing_raw(pair, target_wad + teeth_wad)
    if above:
        return min(even, above), max(even, above)
    return (1, even) if pair.health_wad >= target_wad else (even, pair.debt_raw)


def _crossing_raw(pair: Pair, target_wad: int) -> int:
    """Return where health, not cut short, crosses a threshold; 0 where it does not.

    That is D * (h - t) / (c - t), c the threshold times bonus of what is seized.
    """
    seized_wad = mul_div_down(pair.threshold_bps * pair.bonus_bps, WAD, _SEIZED_UNIT)
    health_wad = mul_div_down(pair.sums.weighted, WAD, pair.sums.debt_base * BPS)
    rise, run = health_wad - target_wad, seized_wad - target_wad
    if rise * run <= 0 or abs(rise) >= abs(run):
        return 0
    return _raw_of(pair, mul_div_down(pair.sums.debt_base, abs(rise), abs(run)))


def _raw_of(pair: Pair, base: int) -> int:
    return mul_div_down(base, pair.debt.unit, pair.debt_price)
