"""Many reads in one question to the chain, each with its own way of being understood."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from keeper.domain.chain import Call, CallResult, Head
from keeper.domain.errors import Transient
from keeper.domain.units import Address
from keeper.ports import Chain

T = TypeVar("T")


class Answer(Generic[T]):
    """One read's value, there once the batch has run."""

    __slots__ = ("_value",)

    def __init__(self) -> None:
        self._value: list[T] = []

    def set(self, value: T) -> None:
        """Store the value; the batch does this."""
        self._value = [value]

    @property
    def value(self) -> T:
        """The value. Raises IndexError before the batch has run."""
        return self._value[0]


class Batch:
    """Reads to be made together, at one block."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._sinks: list[Callable[[CallResult], None]] = []

    def __len__(self) -> int:
        return len(self._calls)

    def ask(self, to: Address, data: bytes, decode: Callable[[bytes], T], what: str) -> Answer[T]:
        """Add a read that has to succeed; `what` names it in the error when it does not."""
        answer: Answer[T] = Answer()

        def take(result: CallResult) -> None:
            if not result.ok:
                raise Transient(f"{what} could not be read from {to}: the call reverted")
            try:
                answer.set(decode(result.data))
            except ValueError as error:
                raise Transient(f"{what} could not be read from {to}: {error}") from error

        self._add(to, data, take)
        return answer

    def ask_if_any(self, to: Address, data: bytes, decode: Callable[[bytes], T]) -> Answer[T | None]:
        """Add a read that may fail: a revert, or an answer that makes no sense, gives None."""
        answer: Answer[T | None] = Answer()

        def take(result: CallResult) -> None:
            try:
                answer.set(decode(result.data) if result.ok else None)
            except ValueError:
                answer.set(None)

        self._add(to, data, take)
        return answer

    def _add(self, to: Address, data: bytes, sink: Callable[[CallResult], None]) -> None:
        self._calls.append(Call(to=to, data=data))
        self._sinks.append(sink)

    async def run(self, chain: Chain, at: Head) -> None:
        """Make all reads at `at`. Raises Transient for one that had to succeed, and what the chain raises."""
        if not self._calls:
            return
        results = await chain.read(self._calls, at)
        for result, sink in zip(results, self._sinks, strict=True):
            sink(result)
