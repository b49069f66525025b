"""What a liquidation leaves behind: the account, and what is written off."""

from __future__ import annotations

from dataclasses import dataclass, replace

from keeper.lending.aave_v3.rules.account import Projection
from keeper.lending.aave_v3.rules.interest import (
    compute_debt_raw,
    compute_scaled_debt_burnt,
    compute_scaled_supply_moved,
    compute_supply_raw,
)
from keeper.lending.aave_v3.rules.liquidation import Amounts, Pair, leaves_no_collateral
from keeper.lending.aave_v3.state import Position, StableDebt


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """The account after a liquidation. `deficits` are (reserve id, raw) in the order of reserves.

    `fee_scaled` and `seized_scaled` are scaled aTokens to the protocol and out of the account
    for the caller; `fee_raw` is the fee after it was cut to what was left of the balance.
    """

    position: Position
    deficits: tuple[tuple[int, int], ...]
    seized_scaled: int
    fee_scaled: int
    fee_raw: int
    collateral_off: bool


def compute_aftermath(pair: Pair, amounts: Amounts, position: Position, projection: Projection) -> Aftermath:
    """Return what is left of `position` once `amounts`, which the pool accepts, are through."""
    revision = pair.revision
    seized_scaled = compute_scaled_supply_moved(amounts.seized_raw, pair.income_ray, revision)
    fee_scaled = compute_scaled_supply_moved(amounts.fee_raw, pair.income_ray, revision)
    left_scaled = pair.collateral_scaled - seized_scaled
    fee_raw = amounts.fee_raw
    if fee_scaled > left_scaled:
        fee_scaled, fee_raw = left_scaled, compute_supply_raw(left_scaled, pair.income_ray, revision)
    left_scaled -= fee_scaled
    no_collateral = leaves_no_collateral(pair, amounts)
    if revision.deficit == "scaled":
        moved = seized_scaled + compute_scaled_supply_moved(amounts.fee_raw, pair.income_ray, revision)
        collateral_off = no_collateral or min(moved, pair.collateral_scaled) == pair.collateral_scaled
    else:
        collateral_off = amounts.total_raw == pair.collateral_raw
    debts, deficits = _repay(pair, amounts, position, projection, write_off=no_collateral)
    return Aftermath(
        position=Position(
            emode=position.emode,
            collaterals=_keep(position.collaterals, pair.collateral.id, None if collateral_off else left_scaled),
            debts=debts,
            stable_debts=_repay_stable(pair, amounts, position, projection.at_s) if position.stable_debts else (),
        ),
        deficits=deficits,
        seized_scaled=seized_scaled,
        fee_scaled=fee_scaled,
        fee_raw=fee_raw,
        collateral_off=collateral_off,
    )


def _keep(
    collaterals: tuple[tuple[int, int], ...], seized_id: int, left_scaled: int | None
) -> tuple[tuple[int, int], ...]:
    """Return the collaterals with what is left of the one that was seized; None: it is none any more."""
    kept: list[tuple[int, int]] = []
    for each in collaterals:
        if each[0] != seized_id:
            kept.append(each)
        elif left_scaled is not None:
            kept.append((seized_id, left_scaled))
    return tuple(kept)


def _repay(
    pair: Pair, amounts: Amounts, position: Position, projection: Projection, *, write_off: bool
) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """Return (debts left, deficits)."""
    burnt = compute_scaled_debt_burnt(min(amounts.repaid_raw, pair.variable_raw), pair.debt_ray, pair.revision)
    left_scaled = pair.debt_scaled - burnt
    debts: list[tuple[int, int]] = []
    deficits: list[tuple[int, int]] = []
    for id_, scaled in position.debts:
        mine = id_ == pair.debt.id
        if write_off and (mine or projection.reserves[id_].active):
            lost_raw = (
                _lost_raw(pair, amounts, left_scaled)
                if mine
                else compute_debt_raw(scaled, projection.debt_ray[id_], pair.revision)
            )
            if lost_raw:
                deficits.append((id_, lost_raw))
        elif not mine:
            debts.append((id_, scaled))
        elif not _flag_falls(pair, amounts, left_scaled):
            debts.append((id_, left_scaled))
    return tuple(debts), tuple(deficits)


def _repay_stable(pair: Pair, amounts: Amounts, position: Position, at_s: int) -> tuple[StableDebt, ...]:
    """Return the stable-rate debts left: the variable part is repaid first, and what accrued becomes principal."""
    repaid_raw = amounts.repaid_raw - pair.variable_raw
    if repaid_raw <= 0:
        return position.stable_debts
    left = []
    for debt in position.stable_debts:
        if debt.reserve_id != pair.debt.id:
            left.append(debt)
        elif repaid_raw < pair.stable_raw:
            left.append(replace(debt, principal_raw=pair.stable_raw - repaid_raw, since_s=at_s))
    return tuple(left)


def _lost_raw(pair: Pair, amounts: Amounts, left_scaled: int) -> int:
    """Return what is written off in the repaid reserve itself."""
    if pair.revision.deficit_after_burn:
        return compute_debt_raw(left_scaled, pair.debt_ray, pair.revision)
    return pair.debt_raw - amounts.repaid_raw


def _flag_falls(pair: Pair, amounts: Amounts, left_scaled: int) -> bool:
    """Return whether the pool then takes the account for one without this debt."""
    if pair.revision.borrow_flag_by_scaled:
        return left_scaled == 0
    return amounts.repaid_raw == pair.debt_raw


def compute_received_scaled_raw(pair: Pair, seized_scaled: int) -> int:
    """Return by how much an empty aToken balance grows when it is given the seized aTokens."""
    return compute_supply_raw(seized_scaled, pair.income_ray, pair.revision)
