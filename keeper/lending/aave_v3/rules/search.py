"""Which amounts a pool accepts for one pair: the largest, and all that stay valid for a while.

Everything is inverted in closed form; `check_amounts` then has the last word on each answer.
"""

from __future__ import annotations

from collections.abc import Iterable

from keeper.domain.fixed_point import mul_div_down, mul_div_up
from keeper.domain.lending import Receive, Refused, RepayRange
from keeper.domain.units import BPS, MAX_UINT256, RAY
from keeper.lending.aave_v3.errors import refuse
from keeper.lending.aave_v3.rules.liquidation import (
    LEAST_LEFTOVER_BASE,
    Amounts,
    Pair,
    check_amounts,
    compute_amounts,
    compute_fee_raw,
    compute_wanted_raw,
)

# Two roundings separate an estimate from the exact bound; a few more steps are allowed for.
_STEPS = 16


def find_largest(pair: Pair) -> tuple[int, Receive, Amounts] | Refused:
    """Return (cover, receive, amounts) of the call that repays most, or the refusal of asking for all.

    Asking for 2**256-1 is preferred where it repays as much as any explicit amount, underlying
    where it repays as much as aTokens.
    """
    best: tuple[int, Receive, Amounts] | None = None
    first: Refused | None = None
    receives: tuple[Receive, Receive] = ("underlying", "atoken")
    for receive in receives:
        for cover_raw in _largest_candidates(pair, receive):
            amounts = compute_amounts(pair, cover_raw)
            refused = check_amounts(pair, amounts, receive)
            if refused is not None:
                first = first or refused
            elif best is None or amounts.repaid_raw > best[2].repaid_raw:
                best = (cover_raw, receive, amounts)
    if best is not None:
        return best
    return first or refuse("NO_AMOUNT_ACCEPTED")


def _largest_candidates(pair: Pair, receive: Receive) -> Iterable[int]:
    """Return the amounts among which the largest accepted one is; asking for everything first."""
    uncapped_raw = compute_largest_cover_raw(pair, pair.collateral_raw)
    bounded_raw = min(uncapped_raw, compute_dust_bound_raw(pair))
    candidates = [uncapped_raw, bounded_raw]
    if receive == "underlying":
        liquid_raw = compute_liquidity_bound_raw(pair)
        candidates += [min(uncapped_raw, liquid_raw), min(bounded_raw, liquid_raw)]
    return [MAX_UINT256, *(raw for raw in candidates if raw > 0)]


def find_ranges(now: Pair, then: Pair) -> list[RepayRange]:
    """Return the amounts accepted against underlying, lowest first.

    `now` is the pair at the head, `then` at the time the call is for. Explicit amounts keep to
    the limits of both: what is owed, allowed and held only grows with time, so an amount that
    is within today's limits stays valid; one just inside tomorrow's would not have been today.
    """
    ranges: list[RepayRange] = []
    low_raw = max(compute_least_cover_raw(now), compute_least_cover_raw(then))
    high_raw = min(_explicit_bound_raw(now), _explicit_bound_raw(then))
    if low_raw <= high_raw and _accepts(then, low_raw) and _accepts(then, high_raw):
        ranges.append(RepayRange(low_raw=low_raw, high_raw=high_raw))
    everything = compute_amounts(then, MAX_UINT256)
    if check_amounts(then, everything, "underlying") is None:
        taken_raw = everything.repaid_raw
        ranges.append(RepayRange(low_raw=taken_raw, high_raw=taken_raw, cover_max=True))
    return ranges


def _accepts(pair: Pair, cover_raw: int) -> bool:
    amounts = compute_amounts(pair, cover_raw)
    return amounts.repaid_raw == cover_raw and check_amounts(pair, amounts, "underlying") is None


def _explicit_bound_raw(pair: Pair) -> int:
    """Return the largest amount below which every amount is taken as it is and leaves no dust."""
    return min(compute_dust_bound_raw(pair), compute_liquidity_bound_raw(pair))


def compute_largest_cover_raw(pair: Pair, total_raw: int) -> int:
    """Return the largest allowed repayment that wants at most `total_raw` of collateral; -1 if none.

    Inverts the two roundings of the seizure exactly: bonus first, then price.
    """
    if total_raw < 0:
        return -1
    half = 0 if pair.revision.directed_seize else BPS // 2
    fair_raw = ((total_raw + 1) * BPS - 1 - half) // pair.bonus_bps
    return min(pair.max_raw, ((fair_raw + 1) * pair.collateral_worth - 1) // pair.debt_worth)


def compute_dust_bound_raw(pair: Pair) -> int:
    """Return the largest repayment that leaves enough of both sides; without the rule, the limit."""
    if not pair.revision.dust_rule:
        return pair.max_raw
    keep_collateral_raw = mul_div_up(LEAST_LEFTOVER_BASE, pair.collateral.unit, pair.collateral_price)
    if pair.revision.directional:
        keep_debt_raw = mul_div_down(LEAST_LEFTOVER_BASE - 1, pair.debt.unit, pair.debt_price) + 1
    else:
        keep_debt_raw = mul_div_up(LEAST_LEFTOVER_BASE, pair.debt.unit, pair.debt_price)
    return min(
        pair.debt_raw - keep_debt_raw,
        compute_largest_cover_raw(pair, pair.collateral_raw - keep_collateral_raw),
    )


def compute_liquidity_bound_raw(pair: Pair) -> int:
    """Return the largest repayment whose seizure the account holds and the collateral's reserve can pay out."""
    reserve = pair.collateral
    payable_raw = reserve.balance_raw
    if pair.revision.virtual_balance and reserve.virtual_raw is not None and not pair.same_asset:
        payable_raw = min(payable_raw, reserve.virtual_raw)
    bound_raw = compute_largest_cover_raw(pair, _largest_total_raw(pair, payable_raw))
    if pair.revision.virtual_balance and reserve.virtual_raw is not None and pair.same_asset:
        bound_raw = _same_asset_bound_raw(pair, bound_raw, reserve.virtual_raw)
    return bound_raw


def _largest_total_raw(pair: Pair, payable_raw: int) -> int:
    """Return the largest seizure, fee included, of which at most `payable_raw` goes to the caller."""
    if payable_raw >= pair.collateral_raw:
        return pair.collateral_raw
    # The fee is fee * (1 - 1/bonus) of the total, give or take the roundings.
    fee_bps, bonus_bps = pair.collateral.protocol_fee_bps, pair.bonus_bps
    total_raw = mul_div_up(payable_raw, bonus_bps * BPS, bonus_bps * BPS - (bonus_bps - BPS) * fee_bps) + _STEPS
    while total_raw > 0 and total_raw - compute_fee_raw(pair, total_raw) > payable_raw:
        total_raw -= 1
    return min(total_raw, pair.collateral_raw)


def _same_asset_bound_raw(pair: Pair, bound_raw: int, counted_raw: int) -> int:
    """Return the largest repayment whose payout is covered by the pool's count plus itself."""

    def covered(cover_raw: int) -> bool:
        total_raw = compute_wanted_raw(pair, cover_raw)
        return total_raw - compute_fee_raw(pair, total_raw) <= counted_raw + cover_raw

    if bound_raw <= 0 or covered(bound_raw):
        return bound_raw
    low, high = 0, bound_raw
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if covered(middle) else (low, middle)
    # Roundings make the payout's lead over the repayment fall back now and then by one unit.
    return max(cover_raw for cover_raw in range(low, min(low + _STEPS, bound_raw) + 1) if covered(cover_raw))


def compute_least_cover_raw(pair: Pair) -> int:
    """Return the smallest repayment that burns some scaled debt and some scaled collateral."""
    up = pair.revision.directional
    half_debt = 0 if up else pair.debt_ray // 2
    least_debt_raw = mul_div_up(pair.debt_ray - half_debt, 1, RAY)
    least_seized_raw = 1 if up else mul_div_up(pair.income_ray - pair.income_ray // 2, 1, RAY)
    total_raw = least_seized_raw
    while total_raw - compute_fee_raw(pair, total_raw) < least_seized_raw:
        total_raw += 1
    return max(1, least_debt_raw, _smallest_cover_raw(pair, total_raw))


def _smallest_cover_raw(pair: Pair, total_raw: int) -> int:
    """Return the smallest repayment that wants at least `total_raw` of collateral."""
    half = 0 if pair.revision.directed_seize else BPS // 2
    fair_raw = mul_div_up(total_raw * BPS - half, 1, pair.bonus_bps)
    return mul_div_up(fair_raw, pair.collateral_worth, pair.debt_worth)
