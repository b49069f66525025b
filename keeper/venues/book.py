"""The mirror of all pools between the market's tokens, kept true head by head."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import combinations

from keeper.domain.chain import Call, CallResult, Head, Log
from keeper.domain.errors import ConfigError
from keeper.domain.swaps import VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.ports import Chain
from keeper.venues.abi import WORD, address_at
from keeper.venues.pools import Ask, Pool, VenueConfig
from keeper.venues.registry import VENUES
from keeper.venues.routes import RouteIndex
from keeper.venues.view import BookView

_CREATED = frozenset(venue.created for venue in VENUES.values())


class VenueBook:
    """Implements the `Venues` port over the kinds of exchange in `registry.py`.

    A quiet block costs no request. A pool with logs is read again, as far as they may have changed
    it. A new pool is found by its factory's log. Without logs (at start and after a reorg)
    everything is read again.
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
        return self._make_view(view)

    async def _read_all(self, at: Head) -> BookView:
        self._pools = await self._read_whole(await self._discover(at), at)
        return self._make_view(None)

    def _make_view(self, before: BookView | None) -> BookView:
        filled = {address: pool for address, pool in self._pools.items() if not pool.is_empty}
        if before is not None and before.pools.keys() == filled.keys():
            return before.moved_to(filled)
        hubs = self._tokens if self._hubs is None else self._hubs
        return BookView(filled, RouteIndex(filled.values(), hubs))

    async def _discover(self, at: Head) -> list[Pool]:
        candidates = [
            (venue, fee, token_a, token_b)
            for venue in self._venues
            for fee in VENUES[venue.protocol].fees(venue.fee_tiers)
            for token_a, token_b in combinations(self._tokens, 2)
        ]
        calls = [VENUES[venue.protocol].encode_find(venue.factory, a, b, fee) for venue, fee, a, b in candidates]
        answers = await self._asker(at)(calls, "getPair or getPool", 1)
        found: dict[Address, Pool] = {}
        for (venue, fee, *pair), answer in zip(candidates, answers, strict=True):
            address = address_at(answer, 0)
            if address != ZERO_ADDRESS:
                # the contracts order a pair's tokens by number, which is the order of their lower-case text
                token0, token1 = sorted(pair, key=str.lower)
                found[address] = VENUES[venue.protocol].blank(
                    factory=venue.factory, address=address, token0=token0, token1=token1, fee_pips=fee
                )
        return list(found.values())

    async def _read_whole(self, pools: Sequence[Pool], at: Head) -> dict[Address, Pool]:
        ask = self._asker(at)
        return await _of_each_kind(pools, lambda kind, members: VENUES[kind].read(members, ask))

    async def _refresh(self, pools: Sequence[Pool], logs: Sequence[Log], at: Head) -> dict[Address, Pool]:
        ask = self._asker(at)
        return await _of_each_kind(pools, lambda kind, members: VENUES[kind].refresh(members, logs, ask))

    def _asker(self, at: Head) -> Ask:
        async def ask(calls: Sequence[Call], what: str, words: int) -> list[bytes]:
            if not calls:
                return []
            results = await self._chain.read(calls, at)
            return [_answer(call, result, what, words) for call, result in zip(calls, results, strict=True)]

        return ask


async def _of_each_kind(
    pools: Sequence[Pool], read: Callable[[VenueKind, list[Pool]], Awaitable[list[Pool]]]
) -> dict[Address, Pool]:
    """Read pools kind by kind, all kinds at once."""
    kinds: dict[VenueKind, list[Pool]] = {}
    for pool in pools:
        kinds.setdefault(pool.venue, []).append(pool)
    answers = await asyncio.gather(*(read(kind, members) for kind, members in kinds.items()))
    return {pool.address: pool for members in answers for pool in members}


def _answer(call: Call, result: CallResult, what: str, words: int) -> bytes:
    if not result.ok or len(result.data) < words * WORD:
        raise ConfigError(f"{call.to} does not answer {what} like a factory or pool of its configured protocol")
    return result.data
