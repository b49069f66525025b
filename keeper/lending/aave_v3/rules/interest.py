"""Indices projected to a block time, and balances from scaled balances."""

from __future__ import annotations

from typing import Final

from keeper.domain.fixed_point import mul_div_down, mul_div_up, ray_div_half_up, ray_mul_half_up
from keeper.domain.units import RAY
from keeper.lending.aave_v3.revisions import Revision
from keeper.lending.aave_v3.state import Reserve, StableDebt

YEAR_S: Final = 31_536_000


def compute_linear_factor_ray(rate_ray: int, elapsed_s: int) -> int:
    """Return 1 + rate * time in ray, rounded down."""
    return RAY + rate_ray * elapsed_s // YEAR_S


def compute_compound_factor_ray(rate_ray: int, elapsed_s: int, *, nested: bool) -> int:
    """Return the three-term approximation of (1 + rate per second) ** time, in ray."""
    if elapsed_s <= 0:
        return RAY
    if nested:
        x = rate_ray * elapsed_s // YEAR_S
        return RAY + x + ray_mul_half_up(x, x // 2 + ray_mul_half_up(x, x // 6))
    minus_one, minus_two = elapsed_s - 1, max(elapsed_s - 2, 0)
    squared = ray_mul_half_up(rate_ray, rate_ray) // (YEAR_S * YEAR_S)
    cubed = ray_mul_half_up(squared, rate_ray) // YEAR_S
    return (
        RAY
        + rate_ray * elapsed_s // YEAR_S
        + elapsed_s * minus_one * squared // 2
        + elapsed_s * minus_one * minus_two * cubed // 6
    )


def compute_income_ray(reserve: Reserve, at_s: int) -> int:
    """Return the supply index at `at_s`, as getReserveNormalizedIncome does in such a block."""
    elapsed_s = at_s - reserve.updated_s
    if elapsed_s <= 0:
        return reserve.liquidity_index_ray
    return ray_mul_half_up(
        compute_linear_factor_ray(reserve.liquidity_rate_ray, elapsed_s), reserve.liquidity_index_ray
    )


def compute_debt_ray(reserve: Reserve, revision: Revision, at_s: int) -> int:
    """Return the debt index at `at_s`, as getReserveNormalizedVariableDebt does in such a block."""
    elapsed_s = at_s - reserve.updated_s
    if elapsed_s <= 0:
        return reserve.debt_index_ray
    factor_ray = compute_compound_factor_ray(reserve.debt_rate_ray, elapsed_s, nested=revision.nested_compound)
    return ray_mul_half_up(factor_ray, reserve.debt_index_ray)


def compute_supply_raw(scaled: int, income_ray: int, revision: Revision) -> int:
    """Return an aToken balance: half up, or down where the revision is directional."""
    return mul_div_down(scaled, income_ray, RAY) if revision.directional else ray_mul_half_up(scaled, income_ray)


def compute_debt_raw(scaled: int, debt_ray: int, revision: Revision) -> int:
    """Return a variable-debt balance: half up, or up where the revision is directional."""
    return mul_div_up(scaled, debt_ray, RAY) if revision.directional else ray_mul_half_up(scaled, debt_ray)


def compute_scaled_debt_burnt(amount_raw: int, debt_ray: int, revision: Revision) -> int:
    """Return the scaled debt that repaying `amount_raw` burns: half up, or down."""
    return mul_div_down(amount_raw, RAY, debt_ray) if revision.directional else ray_div_half_up(amount_raw, debt_ray)


def compute_scaled_supply_moved(amount_raw: int, income_ray: int, revision: Revision) -> int:
    """Return the scaled aTokens that taking `amount_raw` moves: half up, or up."""
    return mul_div_up(amount_raw, RAY, income_ray) if revision.directional else ray_div_half_up(amount_raw, income_ray)


def compute_stable_debt_raw(debt: StableDebt, at_s: int) -> int:
    """Return a stable-rate debt's balance at `at_s`."""
    factor_ray = compute_compound_factor_ray(debt.rate_ray, at_s - debt.since_s, nested=False)
    return ray_mul_half_up(debt.principal_raw, factor_ray)
