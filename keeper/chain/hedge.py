"""The same question to a second endpoint when the first one lets us wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from keeper.chain.endpoint import Endpoint
from keeper.domain.errors import RpcError, Transient

_T = TypeVar("_T")
_SHORTEST_S = 0.06
_LONGEST_S = 0.15
_TIMES_USUAL = 4


async def hedged(ask: Callable[[Endpoint], Awaitable[_T]], first: Endpoint, second: Endpoint) -> _T:
    """Return the first answer of the two; `second` is asked when `first` takes much longer than usual.

    A refusal counts when it is the first endpoint's own. Raises what the first endpoint raised when
    both fail.
    """
    asking = asyncio.ensure_future(ask(first))
    helping: asyncio.Future[_T] | None = None
    try:
        await asyncio.wait((asking,), timeout=_patience_s(first))
        if asking.done():
            return asking.result()
        helping = asyncio.ensure_future(ask(second))
        await asyncio.wait((asking, helping), return_when=asyncio.FIRST_COMPLETED)
        if not asking.done() and _answered(helping):
            first.note_slow()
            return helping.result()
        return await _last_hope(asking, helping)
    finally:
        for task in (asking, helping):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait((task,))


async def _last_hope(asking: asyncio.Future[_T], helping: asyncio.Future[_T]) -> _T:
    try:
        return await asking
    except RpcError:
        raise
    except Transient as error:
        try:
            return await helping
        except (RpcError, Transient):
            raise error from None


def _answered(task: asyncio.Future[_T]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _patience_s(endpoint: Endpoint) -> float:
    return min(max(_TIMES_USUAL * endpoint.latency_s, _SHORTEST_S), _LONGEST_S)
