"""What the rest needs to know of a pool and of a kind of exchange, whatever they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from keeper.domain.chain import Call, Log
from keeper.domain.swaps import VenueKind
from keeper.domain.units import Address
from keeper.venues.curve import Curve


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

    def curve(self, token_in: Address) -> Curve:
        """Return what the pool pays for more and more, in real numbers, never under `quote`."""

    def after(self, token_in: Address, amount_in_raw: int) -> Pool:
        """Return the pool as that swap leaves it. Raises ValueError when it has no quote."""


P = TypeVar("P", bound=Pool)

Ask = Callable[[Sequence[Call], str, int], Awaitable[list[bytes]]]
"""Reads at one block: the calls, what they ask for (for the error), how many words each answer has at least.

Raises ConfigError where a contract does not answer like one of its kind.
"""


class Venue(Protocol[P]):
    """One kind of exchange: how its pools are found and read. It keeps no state."""

    @property
    def created(self) -> bytes:
        """Topic 0 of the factory's log of a new pool."""

    def fees(self, fee_tiers: Sequence[int]) -> Sequence[int]:
        """Return the fees at which two tokens may have a pool, in pips, given what the operator names."""

    def encode_find(self, factory: Address, token_a: Address, token_b: Address, fee_pips: int) -> Call:
        """Return the read of a pool's address, the zero address when there is none."""

    def blank(self, *, factory: Address, address: Address, token0: Address, token1: Address, fee_pips: int) -> P:
        """Return a pool of which nothing is known yet but what it is."""

    async def read(self, pools: Sequence[P], ask: Ask) -> list[P]:
        """Return the pools with everything read."""

    async def refresh(self, pools: Sequence[P], logs: Sequence[Log], ask: Ask) -> list[P]:
        """Return pools that were true before `logs`, true again."""
