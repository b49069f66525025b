"""Which request goes first when an endpoint's limit makes them wait.

The order is send, price, head, audit, backfill. A method of the chain has a natural place; work that
may wait says so for everything it asks for, however deep:

    with at_priority(Priority.BACKFILL):
        await chain.logs(...)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum

_WORK: ContextVar[Priority | None] = ContextVar("priority", default=None)


class Priority(IntEnum):
    """A place in the queue; lower goes first."""

    SEND = 0
    PRICE = 1
    HEAD = 2
    AUDIT = 3
    BACKFILL = 4


@contextmanager
def at_priority(priority: Priority) -> Iterator[None]:
    """Let all requests made inside wait at least as `priority` does; a send is never held back."""
    token = _WORK.set(priority)
    try:
        yield
    finally:
        _WORK.reset(token)


def priority_of(natural: Priority) -> Priority:
    """Return the place of a request of this natural one, in the work at hand."""
    work = _WORK.get()
    return natural if work is None or natural is Priority.SEND else max(natural, work)
