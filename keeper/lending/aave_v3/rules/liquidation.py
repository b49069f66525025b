"""One liquidation call, as the pool works it out: checks, amounts, and what is left afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from keeper.domain.fixed_point import (
    mul_div_down,
    mul_div_up,
    percent_div_half_up,
    percent_mul_half_up,
)
from keeper.domain.lending import Receive, Refused
from keeper.domain.units import BPS, WAD
from keeper.lending.aave_v3.errors import refuse
from keeper.lending.aave_v3.revisions import Revision
from keeper.lending.aave_v3.rules.account import (
    Projection,
    Sums,
    compute_health_factor_wad,
    compute_sums,
    is_in_emode,
    stable_balances_raw,
)
from keeper.lending.aave_v3.rules.interest import (
    compute_debt_raw,
    compute_scaled_debt_burnt,
    compute_scaled_supply_moved,
    compute_supply_raw,
)
from keeper.lending.aave_v3.state import EMode, Position, Reserve, Sentinel

# Constants of the protocol's logic libraries; the base-currency ones hold for markets in US dollars.
FULL_CLOSE_HEALTH_WAD: Final = 950_000_000_000_000_000
FULL_CLOSE_BASE: Final = 2_000 * 10**8
LEAST_LEFTOVER_BASE: Final = 1_000 * 10**8
HALF_BPS: Final = 5_000
TARGET_HEALTH_WAD: Final = 1_050_000_000_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One debt and one collateral of one account at one block time, ready to be asked amounts.

    `debt_raw` is all of the debt, `stable_raw` the part of it at a stable rate, which is repaid last.
    `threshold_bps` and `bonus_bps` are those of the account's e-mode where it applies. A raw unit of
    the debt and one of the collateral are worth `debt_worth` and `collateral_worth` of one measure;
    `max_raw` is the close factor's limit.
    """

    revision: Revision
    debt: Reserve
    collateral: Reserve
    debt_raw: int
    debt_scaled: int
    debt_ray: int
    debt_price: int
    collateral_raw: int
    collateral_scaled: int
    income_ray: int
    collateral_price: int
    threshold_bps: int
    bonus_bps: int
    sums: Sums
    health_wad: int
    stable_raw: int = 0
    debt_worth: int = field(init=False)
    collateral_worth: int = field(init=False)
    max_raw: int = field(init=False)

    def __post_init__(self) -> None:
        """Work out what follows from all the rest."""
        put = object.__setattr__
        put(self, "debt_worth", self.debt_price * self.collateral.unit)
        put(self, "collateral_worth", self.collateral_price * self.debt.unit)
        put(self, "max_raw", compute_max_repay_raw(self))

    @property
    def variable_raw(self) -> int:
        """The part of the debt at the variable rate, which is repaid first."""
        return self.debt_raw - self.stable_raw

    @property
    def same_asset(self) -> bool:
        """Whether debt and collateral are one reserve."""
        return self.debt.id == self.collateral.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """What a call takes and gives: debt repaid; collateral to the caller and to the protocol."""

    repaid_raw: int
    seized_raw: int
    fee_raw: int
    capped: bool

    @property
    def total_raw(self) -> int:
        """All collateral that leaves the account."""
        return self.seized_raw + self.fee_raw


def prepare_pair(
    position: Position,
    debt: Reserve,
    collateral: Reserve,
    projection: Projection,
    sentinel: Sentinel | None,
    *,
    require_unhealthy: bool = True,
) -> Pair | Refused:
    """Return the pair at the projection's time, or the first check that the pool fails it on.

    Without `require_unhealthy` the health check alone is left out: used to learn the limits at
    an earlier time than the one the call is for.
    """
    revision = projection.revision
    sums = compute_sums(position, projection)
    if sums is None:
        return refuse("PRICE_MISSING")
    health_wad = compute_health_factor_wad(sums, revision)
    debt_scaled = dict(position.debts).get(debt.id, 0)
    stable_raw = stable_balances_raw(position, projection.at_s).get(debt.id, 0) if position.stable_debts else 0
    debt_raw = compute_debt_raw(debt_scaled, projection.debt_ray[debt.id], revision) + stable_raw
    emode = projection.emodes[position.emode] if position.emode else None
    debt_price, collateral_price = _liquidation_prices(debt, collateral, emode, revision)
    inside = emode if emode is not None and is_in_emode(collateral, emode, revision) else None
    bonus_bps = inside.liquidation_bonus_bps if inside else collateral.liquidation_bonus_bps
    refused = (
        _check_reserves(debt, collateral, projection, sentinel, health_wad)
        or _check_position(position, collateral, revision, debt_raw, health_wad if require_unhealthy else 0)
        or _check_terms(debt_price, collateral_price, bonus_bps)
    )
    if refused is not None:
        return refused
    income_ray = projection.income_ray[collateral.id]
    collateral_scaled = dict(position.collaterals)[collateral.id]
    return Pair(
        revision=revision,
        debt=debt,
        collateral=collateral,
        debt_raw=debt_raw,
        debt_scaled=debt_scaled,
        debt_ray=projection.debt_ray[debt.id],
        debt_price=debt_price or 0,
        collateral_raw=compute_supply_raw(collateral_scaled, income_ray, revision),
        collateral_scaled=collateral_scaled,
        income_ray=income_ray,
        collateral_price=collateral_price or 0,
        threshold_bps=inside.threshold_bps if inside else collateral.threshold_bps,
        bonus_bps=bonus_bps,
        sums=sums,
        health_wad=health_wad,
        stable_raw=stable_raw,
    )


def _check_reserves(
    debt: Reserve, collateral: Reserve, projection: Projection, sentinel: Sentinel | None, health_wad: int
) -> Refused | None:
    """Return the refusal of checks that concern reserves and sequencer, in the pool's order."""
    if not (debt.active and collateral.active):
        return refuse("RESERVE_INACTIVE")
    if debt.paused or collateral.paused:
        return refuse("RESERVE_PAUSED")
    guarded = sentinel is not None and projection.revision.sentinel is not None
    if guarded and health_wad >= FULL_CLOSE_HEALTH_WAD and sentinel and not sentinel.allows(projection.at_s):
        return refuse("PRICE_ORACLE_SENTINEL_CHECK_FAILED")
    if projection.revision.grace_period and max(debt.grace_until_s, collateral.grace_until_s) >= projection.at_s:
        return refuse("LIQUIDATION_GRACE_SENTINEL_CHECK_FAILED")
    return None


def _check_position(
    position: Position, collateral: Reserve, revision: Revision, debt_raw: int, health_wad: int
) -> Refused | None:
    """Return the refusal of checks that concern the account, in the pool's order."""
    if health_wad >= WAD:
        return refuse("HEALTH_FACTOR_NOT_BELOW_THRESHOLD")
    enabled = any(id_ == collateral.id for id_, _ in position.collaterals)
    if not enabled or (revision.threshold_required and collateral.threshold_bps == 0):
        return refuse("COLLATERAL_CANNOT_BE_LIQUIDATED")
    if debt_raw == 0:
        return refuse("SPECIFIED_CURRENCY_NOT_BORROWED_BY_USER")
    return None


def _check_terms(debt_price: int | None, collateral_price: int | None, bonus_bps: int) -> Refused | None:
    """Return why no amount can be worked out: the pool's arithmetic fails before it refuses."""
    if debt_price is None or collateral_price is None:
        return refuse("PRICE_MISSING")
    if debt_price == 0 or collateral_price == 0:
        return refuse("DIVISION_BY_ZERO")
    if bonus_bps == 0:
        return refuse("NO_LIQUIDATION_BONUS")
    return None


def _liquidation_prices(
    debt: Reserve, collateral: Reserve, emode: EMode | None, revision: Revision
) -> tuple[int | None, int | None]:
    """Return (debt price, collateral price); a category's own price always replaces the debt's."""
    debt_price, collateral_price = debt.price_base, collateral.price_base
    if emode is not None and emode.priced:
        debt_price = emode.price_base
        if is_in_emode(collateral, emode, revision):
            collateral_price = emode.price_base
    return debt_price, collateral_price


def value_debt(amount_raw: int, price_base: int, unit: int, revision: Revision) -> int:
    """Return a debt's value in base units: down, or up where the revision is directional."""
    rounding = mul_div_up if revision.directional else mul_div_down
    return rounding(amount_raw, price_base, unit)


def compute_max_repay_raw(pair: Pair) -> int:
    """Return the most that one call may repay before the collateral limits it."""
    match pair.revision.close_factor:
        case "whole":
            return pair.debt_raw
        case "fixed-half":
            return percent_mul_half_up(pair.debt_raw, HALF_BPS)
        case "half-per-reserve":
            half = pair.health_wad > FULL_CLOSE_HEALTH_WAD
            return percent_mul_half_up(pair.debt_raw, HALF_BPS if half else BPS)
        case "half-of-total":
            return _half_of_total_raw(pair)
        case "restore-target":
            return _restoring_raw(pair)


def _half_of_total_raw(pair: Pair) -> int:
    """Return half of all debts of a large, barely unhealthy account, counted in base units; else all of this one."""
    debt_base = value_debt(pair.debt_raw, pair.debt_price, pair.debt.unit, pair.revision)
    collateral_base = mul_div_down(pair.collateral_raw, pair.collateral_price, pair.collateral.unit)
    small = collateral_base < FULL_CLOSE_BASE or debt_base < FULL_CLOSE_BASE
    half_base = percent_mul_half_up(pair.sums.debt_base, HALF_BPS)
    if small or pair.health_wad <= FULL_CLOSE_HEALTH_WAD or debt_base <= half_base:
        return pair.debt_raw
    return mul_div_down(half_base, pair.debt.unit, pair.debt_price)


def _restoring_raw(pair: Pair) -> int:
    """Return what restores the target health: D * (t - h) / (t - c), c = threshold * bonus, both steps up."""
    seize_wad = pair.threshold_bps * pair.bonus_bps * 10**10
    if pair.health_wad <= seize_wad or seize_wad >= TARGET_HEALTH_WAD:
        return pair.debt_raw
    short_wad = max(TARGET_HEALTH_WAD - pair.health_wad, 0)
    needed_base = mul_div_up(pair.sums.debt_base, short_wad, TARGET_HEALTH_WAD - seize_wad)
    return min(pair.debt_raw, mul_div_up(needed_base, pair.debt.unit, pair.debt_price))


def compute_wanted_raw(pair: Pair, repay_raw: int) -> int:
    """Return the collateral, bonus included, that repaying `repay_raw` is worth."""
    fair_raw = repay_raw * pair.debt_worth // pair.collateral_worth
    if pair.revision.directed_seize:
        return mul_div_down(fair_raw, pair.bonus_bps, BPS)
    return percent_mul_half_up(fair_raw, pair.bonus_bps)


def compute_fee_raw(pair: Pair, total_raw: int) -> int:
    """Return the protocol's part of a seizure of `total_raw`: a share of the bonus in it."""
    fee_bps = pair.collateral.protocol_fee_bps
    if fee_bps == 0:
        return 0
    if pair.revision.directed_seize:
        return mul_div_up(total_raw - mul_div_down(total_raw, BPS, pair.bonus_bps), fee_bps, BPS)
    return percent_mul_half_up(total_raw - percent_div_half_up(total_raw, pair.bonus_bps), fee_bps)


def compute_amounts(pair: Pair, cover_raw: int) -> Amounts:
    """Return what a call for `cover_raw` takes and gives, cut to close factor and collateral."""
    repaid_raw = min(cover_raw, pair.max_raw)
    total_raw = compute_wanted_raw(pair, repaid_raw)
    capped = total_raw > pair.collateral_raw
    if capped:
        total_raw = pair.collateral_raw
        worth_raw = total_raw * pair.collateral_worth // pair.debt_worth
        rounding = mul_div_up if pair.revision.capped_debt_up else _div_half_up
        repaid_raw = rounding(worth_raw, BPS, pair.bonus_bps)
    fee_raw = compute_fee_raw(pair, total_raw)
    return Amounts(repaid_raw=repaid_raw, seized_raw=total_raw - fee_raw, fee_raw=fee_raw, capped=capped)


def _div_half_up(value: int, _: int, bps: int) -> int:
    return percent_div_half_up(value, bps)


def leaves_dust(pair: Pair, amounts: Amounts) -> bool:
    """Return whether both sides stay open and one of them would be worth too little."""
    left_debt_raw = pair.debt_raw - amounts.repaid_raw
    left_collateral_raw = pair.collateral_raw - amounts.total_raw
    if left_debt_raw <= 0 or left_collateral_raw <= 0:
        return False
    debt_base = value_debt(left_debt_raw, pair.debt_price, pair.debt.unit, pair.revision)
    collateral_base = mul_div_down(left_collateral_raw, pair.collateral_price, pair.collateral.unit)
    return min(debt_base, collateral_base) < LEAST_LEFTOVER_BASE


def leaves_no_collateral(pair: Pair, amounts: Amounts) -> bool:
    """Return whether the call takes the account's last collateral by value, so that debt is written off."""
    match pair.revision.deficit:
        case None:
            return False
        case "base":
            taken_raw = amounts.total_raw
        case "scaled":
            moved = compute_scaled_supply_moved(amounts.seized_raw, pair.income_ray, pair.revision)
            moved += compute_scaled_supply_moved(amounts.fee_raw, pair.income_ray, pair.revision)
            taken_raw = compute_supply_raw(min(moved, pair.collateral_scaled), pair.income_ray, pair.revision)
    return mul_div_down(taken_raw, pair.collateral_price, pair.collateral.unit) == pair.sums.collateral_base


def has_liquidity(pair: Pair, amounts: Amounts) -> bool:
    """Return whether the collateral's reserve can pay the seized amount out in underlying.

    Where the pool keeps its own count, a repayment of the same asset counts before the payout.
    """
    reserve = pair.collateral
    counted = True
    if pair.revision.virtual_balance and reserve.virtual_raw is not None:
        repaid_raw = amounts.repaid_raw if pair.same_asset else 0
        counted = amounts.seized_raw <= reserve.virtual_raw + repaid_raw
    return counted and amounts.seized_raw <= reserve.balance_raw


def _burns_nothing(pair: Pair, amounts: Amounts, variable_raw: int) -> bool:
    """Return whether no scaled debt would be burnt; where debt is written off at once, all of it is."""
    repaid_raw, revision = min(amounts.repaid_raw, variable_raw), pair.revision
    if compute_scaled_debt_burnt(repaid_raw, pair.debt_ray, revision):
        return False
    writes_off = leaves_no_collateral(pair, amounts) and not revision.deficit_after_burn
    return not writes_off or compute_scaled_debt_burnt(pair.debt_raw, pair.debt_ray, revision) == 0


def check_amounts(pair: Pair, amounts: Amounts, receive: Receive) -> Refused | None:
    """Return why the pool refuses these amounts, None when it does not; in the pool's order."""
    revision = pair.revision
    if revision.dust_rule and leaves_dust(pair, amounts):
        return refuse("MUST_NOT_LEAVE_DUST")
    variable_raw = pair.variable_raw
    burns_stable_only = amounts.repaid_raw > variable_raw == 0
    if not burns_stable_only and _burns_nothing(pair, amounts, variable_raw):
        return refuse("INVALID_BURN_AMOUNT")
    if receive == "underlying":
        if not has_liquidity(pair, amounts):
            return refuse("NO_LIQUIDITY")
        if compute_scaled_supply_moved(amounts.seized_raw, pair.income_ray, revision) == 0:
            return refuse("INVALID_BURN_AMOUNT")
    return None
