"""What a flash loan of the market's own does to its reserve, while it is out and once it is back."""

from __future__ import annotations

from dataclasses import replace

from keeper.domain.fixed_point import mul_div_up, percent_mul_half_up, ray_div_half_up, ray_mul_half_up
from keeper.domain.units import BPS, RAY
from keeper.lending.aave_v3.revisions import Revision
from keeper.lending.aave_v3.rules.interest import compute_debt_ray, compute_income_ray
from keeper.lending.aave_v3.state import Reserve


def compute_premium_raw(amount_raw: int, premium_bps: int, revision: Revision) -> int:
    """Return what borrowing `amount_raw` costs: up, or half up before 3.5."""
    if revision.flash_premium_up:
        return mul_div_up(amount_raw, premium_bps, BPS)
    return percent_mul_half_up(amount_raw, premium_bps)


def count_lendable_raw(reserve: Reserve) -> int:
    """Return how much the reserve can lend for the length of a call: what is there, and counted by the pool."""
    if reserve.paused or not (reserve.flash_loans and reserve.active):
        return 0
    if reserve.virtual_raw is None:
        return reserve.balance_raw
    return min(reserve.balance_raw, reserve.virtual_raw)


def pay_in(reserve: Reserve, change_raw: int, supply_scaled: int | None = None) -> Reserve:
    """Return the reserve with underlying paid in (or out, when negative), and its supply where that changes too.

    Neither an index nor anything else by which accounts are valued moves.
    """
    return replace(
        reserve,
        balance_raw=reserve.balance_raw + change_raw,
        virtual_raw=None if reserve.virtual_raw is None else reserve.virtual_raw + change_raw,
        supply_scaled=reserve.supply_scaled if supply_scaled is None else supply_scaled,
    )


def book_premium(reserve: Reserve, premium_raw: int, protocol_bps: int, revision: Revision, at_s: int) -> Reserve:
    """Return the reserve once a premium is paid in at `at_s`.

    Where suppliers get a part of it, that part raises the supply index at once. Indices are then
    those of `at_s`; rates stay, as they do not act within a block. What stable-rate debt accrued
    for the treasury since the last update is left out of the supply: less than 1e-9 of it.
    """
    paid = pay_in(reserve, premium_raw)
    if not revision.premium_to_suppliers:
        return paid
    income_ray, debt_ray = compute_income_ray(reserve, at_s), compute_debt_ray(reserve, revision, at_s)
    grown_raw = ray_mul_half_up(reserve.debt_scaled, debt_ray) - ray_mul_half_up(
        reserve.debt_scaled, reserve.debt_index_ray
    )
    treasury_scaled = reserve.treasury_scaled + ray_div_half_up(
        percent_mul_half_up(grown_raw, reserve.factor_bps), income_ray
    )
    supply_raw = ray_mul_half_up(reserve.supply_scaled, income_ray) + ray_mul_half_up(treasury_scaled, income_ray)
    protocol_raw = percent_mul_half_up(premium_raw, protocol_bps)
    if supply_raw > 0:
        income_ray = ray_mul_half_up(ray_div_half_up(premium_raw - protocol_raw, supply_raw) + RAY, income_ray)
    return replace(
        paid,
        liquidity_index_ray=income_ray,
        debt_index_ray=debt_ray,
        updated_s=max(at_s, reserve.updated_s),
        treasury_scaled=treasury_scaled + ray_div_half_up(protocol_raw, income_ray),
    )
