"""Several awaitables at a time, with plain errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


async def gather_bounded(
    work: Callable[[_Item], Awaitable[_Answer]], items: Sequence[_Item], *, at_once: int
) -> list[_Answer]:
    """Return `work(item)` for each item, in order, at most `at_once` at a time.

    The first failure cancels the rest and is raised as it is.
    """
    room = asyncio.Semaphore(at_once)

    async def run(item: _Item) -> _Answer:
        async with room:
            return await work(item)

    if len(items) == 1:
        return [await work(items[0])]
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(run(item)) for item in items]
    except BaseExceptionGroup as group:
        raise first_error(group) from None
    return [task.result() for task in running]


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error inside `group`, however deep."""
    error = group.exceptions[0]
    return first_error(error) if isinstance(error, BaseExceptionGroup) else error
