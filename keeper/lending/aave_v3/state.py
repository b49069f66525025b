"""What the keeper knows of one market: reserves, e-modes, positions. Frozen, true at one block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keeper.domain.units import Address

NO_GRACE: Final = 0

_UNITS: Final[tuple[int, ...]] = tuple(10**decimals for decimals in range(256))
"""By decimals, a uint8: asked for too often to be worked out each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """One reserve. Indices and rates in ray, thresholds in bps, `price_base` per whole token.

    `liquidation_bonus_bps` is the full factor (10500 pays 5 %). `price_base` is None when the
    oracle gives no answer. `balance_raw` is the underlying held by the aToken, `virtual_raw`
    the pool's own count of it where it keeps one (else None). `grace_until_s` is 0 without a
    grace period. `supply_scaled` and `debt_scaled` are all scaled aTokens and variable debt,
    `treasury_scaled` what the treasury is still to be given, `factor_bps` its share of the interest.
    """

    id: int
    token: Address
    a_token: Address
    variable_debt_token: Address
    stable_debt_token: Address
    decimals: int
    threshold_bps: int
    liquidation_bonus_bps: int
    protocol_fee_bps: int
    active: bool
    frozen: bool
    paused: bool
    flash_loans: bool
    emode_category: int
    liquidity_index_ray: int
    liquidity_rate_ray: int
    debt_index_ray: int
    debt_rate_ray: int
    updated_s: int
    price_base: int | None
    source: Address
    balance_raw: int
    virtual_raw: int | None = None
    grace_until_s: int = NO_GRACE
    stable_supply_raw: int = 0
    supply_scaled: int = 0
    debt_scaled: int = 0
    treasury_scaled: int = 0
    factor_bps: int = 0

    @property
    def unit(self) -> int:
        """Raw units of one whole token."""
        return _UNITS[self.decimals]


@dataclass(frozen=True, slots=True, kw_only=True)
class EMode:
    """One efficiency-mode category.

    `collateral_bitmap` (bit = reserve id) decides membership where the revision keeps bitmaps;
    elsewhere the reserve's own category does. `priced` tells whether the category brings its
    own price, `price_base` what it is (None: the oracle has no answer).
    """

    id: int
    threshold_bps: int
    liquidation_bonus_bps: int
    collateral_bitmap: int = 0
    priced: bool = False
    price_base: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentinel:
    """The sequencer's sentinel: liquidations are allowed when it is up for longer than the grace.

    `fixed` holds a plain yes or no where the sentinel does not disclose its feed.
    """

    up: bool
    since_s: int
    grace_s: int
    fixed: bool | None = None

    def allows(self, at_s: int) -> bool:
        """Return whether liquidation is allowed in a block of time `at_s`."""
        if self.fixed is not None:
            return self.fixed
        return self.up and at_s - self.since_s > self.grace_s


@dataclass(frozen=True, slots=True, kw_only=True)
class StableDebt:
    """A stable-rate debt: principal in raw units, the account's own rate in ray and its start."""

    reserve_id: int
    principal_raw: int
    rate_ray: int
    since_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One account: (reserve id, scaled balance) of what is enabled as collateral and borrowed.

    A balance whose flag is off does not count and cannot be seized, so it is not kept.
    """

    emode: int
    collaterals: tuple[tuple[int, int], ...]
    debts: tuple[tuple[int, int], ...]
    stable_debts: tuple[StableDebt, ...] = ()

    @property
    def has_debt(self) -> bool:
        """Whether anything is owed."""
        return bool(self.stable_debts) or any(scaled for _, scaled in self.debts)


NO_POSITION: Final = Position(emode=0, collaterals=(), debts=())
