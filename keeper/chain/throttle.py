"""The promise of `requests_per_second`, built on asyncio-throttle's window.

asyncio-throttle counts a request when it lets it go. Between that moment and the arrival at the
server lie a connection set-up and two schedulers, so requests let go in different windows can
arrive in one. Here a request occupies its place from the moment it is let go until one period after
its answer came: wherever in between it arrived, no window at the server can hold more than the limit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asyncio_throttle.throttler import Throttler

# The server's second is measured on another clock.
_MARGIN = 1.02


class WindowThrottle(Throttler):
    """At most `requests_per_second` arrivals in any second, urgent ones first, the rest in order."""

    def __init__(self, requests_per_second: float) -> None:
        if requests_per_second <= 0:
            raise ValueError("requests_per_second must be positive")
        limit = max(1, int(requests_per_second))
        super().__init__(rate_limit=limit, period=_MARGIN * max(1.0, 1 / requests_per_second), retry_interval=0.01)
        self._in_flight = 0
        self._urgent_waiting = 0
        self._turn = asyncio.Lock()

    @property
    def largest_batch(self) -> int:
        """How many requests may leave together at most."""
        return int(self.rate_limit)

    @asynccontextmanager
    async def spend(self, items: int = 1, *, urgent: bool = False) -> AsyncIterator[None]:
        """Wait for room for `items` requests and hold it while they travel."""
        if items > self.rate_limit:
            raise ValueError(f"{items} requests at once, but {self.rate_limit} are allowed in a second")
        await self._wait_urgently(items) if urgent else await self._wait_in_line(items)
        try:
            yield
        finally:
            self._in_flight -= items
            self._task_logs.extend([time.monotonic()] * items)

    async def _wait_urgently(self, items: int) -> None:
        self._urgent_waiting += 1
        try:
            while not self._has_room(items):  # noqa: ASYNC110 - room comes with time, nobody signals it
                await asyncio.sleep(self.retry_interval)
        finally:
            self._urgent_waiting -= 1
        self._in_flight += items

    async def _wait_in_line(self, items: int) -> None:
        async with self._turn:
            while self._urgent_waiting or not self._has_room(items):  # noqa: ASYNC110 - as above
                await asyncio.sleep(self.retry_interval)
            self._in_flight += items

    def _has_room(self, items: int) -> bool:
        self.flush()  # type: ignore[no-untyped-call]  # the library's, without types
        return self._in_flight + len(self._task_logs) + items <= self.rate_limit


@asynccontextmanager
async def spend(throttle: WindowThrottle | None, items: int = 1, *, urgent: bool = False) -> AsyncIterator[None]:
    """Spend from `throttle`, or at once where there is no limit."""
    if throttle is None:
        yield
        return
    async with throttle.spend(items, urgent=urgent):
        yield
