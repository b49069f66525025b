"""All logs of a range of blocks, however large, in pages the provider accepts.

Pages are fetched several at a time and handed over one after another in order, so that the caller
can store a cursor after each: what was handed over never has to be fetched again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from keeper.domain.chain import Log
from keeper.domain.clock import SystemClock
from keeper.domain.errors import HistoryMissing, RangeRefused, Transient
from keeper.domain.units import Address
from keeper.ports import Chain

_FIRST_PAGE_BLOCKS = 256
_LARGEST_PAGE_BLOCKS = 500_000
_AT_ONCE = 8
# Above this many logs larger pages are slower, not faster: what is parsed no longer fits the processor's cache.
_MANY_LOGS = 1_500
_PROBE_AFTER = 64
_TRIES = 3
_BEHIND_PAUSES_S = (0.2, 0.5, 1.0, 2.0)
_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """All matching logs of the blocks `first` to `last`, in order. `last_hash` is that block's hash."""

    first: int
    last: int
    last_hash: str
    logs: tuple[Log, ...]


OnPage = Callable[[LogPage], Awaitable[None]]
OnProgress = Callable[[int, int, float], None]
"""Called with blocks done, blocks in all, and blocks per second."""


async def backfill(
    chain: Chain,
    addresses: Sequence[Address],
    topics: Sequence[bytes],
    first: int,
    last: int,
    *,
    on_page: OnPage,
    on_progress: OnProgress | None = None,
) -> None:
    """Hand every log between blocks `first` and `last` to `on_page`, in order, page by page.

    Resume with `first` = the last page's `last` + 1, after checking that its `last_hash` still stands
    at that height. Raises Transient when a page cannot be had, HistoryMissing when the node never
    reaches `last`, RangeRefused when a single block is refused, and whatever `on_page` raises.
    """
    if last < first:
        return
    pages = _Pages(chain, addresses, topics)
    running: deque[asyncio.Task[LogPage]] = deque()
    start, started_s = first, _CLOCK.monotonic_s()
    try:
        while start <= last or running:
            # one at first, which tells how dense the logs are; then one more for each that came
            while start <= last and len(running) < min(_AT_ONCE, pages.taken + 1):
                end = min(last, start + pages.size_blocks - 1)
                running.append(asyncio.create_task(pages.fetch(start, end), name=f"logs-{start}-{end}"))
                start = end + 1
            page = await running.popleft()
            pages.taken += 1
            await on_page(page)
            if on_progress is not None:
                done = page.last - first + 1
                on_progress(done, last - first + 1, done / max(_CLOCK.monotonic_s() - started_s, 1e-6))
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class _Pages:
    """Fetches pages and learns which size the provider bears."""

    def __init__(self, chain: Chain, addresses: Sequence[Address], topics: Sequence[bytes]) -> None:
        self._chain = chain
        self._addresses = addresses
        self._topics = topics
        self.size_blocks = _FIRST_PAGE_BLOCKS
        self.taken = 0
        self._ceiling_blocks = _LARGEST_PAGE_BLOCKS
        self._accepted_blocks = 0
        self._in_a_row = 0

    async def fetch(self, first: int, last: int) -> LogPage:
        """Return the page from `first` to `last`, put together from smaller ones where refused.

        A node answers about blocks it does not have with an empty list. So it must know `last`
        before it is asked and, where it found nothing, still know the same `last` afterwards.
        """
        for _ in range(_TRIES):
            last_hash = await self._known_hash(last)
            logs = await self._logs(first, last)
            if await self._is_settled(logs, last, last_hash):
                return LogPage(first=first, last=last, last_hash=last_hash, logs=tuple(logs))
        raise Transient(f"the chain up to block {last} keeps changing while its logs are read")

    async def _is_settled(self, logs: Sequence[Log], last: int, last_hash: str) -> bool:
        if logs and logs[-1].block_number == last:
            return logs[-1].block_hash == last_hash
        return bool(logs) or await self._known_hash(last) == last_hash

    async def _logs(self, first: int, last: int) -> list[Log]:
        """Return the logs from `first` to `last`, asked for in pieces of the size learnt so far."""
        logs: list[Log] = []
        failures = 0
        while first <= last:
            end = min(last, first + self.size_blocks - 1)
            try:
                found = await self._chain.logs(addresses=self._addresses, topics=self._topics, first=first, last=end)
            except (RangeRefused, Transient) as error:
                # a provider that only times out on large ranges looks like one that is in trouble
                failures = failures + 1 if isinstance(error, Transient) else 0
                if end == first or failures == _TRIES:
                    raise
                self._shrink(end - first + 1)
            else:
                failures = 0
                self._grow(end - first + 1, len(found))
                logs += found
                first = end + 1
        return logs

    def _shrink(self, refused_blocks: int) -> None:
        if refused_blocks <= self._accepted_blocks:  # logs are denser here: what went well before says nothing
            self._accepted_blocks = refused_blocks // 2
        self.size_blocks = max(1, self._accepted_blocks, refused_blocks // 2)
        self._ceiling_blocks = max(1, (max(self._accepted_blocks, refused_blocks // 2) + refused_blocks) // 2)
        self._in_a_row = 0

    def _grow(self, blocks: int, found: int) -> None:
        self._accepted_blocks = max(self._accepted_blocks, blocks)
        self._in_a_row += 1
        if self._in_a_row % _PROBE_AFTER == 0:  # logs are not spread evenly: more may be accepted here
            self._ceiling_blocks = min(self._ceiling_blocks + self._ceiling_blocks // 8 + 1, _LARGEST_PAGE_BLOCKS)
        if found > _MANY_LOGS:
            self.size_blocks = max(1, min(self.size_blocks, blocks * _MANY_LOGS // found))
        elif blocks >= self.size_blocks and found <= _MANY_LOGS // 2:
            factor = 8 if found <= _MANY_LOGS // 16 else 2  # the early years of a market are nearly empty
            self.size_blocks = min(factor * self.size_blocks, self._ceiling_blocks)

    async def _known_hash(self, number: int) -> str:
        """Return the hash at `number`, waiting a little for a node that is behind."""
        for pause_s in _BEHIND_PAUSES_S:
            try:
                return (await self._chain.block(number)).hash
            except HistoryMissing:
                await asyncio.sleep(pause_s)
        return (await self._chain.block(number)).hash
