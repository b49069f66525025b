"""Reads of Uniswap-V3-like pools: which exist, where their price is, and all their initialised ticks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from keeper.domain.chain import Call, Log
from keeper.domain.units import Address
from keeper.venues.abi import address_word, int_at, int_word, selector, topic, uint_at
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


def encode_get_pool(factory: Address, token_a: Address, token_b: Address, fee_pips: int) -> Call:
    """Return the read that finds the pool of two tokens at a fee, the zero address when there is none."""
    words = address_word(token_a) + address_word(token_b) + int_word(fee_pips)
    return Call(to=factory, data=GET_POOL + words)


def encode_spacing(pool: V3Pool) -> Call:
    """Return the read of a pool's tick spacing, which never changes."""
    return Call(to=pool.address, data=TICK_SPACING)


def encode_slot0(pool: V3Pool) -> Call:
    """Return the read of a pool's price and tick."""
    return Call(to=pool.address, data=SLOT0)


def encode_liquidity(pool: V3Pool) -> Call:
    """Return the read of the liquidity in range."""
    return Call(to=pool.address, data=LIQUIDITY)


def with_state(pool: V3Pool, slot0: bytes, liquidity: bytes) -> V3Pool:
    """Return the pool with the answers to `encode_slot0` and `encode_liquidity`. Raises ValueError."""
    return replace(pool, sqrt_price_x96=uint_at(slot0, 0), tick=int_at(slot0, 1), liquidity=uint_at(liquidity, 0))


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


def tick_of(data: bytes) -> tuple[int, int]:
    """Return (liquidity that refers to the tick, liquidity it adds when crossed upwards)."""
    return uint_at(data, 0), int_at(data, 1)


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
    """Return the pool with its tick spacing. Raises ValueError when it is not positive."""
    if tick_spacing <= 0:
        raise ValueError(f"pool {pool.address} has the tick spacing {tick_spacing}")
    return replace(pool, tick_spacing=tick_spacing)


def without_ticks(pool: V3Pool) -> V3Pool:
    """Return the pool with no tick known."""
    return replace(pool, ticks=(), nets=())


def is_consistent(pool: V3Pool) -> bool:
    """Whether the ticks at or under the current one add up to the liquidity in range, as they must."""
    return sum(pool.nets[: bisect_right(pool.ticks, pool.tick)]) == pool.liquidity
