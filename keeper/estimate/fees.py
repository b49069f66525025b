"""What the next block asks for a unit of gas, and what to offer."""

from __future__ import annotations

from typing import Final

from keeper.domain.chain import Head
from keeper.domain.fixed_point import mul_div_down, mul_div_up
from keeper.domain.l1_fee import L1Fee
from keeper.domain.plans import Fees
from keeper.domain.units import BPS, WAD

_ELASTICITY: Final = 2
_CHANGE_DENOMINATOR: Final = 8
_BASE_FEE_ROOM: Final = 2  # survives five full blocks in a row, each of which adds an eighth


def next_base_fee_wei(head: Head) -> int:
    """Return the base fee of the block after `head` by the rule of EIP-1559."""
    target = mul_div_down(head.gas_limit, 1, _ELASTICITY)
    if target in (0, head.gas_used):
        return head.base_fee_wei
    if head.gas_used > target:
        step = mul_div_down(mul_div_down(head.base_fee_wei, head.gas_used - target, target), 1, _CHANGE_DENOMINATOR)
        return head.base_fee_wei + max(step, 1)
    step = mul_div_down(mul_div_down(head.base_fee_wei, target - head.gas_used, target), 1, _CHANGE_DENOMINATOR)
    return head.base_fee_wei - step


def bound_tip_wei(suggested_wei: int, *, least_wei: int, most_wei: int | None) -> int:
    """Return the suggestion, moved between the operator's bounds."""
    raised_wei = max(suggested_wei, least_wei)
    return raised_wei if most_wei is None else min(raised_wei, most_wei)


def decide_fees(head: Head, *, suggested_tip_wei: int, max_gas_price_wei: int | None) -> Fees | None:
    """Return what to offer in the next block; None when its base fee alone exceeds the bound.

    The cap leaves room for the base fee to double; the tip is the suggestion, cut to what fits
    under the bound. `expected_wei` is what a unit of gas will cost if the next block is met.
    """
    base_fee = next_base_fee_wei(head)
    cap = base_fee * _BASE_FEE_ROOM + suggested_tip_wei
    if max_gas_price_wei is not None:
        if base_fee > max_gas_price_wei:
            return None
        cap = min(cap, max_gas_price_wei)
    tip = min(suggested_tip_wei, cap - base_fee)
    return Fees(fee_cap_wei=cap, tip_wei=tip, expected_wei=base_fee + tip)


def l1_reserve_wei(fee: L1Fee) -> int:
    """Return the most the data may cost beside the gas: room for its price to double, as for the base fee.

    Nothing where it is charged as gas, and so within the gas limit and the fee cap.
    """
    return 0 if fee.gas_units else fee.wei * _BASE_FEE_ROOM


def share_profit(
    fees: Fees,
    *,
    spare_base: int,
    share_bps: int,
    gas_units: int,
    native_price_base: int,
    max_gas_price_wei: int | None,
) -> Fees:
    """Return fees whose tip is higher by a share of the profit, rounded down and within the bound.

    `spare_base` is the profit after gas in base units, less what has to remain; `native_price_base` of 1e18 wei.
    """
    if spare_base <= 0 or native_price_base <= 0 or gas_units <= 0:
        return fees
    extra_wei = mul_div_down(spare_base * share_bps, WAD, BPS * native_price_base * gas_units)
    if max_gas_price_wei is not None:
        extra_wei = min(extra_wei, max(0, max_gas_price_wei - fees.fee_cap_wei))
    return Fees(
        fee_cap_wei=fees.fee_cap_wei + extra_wei,
        tip_wei=fees.tip_wei + extra_wei,
        expected_wei=fees.expected_wei + extra_wei,
    )


def gas_limit_for(gas_units: int) -> int:
    """Return the gas to offer for a transaction that used `gas_units` in simulation, data included where it is gas.

    What was used is net of refunds, which may be a fifth of what was needed on the way; each
    call keeps back one part in 64; and state touched by others first can cost a little more.
    """
    return mul_div_up(gas_units, 3, 2) + 50_000
