"""What a replacement offers. Nodes take one only when it raises both fields enough; nobody may make it pay too much."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from keeper.domain.fixed_point import mul_div_down, mul_div_up
from keeper.domain.units import WAD
from keeper.store.records import Slot, Stake

_RISE: Final = (113, 100)
"""Nodes ask for 10 or 12.5 %, some after rounding: 13 % passes them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GasOffer:
    """A price per unit of gas: the most that is paid, and the part that goes to the block's builder."""

    fee_cap_wei: int
    tip_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TooDear:
    """The cheapest replacement a node would take costs `least_cap_wei` per gas, above what is allowed."""

    least_cap_wei: int


def offers_of(slot: Slot) -> list[GasOffer]:
    """Return what has been offered for the slot's nonce so far."""
    signed = [GasOffer(fee_cap_wei=each.fee_cap_wei, tip_wei=each.tip_wei) for each in slot.attempts]
    return signed or [GasOffer(fee_cap_wei=slot.payload.fee_cap_wei, tip_wei=slot.payload.tip_wei)]


def raise_offer(earlier: Iterable[GasOffer], *, base_fee_wei: int, limit_wei: int | None) -> GasOffer | TooDear:
    """Return the next offer: at least 13 % above all earlier ones on both fields, rounded up.

    The cap also covers twice the present base fee, as far as `limit_wei` allows.
    """
    offers = list(earlier)
    least_cap_wei = mul_div_up(max(each.fee_cap_wei for each in offers), *_RISE)
    tip_wei = max(1, mul_div_up(max(each.tip_wei for each in offers), *_RISE))
    cap_wei = max(least_cap_wei, tip_wei, 2 * base_fee_wei + tip_wei)
    if limit_wei is not None:
        if max(least_cap_wei, tip_wei) > limit_wei:
            return TooDear(least_cap_wei=max(least_cap_wei, tip_wei))
        cap_wei = min(cap_wei, limit_wei)
    return GasOffer(fee_cap_wei=cap_wei, tip_wei=tip_wei)


def bump_limit_wei(slot: Slot, max_gas_price_wei: int | None) -> int | None:
    """Return the highest cap a dearer plan may carry: the operator's bound and the profit's, whichever is lower."""
    bounds = [each for each in (max_gas_price_wei, slot.stake.fee_ceiling_wei) if each is not None]
    return min(bounds) if bounds else None


def fee_ceiling_wei(profit_usd_e8: int, native_usd_e8: int, gas_units: int) -> int | None:
    """Return the price per gas at which `gas_units` cost the whole profit, rounded down; None when gas has no price."""
    if native_usd_e8 <= 0 or gas_units <= 0:
        return None
    profit_wei = mul_div_down(max(0, profit_usd_e8), WAD, native_usd_e8)
    return mul_div_down(profit_wei, 1, gas_units)


def result_usd_e8(stake: Stake, *, planned_raw: int, realised_raw: int, gas_wei: int) -> int:
    """Return what a transaction earned less its gas, in 1e-8 US dollars, rounded against us.

    The profit token counts at the price the plan was made at.
    """
    gained = mul_div_down(max(0, realised_raw), stake.profit_usd_e8, planned_raw) if planned_raw > 0 else 0
    return gained - mul_div_up(gas_wei, stake.native_usd_e8, WAD)
