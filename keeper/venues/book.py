"""The mirror of all pools between the market's tokens, kept true head by head."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from keeper.domain.chain import Call, CallResult, Head, Log
from keeper.domain.errors import ConfigError
from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.ports import Chain
from keeper.venues import uniswap_v2, v3_reader
from keeper.venues.abi import WORD, address_at, int_at, uint_at
from keeper.venues.pools import Pool, VenueConfig
from keeper.venues.uniswap_v2 import V2Pool
from keeper.venues.uniswap_v3 import V3Pool
from keeper.venues.view import BookView, RouteIndex

_CREATED = frozenset({uniswap_v2.PAIR_CREATED, v3_reader.POOL_CREATED})


class VenueBook:
    """Implements the `Venues` port over Uniswap-V2-like and V3-like exchanges.

    A quiet block costs no request. A pool with logs is read again; of its ticks only those that
    its Mint and Burn logs name. A new pool is found by its factory's log. Without logs (at start
    and after a reorg) everything is read again.
    """

    def __init__(
        self, chain: Chain, venues: Sequence[VenueConfig], hub_tokens: Iterable[Address] | None = None
    ) -> None:
        self._chain = chain
        self._venues = tuple(venues)
        self._factories = tuple(dict.fromkeys(venue.factory for venue in venues))
        self._hubs = None if hub_tokens is None else tuple(hub_tokens)
        self._tokens: tuple[Address, ...] = ()
        self._pools: dict[Address, Pool] = {}
        self._view: BookView | None = None

    @property
    def log_addresses(self) -> Sequence[Address]:
        """Return the pools, empty ones included, and the factories."""
        return (*self._factories, *self._pools)

    async def start(self, tokens: Sequence[Address], at: Head) -> None:
        """Find the pools between any two of `tokens` and the hubs. Raises ConfigError."""
        for factory in self._factories:
            if not await self._chain.code(factory):
                raise ConfigError(f"venue factory {factory} is an address without code")
        self._tokens = tuple(sorted({*tokens, *(self._hubs or ())}))
        self._view = await self._read_all(at)

    async def advance(self, at: Head, logs: Sequence[Log] | None) -> BookView:
        """Return the pools at `at`, given all logs since the last view; None reads everything again.

        Raises ConfigError when a pool does not answer like one of its kind. After any error the
        next call reads everything again, whatever it is given.
        """
        view, self._view = self._view, None
        if logs is None or view is None:
            self._view = await self._read_all(at)
        else:
            self._view = await self._follow(view, at, logs)
        return self._view

    async def _follow(self, view: BookView, at: Head, logs: Sequence[Log]) -> BookView:
        touched = [self._pools[address] for address in sorted({log.address for log in logs} & self._pools.keys())]
        created = any(log.address in self._factories and log.topics[:1] and log.topics[0] in _CREATED for log in logs)
        if not touched and not created:
            return view
        if touched:
            self._pools |= await self._refresh(touched, logs, at)
        if created:
            found = await self._discover(at)
            fresh = [pool for pool in found if pool.address not in self._pools]
            self._pools |= await self._read_whole(fresh, at)
        return self._make_view()

    async def _read_all(self, at: Head) -> BookView:
        self._pools = await self._read_whole(await self._discover(at), at)
        return self._make_view()

    def _make_view(self) -> BookView:
        filled = {address: pool for address, pool in self._pools.items() if not pool.is_empty}
        hubs = self._tokens if self._hubs is None else self._hubs
        return BookView(filled, RouteIndex(filled.values(), hubs))

    async def _discover(self, at: Head) -> list[Pool]:
        candidates = [
            (venue, fee, token0, token1)
            for venue in self._venues
            for fee in _fees_of(venue)
            for token0, token1 in combinations(self._tokens, 2)
        ]
        calls = [_find_call(*candidate) for candidate in candidates]
        answers = await self._read(calls, at, "getPair or getPool")
        found: dict[Address, Pool] = {}
        for (venue, fee, token_a, token_b), answer in zip(candidates, answers, strict=True):
            address = address_at(answer, 0)
            if address != ZERO_ADDRESS:
                found[address] = _blank_pool(venue, fee, token_a, token_b, address)
        return list(found.values())

    async def _read_whole(self, pools: Sequence[Pool], at: Head) -> dict[Address, Pool]:
        """Return the pools with everything read, ticks included."""
        v3 = [pool for pool in pools if isinstance(pool, V3Pool)]
        v2 = [pool for pool in pools if isinstance(pool, V2Pool)]
        v3 = await self._with_spacings(v3, at)
        v3 = await self._with_all_ticks(v3, at)
        return await self._with_states(v2, v3, at)

    async def _refresh(self, pools: Sequence[Pool], logs: Sequence[Log], at: Head) -> dict[Address, Pool]:
        """Return touched pools as they are at `at`; a pool that does not add up is read whole."""
        changed = v3_reader.touched_ticks(logs)
        v3 = [pool for pool in pools if isinstance(pool, V3Pool)]
        wanted = [(pool, tick) for pool in v3 for tick in sorted(changed.get(pool.address, ()))]
        v3 = await self._with_ticks(v3, wanted, at)
        v2 = [pool for pool in pools if isinstance(pool, V2Pool)]
        fresh = await self._with_states(v2, v3, at)
        broken = [pool for pool in fresh.values() if isinstance(pool, V3Pool) and not v3_reader.is_consistent(pool)]
        return fresh | await self._read_whole(broken, at) if broken else fresh

    async def _with_states(self, v2: Sequence[V2Pool], v3: Sequence[V3Pool], at: Head) -> dict[Address, Pool]:
        calls = [uniswap_v2.encode_reserves(pool) for pool in v2] + [v3_reader.encode_slot0(pool) for pool in v3]
        answers = await self._read(calls, at, "getReserves or slot0", words=2)
        liquidities = await self._read([v3_reader.encode_liquidity(pool) for pool in v3], at, "liquidity")
        fresh: dict[Address, Pool] = {}
        for pool, reserves in zip(v2, answers[: len(v2)], strict=True):
            fresh[pool.address] = uniswap_v2.with_reserves(pool, reserves)
        for v3_pool, slot0, liquidity in zip(v3, answers[len(v2) :], liquidities, strict=True):
            fresh[v3_pool.address] = v3_reader.with_state(v3_pool, slot0, liquidity)
        return fresh

    async def _with_spacings(self, pools: Sequence[V3Pool], at: Head) -> list[V3Pool]:
        answers = await self._read([v3_reader.encode_spacing(pool) for pool in pools], at, "tickSpacing")
        return [v3_reader.with_spacing(pool, int_at(answer, 0)) for pool, answer in zip(pools, answers, strict=True)]

    async def _with_all_ticks(self, pools: Sequence[V3Pool], at: Head) -> list[V3Pool]:
        words = [(pool, word) for pool in pools for word in v3_reader.words_of(pool.tick_spacing)]
        answers = await self._read([v3_reader.encode_word(pool, word) for pool, word in words], at, "tickBitmap")
        wanted = [
            (pool, tick)
            for (pool, word), answer in zip(words, answers, strict=True)
            for tick in v3_reader.ticks_in(word, uint_at(answer, 0), pool.tick_spacing)
        ]
        return await self._with_ticks([v3_reader.without_ticks(pool) for pool in pools], wanted, at)

    async def _with_ticks(
        self, pools: Sequence[V3Pool], wanted: Sequence[tuple[V3Pool, int]], at: Head
    ) -> list[V3Pool]:
        answers = await self._read([v3_reader.encode_tick(pool, tick) for pool, tick in wanted], at, "ticks", words=2)
        read: dict[Address, dict[int, tuple[int, int]]] = {}
        for (pool, tick), answer in zip(wanted, answers, strict=True):
            read.setdefault(pool.address, {})[tick] = v3_reader.tick_of(answer)
        return [v3_reader.with_ticks(pool, read.get(pool.address, {})) for pool in pools]

    async def _read(self, calls: Sequence[Call], at: Head, what: str, *, words: int = 1) -> list[bytes]:
        if not calls:
            return []
        results = await self._chain.read(calls, at)
        return [_answer(call, result, what, words) for call, result in zip(calls, results, strict=True)]


def _answer(call: Call, result: CallResult, what: str, words: int) -> bytes:
    if not result.ok or len(result.data) < words * WORD:
        raise ConfigError(f"{call.to} does not answer {what} like a factory or pool of its configured protocol")
    return result.data


def _fees_of(venue: VenueConfig) -> Sequence[int]:
    if venue.protocol == "uniswap-v2":
        return (uniswap_v2.fee_of(venue.fee_tiers),)
    return venue.fee_tiers or v3_reader.DEFAULT_FEE_TIERS


def _find_call(venue: VenueConfig, fee_pips: int, token_a: Address, token_b: Address) -> Call:
    if venue.protocol == "uniswap-v2":
        return uniswap_v2.encode_get_pair(venue.factory, token_a, token_b)
    return v3_reader.encode_get_pool(venue.factory, token_a, token_b, fee_pips)


def _blank_pool(venue: VenueConfig, fee_pips: int, token_a: Address, token_b: Address, address: Address) -> Pool:
    # the contracts order a pair's tokens by number, which is the order of their lower-case text
    token0, token1 = sorted((token_a, token_b), key=str.lower)
    if venue.protocol == "uniswap-v2":
        return V2Pool(factory=venue.factory, address=address, token0=token0, token1=token1, fee_pips=fee_pips)
    return V3Pool(factory=venue.factory, address=address, token0=token0, token1=token1, fee_pips=fee_pips)
