"""Repay amounts at which what the pool allows next changes: where one call opens or closes the way for another.

Each is estimated in closed form, and a hair to either side of it is offered: which side is the better
one, and what the pool really allows there, the exact rules decide. Health is a step function in the older
revisions, so where it crosses a threshold is searched for around the estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from keeper.domain.fixed_point import mul_div_down, mul_div_up
from keeper.domain.units import BPS, WAD
from keeper.lending.aave_v3.rules.account import Projection
from keeper.lending.aave_v3.rules.interest import compute_debt_raw
from keeper.lending.aave_v3.rules.liquidation import (
    FULL_CLOSE_BASE,
    FULL_CLOSE_HEALTH_WAD,
    Pair,
    value_debt,
)
from keeper.lending.aave_v3.rules.search import compute_largest_cover_raw
from keeper.lending.aave_v3.state import Position

_SEIZED_UNIT: Final = BPS * BPS
_TIERED: Final = ("half-per-reserve", "half-of-total")
_WIDEST_SHIFT: Final = 5
_WIDEN_SHIFT: Final = 7
_NEAR_SHIFT: Final = 26
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
    sides = _sides(pair, position, projection, health_after)
    turns = {raw + side * ((raw >> _HAIR_SHIFT) + hair_raw) for raw, side in sides}
    return sorted(turn for turn in turns if 0 < turn <= pair.debt_raw)


def _sides(
    pair: Pair, position: Position, projection: Projection, health_after: HealthAfter
) -> Iterator[tuple[int, int]]:
    """Yield (amount, side): 1 where repaying more opens the way, -1 where repaying less does."""
    is_tiered = pair.revision.close_factor in _TIERED
    for target_wad in (WAD, FULL_CLOSE_HEALTH_WAD) if is_tiered else (WAD,):
        estimate_raw = _crossing_raw(pair, target_wad)
        if estimate_raw:
            falls = pair.health_wad >= target_wad
            below, above = _around(estimate_raw, pair.debt_raw, _crossing(health_after, target_wad, falls=falls))
            yield (above, 1) if falls else (below, -1)
    if pair.revision.dust_rule and pair.max_raw < pair.debt_raw:
        yield from ((each, 1) for each in _leftovers(pair))
    if pair.revision.close_factor == "half-of-total" and pair.health_wad > FULL_CLOSE_HEALTH_WAD:
        yield from _halves(pair, position, projection)


def _crossing(health_after: HealthAfter, target_wad: int, *, falls: bool) -> Callable[[int], bool]:
    """Return whether health is on the other side of the target after a repay."""
    return lambda repay_raw: (health_after(repay_raw) < target_wad) == falls


def _crossing_raw(pair: Pair, target_wad: int) -> int:
    """Return where health crosses a threshold: D * (h - t) / (c - t), c the threshold times bonus of what is seized."""
    seized_wad = mul_div_down(pair.threshold_bps * pair.bonus_bps, WAD, _SEIZED_UNIT)
    rise, run = pair.health_wad - target_wad, seized_wad - target_wad
    if rise * run <= 0 or abs(rise) >= abs(run):
        return 0
    return _raw_of(pair, mul_div_down(pair.sums.debt_base, abs(rise), abs(run)))


def _around(estimate_raw: int, most_raw: int, is_past: Callable[[int], bool]) -> tuple[int, int]:
    """Return two near amounts, `is_past` for the second alone; the estimate twice where there are none nearby.

    Where the average threshold is rounded, health is a saw: it is crossed back and forth around the estimate.
    """
    shift = _NEAR_SHIFT
    while shift >= _WIDEST_SHIFT:
        width = (estimate_raw >> shift) + 1
        low, high = max(estimate_raw - width, 1), min(estimate_raw + width, most_raw)
        if is_past(high) and not is_past(low):
            while high - low > 1 + (estimate_raw >> _NEAR_SHIFT - 1):
                middle = (low + high) >> 1
                low, high = (low, middle) if is_past(middle) else (middle, high)
            return low, high
        shift -= _WIDEN_SHIFT
    return estimate_raw, estimate_raw


def _leftovers(pair: Pair) -> Iterator[int]:
    """Yield where what is left of the debt, or of the collateral, is small enough to be closed whole."""
    owed_base = value_debt(pair.debt_raw, pair.debt_price, pair.debt.unit, pair.revision)
    yield _raw_of(pair, max(owed_base - FULL_CLOSE_BASE, 0))
    kept_raw = mul_div_up(FULL_CLOSE_BASE, pair.collateral.unit, pair.collateral_price)
    yield max(compute_largest_cover_raw(pair, pair.collateral_raw - kept_raw), 0)


def _halves(pair: Pair, position: Position, projection: Projection) -> Iterator[tuple[int, int]]:
    """Yield where a debt becomes, or ceases to be, at most half of all that is owed: then it is closed whole."""
    total_base = pair.sums.debt_base
    for id_, scaled in position.debts if len(position.debts) > 1 else ():
        reserve = projection.reserves[id_]
        owed_raw = compute_debt_raw(scaled, projection.debt_ray[id_], projection.revision)
        base = value_debt(owed_raw, reserve.price_base or 0, reserve.unit, projection.revision)
        # of this debt x is repaid as well: D - x <= (T - x) / 2; another only loses its share of the total
        yield _raw_of(pair, abs(2 * base - total_base)), 1 if id_ == pair.debt.id else -1


def _raw_of(pair: Pair, base: int) -> int:
    return mul_div_down(base, pair.debt.unit, pair.debt_price)
