"""What the book holds of one account."""

from __future__ import annotations

from typing import Final, NamedTuple

Leg = tuple[int, int]
"""(asset id below 128, scaled amount below 2**128)."""

ASSET_BITS: Final = 7
MOST_ASSETS: Final = 1 << ASSET_BITS


class Row(NamedTuple):
    """One account, legs sorted by asset.

    `collaterals` are enabled (an enabled leg may be empty), `debts` and `idle` (supplied, but not
    collateral) are never empty.
    """

    category: int = 0
    collaterals: tuple[Leg, ...] = ()
    debts: tuple[Leg, ...] = ()
    idle: tuple[Leg, ...] = ()


NO_ROW: Final = Row()

Shape = tuple[int, int, int]
"""How many collaterals, debts and idle legs."""


def shape_of(row: Row) -> Shape:
    """Return the shape that decides where the row is kept."""
    return len(row.collaterals), len(row.debts), len(row.idle)


def leg_key(asset: int, category: int) -> int:
    """Return the key under which a leg of an account of that category is valued."""
    return category << ASSET_BITS | asset
