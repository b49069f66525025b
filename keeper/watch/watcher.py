"""Advances markets, venues and feeds from head to head, and notices reorganisations."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from keeper.domain.chain import Head, Log
from keeper.domain.errors import HistoryMissing, RangeRefused, Stale
from keeper.domain.feeds import FeedStatus
from keeper.domain.units import Address
from keeper.observe import events
from keeper.ports import Chain, FeedReader, LendingMarket, MarketView, Venues
from keeper.watch.inclusion import BlockTimes
from keeper.watch.snapshot import Snapshot

HEADS_KEPT = 128


class Watcher:
    """Owns the mirror of one chain. `advance` is called by one task at a time."""

    def __init__(
        self,
        chain: Chain,
        markets: Sequence[LendingMarket],
        venues: Venues | None,
        feeds: FeedReader,
        hub_tokens: Sequence[Address] = (),
    ) -> None:
        self._chain = chain
        self._markets = markets
        self._venues = venues
        self._feeds = feeds
        self._hub_tokens = tuple(hub_tokens)
        self._times = BlockTimes()
        self._known: dict[int, str] = {}
        self._last: Head | None = None

    async def start(self, at: Head) -> Snapshot:
        """Find all accounts and pools up to `at` and return the first snapshot."""
        for market in self._markets:
            await market.start(at)
        views = await self._market_views(at, None)
        tokens = {token for view in views.values() for token in view.tokens}
        if self._venues is not None:
            await self._venues.start(sorted(tokens | set(self._hub_tokens)), at)
        return await self._snapshot(at, views, None)

    async def advance(self, head: Head) -> Snapshot:
        """Return the snapshot at `head`. Raises Stale when `head` is no longer the chain's."""
        if self._last is None:
            return await self.start(head)
        first, reorganised = await self._since(head)
        logs = await self._logs(head, first)
        if logs is None:
            return await self.start(head)
        if reorganised:
            events.reorg_seen(block=self._last.number, old_hash=self._last.hash, new_hash=head.hash)
            await self._market_views(head, None)
            if self._venues is not None:
                await self._venues.advance(head, None)
        views = await self._market_views(head, logs)
        return await self._snapshot(head, views, logs)

    async def _snapshot(
        self, head: Head, views: Mapping[str, MarketView], logs: list[Log] | None
    ) -> Snapshot:
        venues = None if self._venues is None else await self._venues.advance(head, logs)
        feeds = await self._feed_statuses(head, views)
        pending_s = await self._chain.pending_timestamp_s()
        self._remember(head)
        return Snapshot(
            head=head,
            inclusion_s=self._times.inclusion_s(head, pending_s),
            markets=views,
            venues=venues,
            feeds=feeds,
        )

    async def _market_views(self, head: Head, logs: list[Log] | None) -> dict[str, MarketView]:
        views = await asyncio.gather(*(market.advance(head, logs) for market in self._markets))
        return {view.name: view for view in views}

    async def _feed_statuses(
        self, head: Head, views: Mapping[str, MarketView]
    ) -> dict[str, Mapping[Address, FeedStatus]]:
        read = await asyncio.gather(
            *(self._feeds.read(view.sources, head) for view in views.values())
        )
        return dict(zip(views, read, strict=True))

    def _remember(self, head: Head) -> None:
        for number in [n for n in self._known if n >= head.number or n < head.number - HEADS_KEPT]:
            del self._known[number]
        self._known[head.number] = head.hash
        self._times.saw(head)
        self._last = head

    async def _since(self, head: Head) -> tuple[int, bool]:
        """Return the first block to take logs from, and whether our last block was orphaned."""
        last = self._last
        assert last is not None
        if head.hash == last.hash:
            return head.number + 1, False
        if head.number == last.number + 1 and head.parent_hash == last.hash:
            return head.number, False
        for number in sorted(self._known, reverse=True):
            if number > head.number:
                continue
            canonical = head.hash if number == head.number else await self._hash_at(number)
            if canonical == self._known[number]:
                return number + 1, number != last.number
        return max(0, min(self._known) - HEADS_KEPT), True

    async def _hash_at(self, number: int) -> str:
        try:
            return (await self._chain.block(number)).hash
        except HistoryMissing:
            return ""

    async def _logs(self, head: Head, first: int) -> list[Log] | None:
        """Return all logs from `first` to `head`, None when the provider wants them in pages."""
        addresses = sorted({a for market in self._markets for a in market.log_addresses})
        if self._venues is not None:
            addresses = sorted({*addresses, *self._venues.log_addresses})
        if first > head.number or not addresses:
            return []
        try:
            logs = await self._chain.logs(
                addresses=addresses, topics=(), first=first, last=head.number
            )
        except RangeRefused:
            return None
        for log in logs:
            if log.block_number == head.number and log.block_hash != head.hash:
                raise Stale(f"block {head.number} was replaced while its logs were read")
        return logs
