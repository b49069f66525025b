"""What the router needs to know of a pool, whatever its kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from keeper.domain.swaps import VenueKind
from keeper.domain.units import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueConfig:
    """One exchange as the operator names it. `fee_tiers` are in pips (1e-6).

    A Uniswap-V2-like exchange has one fee, the first of `fee_tiers` (0.3 % when there is none);
    a Uniswap-V3-like one is searched for a pool at each tier. `router` and `quoter` are accepted
    for completeness: swaps and quotes need only the pools themselves.
    """

    protocol: VenueKind
    factory: Address
    fee_tiers: Sequence[int] = ()
    router: Address | None = None
    quoter: Address | None = None


class Pool(Protocol):
    """One pool, immutable, true at one block. Amounts are raw units."""

    @property
    def venue(self) -> VenueKind:
        """The kind of pool, as routes name it."""

    @property
    def factory(self) -> Address:
        """The contract that made the pool."""

    @property
    def address(self) -> Address:
        """Where the pool stands."""

    @property
    def token0(self) -> Address:
        """The token with the lower number."""

    @property
    def token1(self) -> Address:
        """The token with the higher number."""

    @property
    def fee_pips(self) -> int:
        """The swap fee, in 1e-6."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all can be bought here."""

    def quote(self, token_in: Address, amount_in_raw: int) -> int | None:
        """Return what the contract pays, to the unit; None when it cannot take the whole amount."""

    def after(self, token_in: Address, amount_in_raw: int) -> Pool:
        """Return the pool as that swap leaves it. Raises ValueError when it has no quote."""
