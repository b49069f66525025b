"""Reads of Uniswap-V3-like pools: which exist, where their price is, and all their initialised ticks."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from keeper.domain.chain import Call, Log
from keeper.domain.units import Address
from keeper.venues.abi import address_word, int_at, int_word, selector, topic, uint_at
from keeper.venues.pools import Ask
from keeper.venues.tick_math import MAX_TICK, MIN_TICK
from keeper.venues.uniswap_v3 import V3Pool

GET_POOL: Final = selector("getPool(address,address,uint24)")
SLOT0: Final = selector("slot0()")
LIQUIDITY: Final = selector("liquidity()")
TICK_SPACING: Final = selector("tickSpacing()")
TICK_BITMAP: Final = selector("tickBitmap(int16)")
TICKS: Final = selector("ticks(int24)")

POOL_CREATED: Final = topic("PoolCreated(address,address,uint24,int24,address)")
MINT: Final = topic("Mint(address,address,int24,int24,uint128,uint256,uint256)")
BURN: Final = topic("Burn(address,int24,int24,uint128,uint256,uint256)")

_TOPICS: Final = 4  # of Mint and Burn: the event, the owner, the lower and the upper tick

DEFAULT_FEE_TIERS: Final = (100, 500, 3000, 10_000)
"""The tiers searched where the operator names none, in pips."""


def words_of(tick_spacing: int) -> range:
    """Return the bitmap words in which a pool of this spacing can have ticks."""
    return range(MIN_TICK // tick_spacing >> 8, (MAX_TICK // tick_spacing >> 8) + 1)


def encode_word(pool: V3Pool, word: int) -> Call:
    """Return the read of one bitmap word."""
    return Call(to=pool.address, data=TICK_BITMAP + int_word(word))


def ticks_in(word: int, bitmap: int, tick_spacing: int) -> Iterator[int]:
    """Yield the initialised ticks of one bitmap word, ascending."""
    while bitmap:
        lowest = bitmap & -bitmap
        yield ((word << 8) + lowest.bit_length() - 1) * tick_spacing
        bitmap ^= lowest


def encode_tick(pool: V3Pool, tick: int) -> Call:
    """Return the read of one tick."""
    return Call(to=pool.address, data=TICKS + int_word(tick))


def touched_ticks(logs: Iterable[Log]) -> dict[Address, set[int]]:
    """Return, per pool, the ticks that its Mint and Burn logs may have changed."""
    found: dict[Address, set[int]] = {}
    for log in logs:
        if len(log.topics) == _TOPICS and log.topics[0] in (MINT, BURN):
            found.setdefault(log.address, set()).update(int_at(word, 0) for word in log.topics[2:])
    return found


def with_ticks(pool: V3Pool, answers: Mapping[int, tuple[int, int]]) -> V3Pool:
    """Return the pool with some ticks replaced by what was read of them: (gross, net) by tick."""
    nets = dict(zip(pool.ticks, pool.nets, strict=True))
    for tick, (gross, net) in answers.items():
        if gross:
            nets[tick] = net
        else:
            nets.pop(tick, None)
    ticks = tuple(sorted(nets))
    return replace(pool, ticks=ticks, nets=tuple(nets[tick] for tick in ticks))


def with_spacing(pool: V3Pool, tick_spacing: int) -> V3Pool:
    """Return the pool with its tick spacing and no tick known. Raises ValueError when it is not positive."""
    if tick_spacing <= 0:
        raise ValueError(f"pool {pool.address} has the tick spacing {tick_spacing}")
    return replace(pool, tick_spacing=tick_spacing, ticks=(), nets=())


def is_consistent(pool: V3Pool) -> bool:
    """Whether the ticks at or under the current one add up to the liquidity in range, as they must."""
    return sum(pool.nets[: bisect_right(pool.ticks, pool.tick)]) == pool.liquidity


class UniswapV3:
    """Uniswap V3 and its forks: a pool for each fee tier of two tokens."""

    created = POOL_CREATED

    def fees(self, fee_tiers: Sequence[int]) -> Sequence[int]:
        """Return the tiers named, or the usual ones."""
        return fee_tiers or DEFAULT_FEE_TIERS

    def encode_find(self, factory: Address, token_a: Address, token_b: Address, fee_pips: int) -> Call:
        """Return the read of a pool's address, the zero address when there is none."""
        words = address_word(token_a) + address_word(token_b) + int_word(fee_pips)
        return Call(to=factory, data=GET_POOL + words)

    def blank(self, *, factory: Address, address: Address, token0: Address, token1: Address, fee_pips: int) -> V3Pool:
        """Return a pool with no price and no tick."""
        return V3Pool(factory=factory, address=address, token0=token0, token1=token1, fee_pips=fee_pips)

    async def read(self, pools: Sequence[V3Pool], ask: Ask) -> list[V3Pool]:
        """Return the pools with their price and every initialised tick."""
        spacings = await ask([Call(to=pool.address, data=TICK_SPACING) for pool in pools], "tickSpacing", 1)
        spaced = [with_spacing(pool, int_at(answer, 0)) for pool, answer in zip(pools, spacings, strict=True)]
        words = [(pool, word) for pool in spaced for word in words_of(pool.tick_spacing)]
        bitmaps = await ask([encode_word(pool, word) for pool, word in words], "tickBitmap", 1)
        wanted = [
            (pool, tick)
            for (pool, word), answer in zip(words, bitmaps, strict=True)
            for tick in ticks_in(word, uint_at(answer, 0), pool.tick_spacing)
        ]
        return await self._with_state(await self._with_ticks(spaced, wanted, ask), ask)

    async def refresh(self, pools: Sequence[V3Pool], logs: Sequence[Log], ask: Ask) -> list[V3Pool]:
        """Return the pools with their price and the ticks that Mint and Burn name.

        One that does not add up is read whole.
        """
        changed = touched_ticks(logs)
        wanted = [(pool, tick) for pool in pools for tick in sorted(changed.get(pool.address, ()))]
        fresh = await self._with_state(await self._with_ticks(pools, wanted, ask), ask)
        broken = [pool for pool in fresh if not is_consistent(pool)]
        whole = {pool.address: pool for pool in await self.read(broken, ask)} if broken else {}
        return [whole.get(pool.address, pool) for pool in fresh]

    async def _with_ticks(
        self, pools: Sequence[V3Pool], wanted: Sequence[tuple[V3Pool, int]], ask: Ask
    ) -> list[V3Pool]:
        answers = await ask([encode_tick(pool, tick) for pool, tick in wanted], "ticks", 2)
        read: dict[Address, dict[int, tuple[int, int]]] = {}
        for (pool, tick), answer in zip(wanted, answers, strict=True):
            read.setdefault(pool.address, {})[tick] = uint_at(answer, 0), int_at(answer, 1)
        return [with_ticks(pool, read.get(pool.address, {})) for pool in pools]

    async def _with_state(self, pools: Sequence[V3Pool], ask: Ask) -> list[V3Pool]:
        slots, liquidities = await asyncio.gather(
            ask([Call(to=pool.address, data=SLOT0) for pool in pools], "slot0", 2),
            ask([Call(to=pool.address, data=LIQUIDITY) for pool in pools], "liquidity", 1),
        )
        return [
            replace(pool, sqrt_price_x96=uint_at(slot, 0), tick=int_at(slot, 1), liquidity=uint_at(liquidity, 0))
            for pool, slot, liquidity in zip(pools, slots, liquidities, strict=True)
        ]
