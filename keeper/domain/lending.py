"""What a lending market says about its accounts, whatever the protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from keeper.domain.units import Address

Receive = Literal["underlying", "atoken"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """An account's standing at one block time, in the integers of `getUserAccountData`.

    `health_factor_wad` is 2**256-1 without debt; `_base` are base-currency units.
    """

    account: Address
    health_factor_wad: int
    collateral_base: int
    debt_base: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidationCall:
    """One liquidation as the pool is asked for it; `cover_raw` 2**256-1 asks for the maximum."""

    account: Address
    debt: Address
    collateral: Address
    cover_raw: int
    receive: Receive = "underlying"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a liquidation call does, to the last unit.

    `repaid_raw` is the debt taken from the caller, `received_raw` what the caller gets after
    the protocol's `fee_raw` (both in collateral units). `health_after_wad` is 2**256-1 when no
    debt is left. `deficits` are debts written off, per asset, in raw units.
    """

    call: LiquidationCall
    repaid_raw: int
    received_raw: int
    fee_raw: int
    health_after_wad: int
    deficits: tuple[tuple[Address, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The pool would revert. `code` is stable and upper-case, `detail` a sentence for people."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RepayRange:
    """A set of repay amounts the pool accepts for one pair: every integer in [low, high].

    `cover_max` means the one point reached by asking for 2**256-1 (low == high == what is then
    taken); amounts in other ranges are passed as they are.
    """

    low_raw: int
    high_raw: int
    cover_max: bool = False
