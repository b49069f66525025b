"""Views at one block: few requests, each result as if it had been asked alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from keeper.chain import batcher, decode
from keeper.chain.batcher import BatchAnswer
from keeper.chain.blocks import PinnedBlocks
from keeper.chain.gather import gather_bounded
from keeper.chain.priority import Priority, priority_of
from keeper.chain.replies import is_too_much
from keeper.chain.rpc import RpcClient
from keeper.domain.chain import Call, CallResult, Head
from keeper.domain.errors import RpcError

_MOST_CALLS = 400
_MOST_BYTES = 96 * 1024
_AT_ONCE = 4


class _Gathering:
    """Reads that leave together at the next turn of the loop."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.readers = 0
        self.task: asyncio.Task[list[CallResult]] | None = None


async def _share(together: _Gathering) -> list[CallResult]:
    """Wait for the results; the last reader to give up ends the work."""
    task = together.task
    if task is None:
        raise ValueError("nothing was started")
    together.readers += 1
    try:
        return await asyncio.shield(task)
    finally:
        together.readers -= 1
        if not together.readers and not task.done():
            task.cancel()


class BatchReader:
    """Packs reads into `eth_call`s of the Batcher and takes them apart where the node cannot bear them."""

    def __init__(self, rpc: RpcClient, blocks: PinnedBlocks) -> None:
        self._rpc = rpc
        self._blocks = blocks
        self._most_calls = _MOST_CALLS
        self._gathering: dict[tuple[str, Priority], _Gathering] = {}

    async def read(self, calls: Sequence[Call], at: Head) -> list[CallResult]:
        """Return the results of `calls` at `at`, in order.

        Reads of one block that several tasks ask for in the same moment travel together.
        """
        if not calls:
            return []
        key = at.hash, priority_of(Priority.PRICE)
        together = self._gathering.get(key)
        if together is None:
            together = self._gathering[key] = _Gathering()
            together.task = asyncio.create_task(self._read_gathered(key, together, at), name="read-together")
        start = len(together.calls)
        together.calls.extend(calls)
        results = await _share(together)
        return results[start : start + len(calls)]

    async def _read_gathered(self, key: tuple[str, Priority], together: _Gathering, at: Head) -> list[CallResult]:
        del self._gathering[key]  # whoever asks from now on starts another
        return await self._read_all(together.calls, at)

    async def _read_all(self, calls: Sequence[Call], at: Head) -> list[CallResult]:
        chunks = self._chunks(calls)
        answers = await gather_bounded(partial(self._read_chunk, at=at), chunks, at_once=_AT_ONCE) if chunks else []
        return [result for answer in answers for result in answer]

    def _chunks(self, calls: Sequence[Call]) -> list[Sequence[Call]]:
        chunks: list[Sequence[Call]] = []
        start = size = 0
        for index, call in enumerate(calls):
            if index > start and (index - start >= self._most_calls or size + len(call.data) > _MOST_BYTES):
                chunks.append(calls[start:index])
                start, size = index, 0
            size += len(call.data) + 160  # its share of the encoding
        if start < len(calls):
            chunks.append(calls[start:])
        return chunks

    async def _read_chunk(self, calls: Sequence[Call], at: Head) -> list[CallResult]:
        try:
            answer = await self._execute(calls, at)
        except RpcError as error:
            if len(calls) == 1 or not is_too_much(error):
                raise
            return await self._read_pieces(calls, len(calls) // 2, at)
        if len(calls) == 1 or not answer.exhausted:
            self._note_success(len(calls))
            return answer.results
        return await self._read_around(calls, answer, at)

    async def _read_around(self, calls: Sequence[Call], answer: BatchAnswer, at: Head) -> list[CallResult]:
        """Repeat a chunk that ran out of gas, with the read that may have burnt it by itself."""
        suspects = (i for i, result in enumerate(answer.results) if not result.ok and not result.data)
        index = next(suspects, None)
        if index is None:
            return await self._read_pieces(calls, len(calls) // 2, at)
        before = await self._read_pieces(calls[:index], 0, at)
        alone = await self._read_chunk(calls[index : index + 1], at)
        return before + alone + await self._read_pieces(calls[index + 1 :], 0, at)

    async def _read_pieces(self, calls: Sequence[Call], middle: int, at: Head) -> list[CallResult]:
        if middle:
            self._most_calls = max(8, min(self._most_calls, middle))
        pieces = [piece for piece in (calls[:middle], calls[middle:]) if piece]
        return [result for piece in pieces for result in await self._read_chunk(piece, at)]

    def _note_success(self, count: int) -> None:
        if count >= self._most_calls:
            self._most_calls = min(_MOST_CALLS, self._most_calls + max(1, self._most_calls // 20))

    async def _execute(self, calls: Sequence[Call], at: Head) -> BatchAnswer:
        transaction = {"to": batcher.BATCHER, "data": batcher.encode_batch(calls)}

        def parse(value: Any) -> BatchAnswer:
            return batcher.decode_batch(decode.data(value), len(calls))

        async def request(block: Any) -> BatchAnswer:
            return await self._rpc.request(
                "eth_call", (transaction, block, batcher.overrides()), parse, priority=Priority.PRICE
            )

        return await self._blocks.ask(at, request)
