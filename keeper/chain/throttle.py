"""The promise of `requests_per_second`, built on asyncio-throttle's window, behind a queue by priority.

asyncio-throttle counts a request when it lets it go. Between that moment and the arrival at the
server lie a connection set-up and two schedulers, so requests let go in different windows can
arrive in one. Here a request occupies its place from the moment it is let go until one period after
its answer came: wherever in between it arrived, no window at the server can hold more than the limit.

A send goes before everything. The others are served in the order of (arrival + what their priority
can bear): a price overtakes a backfill that came seconds earlier, but not for ever, so nobody starves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from itertools import count

from asyncio_throttle.throttler import Throttler

from keeper.chain.priority import Priority

# The server's second is measured on another clock.
_MARGIN = 1.02
_BEARS_S = {Priority.PRICE: 0.0, Priority.HEAD: 0.25, Priority.AUDIT: 2.0, Priority.BACKFILL: 5.0}
_TICK_S = 0.001

_Waiter = tuple[float, int, int, "asyncio.Future[None]"]


class WindowThrottle(Throttler):
    """At most `requests_per_second` arrivals in any second, by priority."""

    def __init__(self, requests_per_second: float) -> None:
        if requests_per_second <= 0:
            raise ValueError("requests_per_second must be positive")
        limit = max(1, int(requests_per_second))
        super().__init__(rate_limit=limit, period=_MARGIN * max(1.0, 1 / requests_per_second))
        self._in_flight = 0
        self._queue: list[_Waiter] = []
        self._arrivals = count()
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def largest_batch(self) -> int:
        """How many requests may leave together at most."""
        return int(self.rate_limit)

    @property
    def is_busy(self) -> bool:
        """Whether requests are waiting for their turn."""
        return bool(self._queue)

    @asynccontextmanager
    async def spend(self, items: int = 1, *, priority: Priority = Priority.HEAD) -> AsyncIterator[None]:
        """Wait for room for `items` requests and hold it while they travel."""
        if items > self.rate_limit:
            raise ValueError(f"{items} requests at once, but {self.rate_limit} are allowed in a second")
        await self._wait(items, priority)
        try:
            yield
        finally:
            self._in_flight -= items
            self._task_logs.extend([time.monotonic()] * items)
            self._admit()

    async def _wait(self, items: int, priority: Priority) -> None:
        if not self._queue and self._has_room(items):
            self._in_flight += items
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        due_s = 0.0 if priority is Priority.SEND else time.monotonic() + _BEARS_S[priority]
        heappush(self._queue, (due_s, next(self._arrivals), items, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # let in and cancelled in the same moment
                self._in_flight -= items
            self._admit()
            raise

    def _admit(self) -> None:
        """Let in who is next while there is room; come back when there may be more."""
        while self._queue:
            _, _, items, turn = self._queue[0]
            if not turn.done():
                if not self._has_room(items):
                    self._set_alarm()
                    return
                self._in_flight += items
                turn.set_result(None)
            heappop(self._queue)

    def _set_alarm(self) -> None:
        # without an entry in the log only requests in flight take up room, and their end calls
        if self._alarm is None and self._task_logs:
            wait_s = self._task_logs[0] + self.period - time.monotonic() + _TICK_S
            self._alarm = asyncio.get_running_loop().call_later(max(_TICK_S, wait_s), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._admit()

    def _has_room(self, items: int) -> bool:
        self.flush()  # type: ignore[no-untyped-call]  # the library's, without types
        return self._in_flight + len(self._task_logs) + items <= self.rate_limit


@asynccontextmanager
async def spend(
    throttle: WindowThrottle | None, items: int = 1, *, priority: Priority = Priority.HEAD
) -> AsyncIterator[None]:
    """Spend from `throttle`, or at once where there is no limit."""
    if throttle is None:
        yield
        return
    async with throttle.spend(items, priority=priority):
        yield
