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
_UNFINISHED_CHECKED = 8


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
        self._known: dict[int, Head] = {}
        self._last: Head | None = None
        self._unfinished: list[Head] = []
        self._sources: dict[str, Mapping[Address, Address]] = {}

    async def start(self, at: Head) -> Snapshot:
        """Find all accounts and pools up to `at` and return the first snapshot."""
        self._begin(at)
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
        ancestor = await self._ancestor(head)
        logs = await self._logs(head, self._first_unknown() if ancestor is None else ancestor.number + 1)
        if logs is None:
            return await self.start(head)
        reorganised = ancestor is None or ancestor.hash != self._last.hash
        if reorganised:
            events.reorg_seen(block=self._last.number, old_hash=self._last.hash, new_hash=head.hash)
        rebuild = reorganised or not await self._holds_unfinished(head)
        self._begin(head)
        if rebuild and self._venues is not None:
            await self._venues.advance(head, None)
        reading_feeds = asyncio.create_task(self._feed_statuses(head, self._sources), name="read-feeds")
        try:
            views = await self._market_views(head, None if ancestor is None else logs, ancestor)
        finally:
            await asyncio.gather(reading_feeds, return_exceptions=True)  # also looks at its error when both failed
        feeds = reading_feeds.result()
        return await self._snapshot(head, views, logs, feeds)

    async def _snapshot(
        self,
        head: Head,
        views: Mapping[str, MarketView],
        logs: list[Log] | None,
        feeds: Mapping[str, Mapping[Address, FeedStatus]] | None = None,
    ) -> Snapshot:
        """Return what holds at `head`; `feeds` were read with the sources of the head before."""
        venues = None if self._venues is None else await self._venues.advance(head, logs)
        sources = {name: view.sources for name, view in views.items()}
        if feeds is None or sources != self._sources:
            feeds = await self._feed_statuses(head, sources)
        self._sources = sources
        pending_s = await self._chain.pending_timestamp_s()
        self._remember(head)
        return Snapshot(
            head=head,
            inclusion_s=self._times.inclusion_s(head, pending_s),
            markets=views,
            venues=venues,
            feeds=feeds,
        )

    async def _market_views(
        self, head: Head, logs: list[Log] | None, since: Head | None = None
    ) -> dict[str, MarketView]:
        """Return all markets at `head`. Each goes back to `since` by itself, whatever it has seen after it."""
        advancing = (market.advance(head, logs, since=since) for market in self._markets)
        views = await asyncio.gather(*advancing, return_exceptions=True)  # none may go on by itself after a failure
        return {view.name: view for view in map(_raised, views)}

    async def _feed_statuses(
        self, head: Head, sources: Mapping[str, Mapping[Address, Address]]
    ) -> dict[str, Mapping[Address, FeedStatus]]:
        read = await asyncio.gather(*(self._feeds.read(each, head) for each in sources.values()))
        return dict(zip(sources, read, strict=True))

    def _begin(self, head: Head) -> None:
        """Note that markets and pools may be at `head` from now on, whether or not the work on it succeeds."""
        self._unfinished.append(head)

    async def _holds_unfinished(self, head: Head) -> bool:
        """Return whether `head` builds on every head whose work failed half-way: some mirrors are there already."""
        if len(self._unfinished) > _UNFINISHED_CHECKED:
            return False
        for tried in self._unfinished:
            if tried.hash in {head.hash, head.parent_hash}:
                continue
            if tried.number >= head.number or await self._hash_at(tried.number) != tried.hash:
                return False
        return True

    def _remember(self, head: Head) -> None:
        self._unfinished.clear()
        for number in [n for n in self._known if n >= head.number or n < head.number - HEADS_KEPT]:
            del self._known[number]
        self._known[head.number] = head
        self._times.saw(head)
        self._last = head

    async def _ancestor(self, head: Head) -> Head | None:
        """Return the newest head seen that is `head` or below it on its branch, None when none is."""
        last = self._last
        if last is None:
            raise ValueError("nothing was seen yet")
        if last.hash in (head.hash, head.parent_hash):
            return last
        for number in sorted(self._known, reverse=True):
            if number > head.number:
                continue
            canonical = head.hash if number == head.number else await self._hash_at(number)
            if canonical == self._known[number].hash:
                return self._known[number]
        return None

    def _first_unknown(self) -> int:
        return max(0, min(self._known) - HEADS_KEPT)

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
            logs = await self._chain.logs(addresses=addresses, topics=(), first=first, last=head.number)
        except RangeRefused:
            return None
        for log in logs:
            if log.block_number == head.number and log.block_hash != head.hash:
                raise Stale(f"block {head.number} was replaced while its logs were read")
        return logs


def _raised(view: MarketView | BaseException) -> MarketView:
    if isinstance(view, BaseException):
        raise view
    return view
