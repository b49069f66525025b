"""Following the newest block: by subscription with a polling watchdog, or by polling alone.

The reader sees the newest head only. A head of the same height with another hash is a new head: the
chain was reorganised.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from keeper.chain.gather import first_error
from keeper.chain.pace import BlockPace
from keeper.chain.subscription import HeadSubscription
from keeper.domain.chain import Head
from keeper.domain.clock import SystemClock
from keeper.domain.errors import RpcError, Transient

_LOG = logging.getLogger(__name__)
_CLOCK = SystemClock()


class HeadFollower:
    """Keeps the newest head for one reader; `run` does the work until it is cancelled."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Head]],
        pace: BlockPace,
        *,
        subscription: HeadSubscription | None,
        lower_heads_needed: int,
        survey: Callable[[], Awaitable[Head]] | None = None,
    ) -> None:
        """Make a follower that asks `fetch` for the newest block.

        `survey` asks all endpoints, which is done when no block comes or one comes that is too low.

        A head below the last one is believed when it was seen `lower_heads_needed` times in a row:
        with several endpoints the one that answers may just be behind.
        """
        self._fetch = fetch
        self._survey = survey
        self._news_at_s = _CLOCK.monotonic_s()
        self._pace = pace
        self._subscription = subscription
        self._lower_heads_needed = lower_heads_needed
        self._lower_heads = 0
        self._last: Head | None = None
        self._waiting: Head | None = None
        self._news = asyncio.Event()
        self._doubt = asyncio.Event()

    async def newest(self) -> Head:
        """Return the newest head not yet returned; wait for it."""
        while self._waiting is None:
            await self._news.wait()
            self._news.clear()
        head, self._waiting = self._waiting, None
        return head

    async def run(self) -> None:
        """Follow. Trouble with endpoints never ends it; a subscription to another chain does."""
        if self._subscription is None:
            await self._poll_forever()
        else:
            await self._listen_forever(self._subscription)

    async def _listen_forever(self, subscription: HeadSubscription) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._subscribe_forever(subscription), name="head-subscription")
                tasks.create_task(self._watch_forever(subscription), name="head-watchdog")
        except BaseExceptionGroup as group:
            raise first_error(group) from None

    async def _poll_forever(self) -> None:
        while True:
            await self._poll()
            await asyncio.sleep(self._pace.pause_s(_CLOCK.monotonic_s()))

    async def _poll(self) -> bool:
        """Ask once; return whether there was a new head."""
        try:
            head = await self._fetch()
            if self._survey is not None and self._is_doubtful(head):
                head = await self._survey()
        except (Transient, RpcError) as error:
            _LOG.warning("no head: %s", error)
            return False
        if self._last is not None and head.number < self._last.number:
            self._lower_heads += 1
            if self._lower_heads < self._lower_heads_needed:
                return False
        self._lower_heads = 0
        return self._offer(head)

    def _is_doubtful(self, head: Head) -> bool:
        """Whether another endpoint may know a newer block: this one is too low, or none came for long."""
        if self._last is not None and head.number < self._last.number:
            return True
        is_news = self._last is None or head.hash != self._last.hash
        return not is_news and _CLOCK.monotonic_s() - self._news_at_s > self._pace.silence_s()

    def _offer(self, head: Head) -> bool:
        if self._last is not None and head.hash == self._last.hash:
            return False
        self._pace.note(head.number, _CLOCK.monotonic_s())
        self._last = self._waiting = head
        self._news_at_s = _CLOCK.monotonic_s()
        self._news.set()
        return True

    async def _subscribe_forever(self, subscription: HeadSubscription) -> None:
        async for head in subscription.heads(on_open=self._doubt.set):
            if self._last is not None and head.number < self._last.number:
                self._doubt.set()  # a shorter chain, or an old message: the watchdog asks which
            else:
                self._offer(head)

    async def _watch_forever(self, subscription: HeadSubscription) -> None:
        await self._poll()  # the first head must not wait for the next block
        while True:
            last, was_open = self._last, subscription.is_open
            silence_s = self._pace.silence_s() if was_open else self._pace.pause_s(_CLOCK.monotonic_s())
            doubted = await self._is_doubted(silence_s)
            if not doubted and was_open and last is not self._last:
                continue
            if await self._poll() and was_open and not doubted:
                _LOG.warning("the subscription at %s fell silent; it is made anew", subscription.label)
                await subscription.restart()

    async def _is_doubted(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._doubt.wait()
        except TimeoutError:
            return False
        self._doubt.clear()
        return True
