"""What an account is worth and owes at one block time, and its health factor.

This is the part that runs over every account, so it works on plain tuples.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Final, NamedTuple

from keeper.domain.fixed_point import percent_mul_half_up, wad_div_half_up
from keeper.domain.units import BPS, MAX_UINT256, RAY
from keeper.lending.aave_v3.revisions import Revision
from keeper.lending.aave_v3.rules.interest import compute_debt_ray, compute_income_ray, compute_stable_debt_raw
from keeper.lending.aave_v3.state import EMode, Position, Reserve

HALF_RAY: Final = RAY // 2

CollateralRow = tuple[int, int, int, int]
"""(supply index, price, unit, threshold in bps); a price of 0 where the collateral does not count."""

DebtRow = tuple[int, int, int]
"""(debt index, price, unit)."""


class Sums(NamedTuple):
    """Base-currency totals; `weighted` is the sum of collateral value times threshold in bps."""

    collateral_base: int
    debt_base: int
    weighted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows by reserve id for the accounts of one e-mode; None where the oracle has no price."""

    collateral: Mapping[int, CollateralRow | None]
    debt: Mapping[int, DebtRow | None]


def _indices(reserve: Reserve) -> tuple[int, ...]:
    """Return all that the indices of a reserve at a later time depend on."""
    return (
        reserve.liquidity_index_ray,
        reserve.liquidity_rate_ray,
        reserve.debt_index_ray,
        reserve.debt_rate_ray,
        reserve.updated_s,
    )


class Projection:
    """All reserves of a market at one block time; tables are made once per e-mode in use."""

    __slots__ = ("_tables", "at_s", "debt_ray", "emodes", "income_ray", "reserves", "revision")

    def __init__(
        self, revision: Revision, reserves: Mapping[int, Reserve], emodes: Mapping[int, EMode], at_s: int
    ) -> None:
        self.revision = revision
        self.reserves = reserves
        self.emodes = emodes
        self.at_s = at_s
        self.income_ray = {id_: compute_income_ray(reserve, at_s) for id_, reserve in reserves.items()}
        self.debt_ray = {id_: compute_debt_ray(reserve, revision, at_s) for id_, reserve in reserves.items()}
        self._tables: dict[int, Table] = {}

    def moved_to(self, reserves: Mapping[int, Reserve], touched: int) -> Projection:
        """Return the projection of the same reserves after one of them may have gained by a premium.

        What is already known is kept where the indices are the same; prices and thresholds must be. For
        reserves that only paid out or took in, this projection holds as it is.
        """
        moved = copy(self)
        moved.reserves = reserves
        reserve = reserves[touched]
        if _indices(self.reserves[touched]) != _indices(reserve):
            moved._tables = {}  # noqa: SLF001 - of its own kind
            moved.income_ray = {**self.income_ray, touched: compute_income_ray(reserve, self.at_s)}
            moved.debt_ray = {**self.debt_ray, touched: compute_debt_ray(reserve, self.revision, self.at_s)}
        return moved

    def table(self, emode_id: int) -> Table:
        """Return the rows that value the accounts of e-mode `emode_id` (0: none)."""
        table = self._tables.get(emode_id)
        if table is None:
            emode = self.emodes[emode_id] if emode_id else None
            table = self._tables[emode_id] = Table(
                collateral={id_: self._collateral_row(reserve, emode) for id_, reserve in self.reserves.items()},
                debt={id_: self._debt_row(reserve, emode) for id_, reserve in self.reserves.items()},
            )
        return table

    def _collateral_row(self, reserve: Reserve, emode: EMode | None) -> CollateralRow | None:
        price = valuation_price_base(reserve, emode, self.revision)
        if price is None:
            return None
        if self.revision.threshold_required and reserve.threshold_bps == 0:
            return (0, 0, 1, 0)
        inside = emode is not None and is_in_emode(reserve, emode, self.revision)
        threshold_bps = emode.threshold_bps if emode is not None and inside else reserve.threshold_bps
        return (self.income_ray[reserve.id], price, reserve.unit, threshold_bps)

    def _debt_row(self, reserve: Reserve, emode: EMode | None) -> DebtRow | None:
        price = valuation_price_base(reserve, emode, self.revision)
        return None if price is None else (self.debt_ray[reserve.id], price, reserve.unit)


def is_in_emode(reserve: Reserve, emode: EMode, revision: Revision) -> bool:
    """Return whether `reserve` counts as collateral of `emode`."""
    match revision.emode:
        case "category":
            return reserve.emode_category == emode.id
        case "bitmap":
            return bool(emode.collateral_bitmap >> reserve.id & 1)
        case None:
            return False


def valuation_price_base(reserve: Reserve, emode: EMode | None, revision: Revision) -> int | None:
    """Return the price that health is computed with, None when the pool would revert for it.

    A category with a price of its own asks for it first, so all its accounts depend on it.
    """
    if emode is not None and emode.priced:
        if emode.price_base is None:
            return None
        if emode.price_base and is_in_emode(reserve, emode, revision):
            return emode.price_base
    return reserve.price_base


def compute_sums(position: Position, projection: Projection) -> Sums | None:
    """Return the account's totals, None when a price that the pool would ask for is missing."""
    table = projection.table(position.emode)
    directional = projection.revision.directional
    supply_extra = 0 if directional else HALF_RAY
    debt_extra = RAY - 1 if directional else HALF_RAY
    collateral_base = debt_base = weighted = 0
    for reserve_id, scaled in position.collaterals:
        row = table.collateral[reserve_id]
        if row is None:
            return None
        income_ray, price, unit, threshold_bps = row
        value = (scaled * income_ray + supply_extra) // RAY * price // unit
        collateral_base += value
        weighted += value * threshold_bps
    stable = stable_balances_raw(position, projection.at_s) if position.stable_debts else None
    for reserve_id, scaled in position.debts:
        debt_row = table.debt[reserve_id]
        if debt_row is None:
            return None
        debt_ray, price, unit = debt_row
        owed = (scaled * debt_ray + debt_extra) // RAY
        if stable is not None:
            owed += stable.get(reserve_id, 0)
        # Directional revisions round a debt's value up, so that any debt is worth at least 1.
        debt_base += -(-owed * price // unit) if directional else owed * price // unit
    return Sums(collateral_base, debt_base, weighted)


def stable_balances_raw(position: Position, at_s: int) -> dict[int, int]:
    """Return stable-rate balances by reserve id at `at_s`."""
    return {debt.reserve_id: compute_stable_debt_raw(debt, at_s) for debt in position.stable_debts}


def compute_health_factor_wad(sums: Sums, revision: Revision) -> int:
    """Return the health factor; 2**256-1 without debt.

    Older revisions floor the average threshold to whole bps first, which is visible near 1.
    """
    collateral_base, debt_base, weighted = sums
    if debt_base == 0:
        return MAX_UINT256
    if revision.directional:
        return wad_div_half_up(weighted, debt_base) // BPS
    average_bps = weighted // collateral_base if collateral_base else 0
    return wad_div_half_up(percent_mul_half_up(collateral_base, average_bps), debt_base)
