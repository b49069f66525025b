"""Repay amounts at which the close factor begins, or ceases, to let one more call take all that is left of something.

About half of a debt may be repaid while health is between the thresholds; so much of it, or of all debts,
is enough for a debt or a collateral that is small beside it. Each call moves that border. All in closed form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from keeper.domain.fixed_point import mul_div_down, mul_div_up
from keeper.domain.units import BPS, WAD
from keeper.lending.aave_v3.rules.account import Projection, is_in_emode, valuation_price_base
from keeper.lending.aave_v3.rules.interest import compute_debt_raw, compute_supply_raw
from keeper.lending.aave_v3.rules.liquidation import FULL_CLOSE_BASE, FULL_CLOSE_HEALTH_WAD, Pair, value_debt
from keeper.lending.aave_v3.rules.search import compute_largest_cover_raw
from keeper.lending.aave_v3.state import Position


def find_openings(pair: Pair, position: Position, projection: Projection) -> Iterator[tuple[int, int]]:
    """Yield (amount, side) in raw debt units: 1 where repaying more opens the way, -1 where repaying less does."""
    openings: list[tuple[int, int]] = []
    if pair.revision.dust_rule:
        openings += [(base, 1) for base in _leftovers(pair)]
    if pair.revision.close_factor == "half-of-total":
        openings += _halves_of_total(pair, position, projection)
    elif pair.revision.close_factor == "half-per-reserve":
        openings += _halves_of_debt(pair, position, projection)
    for base, side in openings:
        if base > 0 and _is_half_after(pair, base):
            yield mul_div_down(base, pair.debt.unit, pair.debt_price), side


def _is_half_after(pair: Pair, repaid_base: int) -> bool:
    """Whether health is between the thresholds of the close factor after such a repay, roundings aside."""
    owed_base = pair.sums.debt_base - repaid_base
    weighted = pair.sums.weighted - mul_div_down(repaid_base, pair.threshold_bps * pair.bonus_bps, BPS)
    return FULL_CLOSE_HEALTH_WAD * owed_base * BPS < weighted * WAD < WAD * owed_base * BPS


def _leftovers(pair: Pair) -> Iterator[int]:
    """Yield where what is left of the debt, or of the collateral, is small enough to be closed whole, in base units."""
    owed_base = value_debt(pair.debt_raw, pair.debt_price, pair.debt.unit, pair.revision)
    yield owed_base - FULL_CLOSE_BASE
    kept_raw = mul_div_up(FULL_CLOSE_BASE, pair.collateral.unit, pair.collateral_price)
    cover_raw = max(compute_largest_cover_raw(pair, pair.collateral_raw - kept_raw), 0)
    yield value_debt(cover_raw, pair.debt_price, pair.debt.unit, pair.revision)


def _halves_of_total(pair: Pair, position: Position, projection: Projection) -> Iterator[tuple[int, int]]:
    """Yield where half of all that is owed is just enough for all of a debt, or of a collateral, in base units."""
    total_base = pair.sums.debt_base
    debts, caps = _debts_base(position, projection), _caps_base(position, projection)
    wholes = [(base, id_ == pair.debt.id) for id_, base in debts.items()]
    wholes += [(base, id_ == pair.collateral.id) for id_, base in caps.items()]
    for base, is_own in wholes:
        # what this call takes from is less by x: D - x <= (T - x) / 2; of another all is left: D <= (T - x) / 2
        yield (2 * base - total_base, 1) if is_own else (total_base - 2 * base, -1)


def _halves_of_debt(pair: Pair, position: Position, projection: Projection) -> Iterator[tuple[int, int]]:
    """Yield where half of a debt is just enough for all of a collateral, in base units."""
    debts, caps = _debts_base(position, projection), _caps_base(position, projection)
    for id_, cap_base in caps.items():
        gap_base = 2 * cap_base - debts[pair.debt.id]
        if id_ != pair.collateral.id:
            yield -gap_base, -1
            continue
        yield gap_base, 1
        yield from ((cap_base - base // 2, 1) for other, base in debts.items() if other != pair.debt.id)


def _debts_base(position: Position, projection: Projection) -> Mapping[int, int]:
    """Return what is owed of each debt, by reserve id."""
    found: dict[int, int] = {}
    for id_, scaled in position.debts:
        reserve = projection.reserves[id_]
        owed_raw = compute_debt_raw(scaled, projection.debt_ray[id_], projection.revision)
        found[id_] = value_debt(owed_raw, reserve.price_base or 0, reserve.unit, projection.revision)
    return found


def _caps_base(position: Position, projection: Projection) -> Mapping[int, int]:
    """Return the repay that takes all of each collateral, by reserve id."""
    emode = projection.emodes[position.emode] if position.emode else None
    found: dict[int, int] = {}
    for id_, scaled in position.collaterals:
        reserve = projection.reserves[id_]
        inside = emode if emode is not None and is_in_emode(reserve, emode, projection.revision) else None
        bonus_bps = inside.liquidation_bonus_bps if inside else reserve.liquidation_bonus_bps
        price_base = valuation_price_base(reserve, emode, projection.revision) or 0
        held_raw = compute_supply_raw(scaled, projection.income_ray[id_], projection.revision)
        if bonus_bps:
            found[id_] = mul_div_down(held_raw * BPS, price_base, reserve.unit * bonus_bps)
    return found
