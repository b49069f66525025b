"""Constant-product pools with the interface of Uniswap V2, forks with other fees included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import Final

from keeper.domain.chain import Call, Log
from keeper.domain.swaps import VenueKind
from keeper.domain.units import PIPS, Address
from keeper.venues.abi import address_word, selector, topic, uint_at
from keeper.venues.curve import AMOUNT_BITS, LEVEL_BITS, Curve
from keeper.venues.pools import Ask

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

    def curve(self, token_in: Address) -> Curve:
        """Return the pair as one segment, down to a reserve of 112 bits."""
        reserve_in, reserve_out = (self.reserve0, self.reserve1)[:: 1 if token_in == self.token0 else -1]
        kept_pips = PIPS - self.fee_pips
        level = isqrt((reserve_out * kept_pips << 2 * LEVEL_BITS) // (reserve_in * PIPS))
        depth = isqrt((reserve_in * reserve_out * PIPS << 2 * AMOUNT_BITS) // kept_pips)
        room = (MAX_RESERVE - reserve_in) * kept_pips
        end = level * reserve_in * PIPS // (reserve_in * PIPS + room)
        # the fee stays in the reserve and makes the next sale a little worse than the curve says
        return Curve(level, iter([(end, depth)]), is_divisible=False)

    def after(self, token_in: Address, amount_in_raw: int) -> V2Pool:
        """Return the pair as the swap leaves it. Raises ValueError when it has no quote."""
        out = self.quote(token_in, amount_in_raw)
        if out is None:
            raise ValueError(f"pair {self.address} cannot take {amount_in_raw}")
        if token_in == self.token0:
            return replace(self, reserve0=self.reserve0 + amount_in_raw, reserve1=self.reserve1 - out)
        return replace(self, reserve0=self.reserve0 - out, reserve1=self.reserve1 + amount_in_raw)


def fee_of(fee_tiers: Sequence[int]) -> int:
    """Return the one fee of a constant-product exchange, in pips."""
    return fee_tiers[0] if fee_tiers else DEFAULT_FEE_PIPS


class UniswapV2:
    """Uniswap V2 and its forks: one pool for two tokens."""

    created = PAIR_CREATED

    def fees(self, fee_tiers: Sequence[int]) -> Sequence[int]:
        """Return the exchange's one fee."""
        return (fee_of(fee_tiers),)

    def encode_find(self, factory: Address, token_a: Address, token_b: Address, fee_pips: int) -> Call:  # noqa: ARG002
        """Return the read of a pair's address, the zero address when there is none."""
        return Call(to=factory, data=GET_PAIR + address_word(token_a) + address_word(token_b))

    def blank(self, *, factory: Address, address: Address, token0: Address, token1: Address, fee_pips: int) -> V2Pool:
        """Return a pair with no reserves."""
        return V2Pool(factory=factory, address=address, token0=token0, token1=token1, fee_pips=fee_pips)

    async def read(self, pools: Sequence[V2Pool], ask: Ask) -> list[V2Pool]:
        """Return the pairs with their reserves."""
        answers = await ask([Call(to=pool.address, data=GET_RESERVES) for pool in pools], "getReserves", 2)
        return [
            replace(pool, reserve0=uint_at(answer, 0), reserve1=uint_at(answer, 1))
            for pool, answer in zip(pools, answers, strict=True)
        ]

    async def refresh(self, pools: Sequence[V2Pool], logs: Sequence[Log], ask: Ask) -> list[V2Pool]:  # noqa: ARG002
        """Return the pairs with their reserves: there is nothing else to a pair."""
        return await self.read(pools, ask)
