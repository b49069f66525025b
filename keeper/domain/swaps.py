"""Routes from one token to another and what they pay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from keeper.domain.units import Address

VenueKind = Literal["uniswap-v2", "uniswap-v3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One pool on the way from `token_in` to `token_out`. `fee_pips` is in 1e-6."""

    venue: VenueKind
    factory: Address
    pool: Address
    token_in: Address
    token_out: Address
    fee_pips: int


Route = tuple[Hop, ...]
"""Hops in order; empty when nothing has to be sold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HopQuote:
    """Exact amounts of one hop, in raw units."""

    hop: Hop
    amount_in_raw: int
    amount_out_raw: int
