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


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One part of a sale along one route: at least one hop, each selling what the one before it brought.

    Legs are quoted and run in order, each on the pools as the earlier ones leave them. A leg sells
    exactly its `amount_in_raw`; the last leg of a run that sells a token sells all that is left of it,
    unless it is the profit token.
    """

    quotes: tuple[HopQuote, ...]

    @property
    def token_in(self) -> Address:
        """The token sold."""
        return self.quotes[0].hop.token_in

    @property
    def token_out(self) -> Address:
        """The token bought."""
        return self.quotes[-1].hop.token_out

    @property
    def amount_in_raw(self) -> int:
        """What is sold."""
        return self.quotes[0].amount_in_raw

    @property
    def amount_out_raw(self) -> int:
        """What it brings."""
        return self.quotes[-1].amount_out_raw

    @property
    def route(self) -> Route:
        """The hops without amounts."""
        return tuple(quote.hop for quote in self.quotes)


Sale = tuple[Leg, ...]
"""The legs of one sale, in order; empty when nothing has to be sold."""
