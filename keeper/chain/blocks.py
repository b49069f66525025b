"""Asking for state at one block, by its hash, and what it means when the node does not have it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from keeper.chain.headers import HeaderReader
from keeper.chain.replies import is_block_missing, is_hash_refused
from keeper.chain.rpc import RpcClient
from keeper.domain.chain import Head
from keeper.domain.errors import HistoryMissing, RpcError, Stale, Transient

_T = TypeVar("_T")
_PATIENCE_S = (0.1, 0.3, 0.8)


class PinnedBlocks:
    """Runs requests pinned to a block's hash; by its number where the node wants that."""

    def __init__(self, rpc: RpcClient, headers: HeaderReader) -> None:
        self._rpc = rpc
        self._headers = headers
        self._by_hash = True

    async def fetch(self, number: int) -> Head | None:
        """Return the canonical block at `number`, None when the node has none."""
        return await self._rpc.request("eth_getBlockByNumber", (hex(number), False), self._headers.head_or_none)

    async def ask(self, at: Head, request: Callable[[Any], Awaitable[_T]]) -> _T:
        """Return `request(block parameter)` for the block `at`.

        Raises Stale when `at` is no longer on the chain, HistoryMissing when the node has the block
        but not its state, Transient when the node is behind.
        """
        for pause_s in (*_PATIENCE_S, None):
            try:
                return await self._ask_once(at, request)
            except RpcError as error:
                if not is_block_missing(error):
                    raise
                await self._explain_missing(at, last=pause_s is None)
            if pause_s is not None:
                await asyncio.sleep(pause_s)
        raise Transient(f"no endpoint has block {at.number} yet")

    async def _ask_once(self, at: Head, request: Callable[[Any], Awaitable[_T]]) -> _T:
        if self._by_hash:
            try:
                return await request({"blockHash": at.hash, "requireCanonical": True})
            except RpcError as error:
                if not is_hash_refused(error):
                    raise
        answer = await request(hex(at.number))
        self._by_hash = False  # asked by number it answered: the form by hash was the trouble
        await self._check_canonical(at)
        return answer

    async def _check_canonical(self, at: Head) -> None:
        """Raise Stale unless `at` is still the block at its height."""
        found = await self.fetch(at.number)
        if found is None or found.hash != at.hash:
            raise Stale(f"block {at.number} {at.hash} is no longer on the chain")

    async def _explain_missing(self, at: Head, *, last: bool) -> None:
        """Return when waiting may help; raise otherwise."""
        found = await self.fetch(at.number)
        if found is None:
            return
        if found.hash != at.hash:
            raise Stale(f"block {at.number} {at.hash} is no longer on the chain")
        if last:
            raise HistoryMissing(
                f"the node has block {at.number} but no longer its state; ask an archive node, or for a newer block"
            )
