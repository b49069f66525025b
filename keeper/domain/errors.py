"""Errors, sorted by what has to be done about them.

KeeperError
├── Transient           try again; the adapter that raised it already did, within bounds
│   ├── RateLimited     the endpoint asked for patience (`retry_after_s`)
│   └── Disagreement    endpoints contradict one another in something decisive: act on nothing
├── Stale               drop the work in hand and take up the next head
├── RpcError            the node answered with an error object
│   └── RangeRefused    it wants a smaller range, or a smaller answer
└── Fatal               stop and tell a human; carries the process's exit code
    ├── UsageError          2  an option's value makes no sense
    ├── ConfigError         3  the configuration names something that is not so
    ├── ChainUnreachable    4  no endpoint answers
    ├── HistoryMissing      4  the node no longer (or not yet) has that block
    ├── CheckFailed         5  a check that was asked for found a difference
    └── Failed              1  anything else that ends the command

An expected "no" is a value, `Rejected`, never an exception.
"""

from __future__ import annotations


class KeeperError(Exception):
    """Root of all errors raised on purpose."""


class Transient(KeeperError):
    """The same call may succeed later."""


class RateLimited(Transient):
    """The endpoint refused for the moment."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Disagreement(Transient):
    """Too few endpoints say the same about something a decision rests on."""


class Stale(KeeperError):
    """The state this work was based on is no longer the chain's."""


class RpcError(KeeperError):
    """The node answered a request with an error object; `code`, `message` and `data` are its own."""

    def __init__(self, code: int, message: str, data: bytes = b"") -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data


class RangeRefused(RpcError):
    """The node wants a smaller block range or a smaller answer: ask for less and try again."""


class Fatal(KeeperError):
    """A human has to act. The message is one line: what, which value, and the remedy."""

    exit_code = 1


class Failed(Fatal):
    """The command could not do its job."""


class UsageError(Fatal):
    """The command was asked for something that makes no sense."""

    exit_code = 2


class ConfigError(Fatal):
    """The configuration is wrong, or does not fit the chain it points to."""

    exit_code = 3


class ChainUnreachable(Fatal):
    """No endpoint answers."""

    exit_code = 4


class HistoryMissing(Fatal):
    """The node does not have the state or the block that was asked for."""

    exit_code = 4


class CheckFailed(Fatal):
    """A check found a difference."""

    exit_code = 5
