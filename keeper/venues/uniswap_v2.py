"""Constant-product pools with the interface of Uniswap V2, forks with other fees included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from keeper.domain.chain import Call
from keeper.domain.swaps import VenueKind
from keeper.domain.units import PIPS, Address
from keeper.venues.abi import address_word, selector, topic, uint_at

DEFAULT_FEE_PIPS: Final = 3000
MAX_RESERVE: Final = 2**112 - 1

GET_PAIR: Final = selector("getPair(address,address)")
GET_RESERVES: Final = selector("getReserves()")
PAIR_CREATED: Final = topic("PairCreated(address,address,address,uint256)")


@dataclass(frozen=True, slots=True, kw_only=True)
class V2Pool:
    """One pair and its reserves in raw units."""

    factory: Address
    address: Address
    token0: Address
    token1: Address
    fee_pips: int
    reserve0: int = 0
    reserve1: int = 0

    @property
    def venue(self) -> VenueKind:
        """The kind of pool, as routes name it."""
        return "uniswap-v2"

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all can be bought here."""
        return not (self.reserve0 and self.reserve1)

    def quote(self, token_in: Address, amount_in_raw: int) -> int | None:
        """Return the output, rounded down as the router does; None where the pair would revert.

        The pair refuses an output of nothing and a reserve beyond 112 bits.
        """
        if token_in == self.token0:
            reserve_in, reserve_out = self.reserve0, self.reserve1
        else:
            reserve_in, reserve_out = self.reserve1, self.reserve0
        if amount_in_raw <= 0 or reserve_in + amount_in_raw > MAX_RESERVE:
            return None
        kept = amount_in_raw * (PIPS - self.fee_pips)
        return kept * reserve_out // (reserve_in * PIPS + kept) or None

    def after(self, token_in: Address, amount_in_raw: int) -> V2Pool:
        """Return the pair as the swap leaves it. Raises ValueError when it has no quote."""
        out = self.quote(token_in, amount_in_raw)
        if out is None:
            raise ValueError(f"pair {self.address} cannot take {amount_in_raw}")
        if token_in == self.token0:
            return replace(self, reserve0=self.reserve0 + amount_in_raw, reserve1=self.reserve1 - out)
        return replace(self, reserve0=self.reserve0 - out, reserve1=self.reserve1 + amount_in_raw)


def encode_get_pair(factory: Address, token_a: Address, token_b: Address) -> Call:
    """Return the read that finds the pair of two tokens, the zero address when there is none."""
    return Call(to=factory, data=GET_PAIR + address_word(token_a) + address_word(token_b))


def encode_reserves(pool: V2Pool) -> Call:
    """Return the read that brings a pair up to date."""
    return Call(to=pool.address, data=GET_RESERVES)


def with_reserves(pool: V2Pool, data: bytes) -> V2Pool:
    """Return the pair with the answer of `encode_reserves`. Raises ValueError on a short answer."""
    return replace(pool, reserve0=uint_at(data, 0), reserve1=uint_at(data, 1))


def fee_of(fee_tiers: Sequence[int]) -> int:
    """Return the one fee of a constant-product exchange, in pips."""
    return fee_tiers[0] if fee_tiers else DEFAULT_FEE_PIPS
