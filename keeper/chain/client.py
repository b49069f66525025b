"""The `Chain` port over JSON-RPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial
from typing import Any, Self

import aiohttp

from keeper.chain import decode
from keeper.chain.blocks import PinnedBlocks
from keeper.chain.broadcast import METHOD, send_to_all
from keeper.chain.headers import HeaderReader
from keeper.chain.heads import HeadFollower
from keeper.chain.pace import BlockPace
from keeper.chain.priority import Priority
from keeper.chain.quorum import Quorum
from keeper.chain.reads import BatchReader
from keeper.chain.replies import BatchRefused, is_range_refusal
from keeper.chain.rpc import RpcClient
from keeper.chain.simulate import Simulator
from keeper.chain.subscription import HeadSubscription
from keeper.chain.survey import survey_heads
from keeper.chain.tips import DEFAULT_TIP_WEI, fee, suggest_tip_wei
from keeper.chain.topics import Topics
from keeper.domain.chain import (
    AccountOverride,
    Call,
    CallResult,
    Head,
    Log,
    Receipt,
    SimulatedCall,
    SimulatedOutcome,
)
from keeper.domain.errors import HistoryMissing, RangeRefused, RpcError, Transient
from keeper.domain.units import Address
from keeper.observe import metrics


class RpcChain:
    """One chain behind one or more JSON-RPC endpoints. Made by `connect`; `close` it, or use `async with`."""

    def __init__(
        self,
        rpc: RpcClient,
        session: aiohttp.ClientSession,
        *,
        chain_id: int,
        push_url: str | None = None,
        requests_per_second: float | None = None,
        quorum: int | None = None,
    ) -> None:
        self._rpc = rpc
        self._session = session
        self._chain_id = chain_id
        self._push_url = push_url
        self._requests_per_second = requests_per_second
        self.topics = Topics()
        self._quorum = Quorum(rpc, chain_id=chain_id, needed=quorum)
        self._headers = HeaderReader()
        self._blocks = PinnedBlocks(rpc, self._headers)
        self._reader = BatchReader(rpc, self._blocks)
        self._simulator = Simulator(rpc, self._blocks)
        self._takes_batches = True
        self._newest: Head | None = None
        self._requests_before = 0
        self._followers: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"RpcChain({self._chain_id}, {', '.join(endpoint.label for endpoint in self._rpc.endpoints)})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def rpc(self) -> RpcClient:
        """The client underneath, for requests that have no method here."""
        return self._rpc

    @property
    def expected_chain_id(self) -> int:
        """The chain id every endpoint has to answer for."""
        return self._chain_id

    async def close(self) -> None:
        """End what follows heads and let the connections go."""
        for task in list(self._followers):
            await _end(task)
        await self._rpc.close()
        await self._session.close()

    async def chain_id(self) -> int:
        """Return the chain id the node answers now."""
        return await self._rpc.request("eth_chainId", (), decode.quantity)

    async def head(self) -> Head:
        """Return the newest block's header."""
        return self._seen(await self._rpc.request("eth_getBlockByNumber", ("latest", False), self._headers.head))

    def _seen(self, head: Head) -> Head:
        before = self._newest
        if before is None or head.number > before.number:
            blocks = 1 if before is None else head.number - before.number
            metrics.REQUESTS_PER_BLOCK.set((self._rpc.requests - self._requests_before) / blocks)
            self._requests_before = self._rpc.requests
        self._newest = head
        return head

    async def block(self, number: int) -> Head:
        """Return the header at `number`. Raises HistoryMissing."""
        found = await self._blocks.fetch(number)
        if found is None:
            raise HistoryMissing(f"the node does not have block {number}")
        return found

    async def pending_timestamp_s(self) -> int | None:
        """Return the time the node would give the next block, None where it does not say."""

        def parse(value: Any) -> int | None:
            pending = value.get("timestamp") if isinstance(value, dict) else None
            return None if pending is None else decode.quantity(pending, bits=40)

        try:
            return await self._rpc.request("eth_getBlockByNumber", ("pending", False), parse)
        except RpcError:
            return None

    async def heads(self) -> AsyncGenerator[Head, None]:
        """Yield new heads, newest wins. The one known at the start comes first.

        Endpoint trouble is waited out; raises ConfigError when the pushing address belongs to another chain. Ends
        when the chain is closed.
        """
        follower = self._follower()
        task = asyncio.create_task(follower.run(), name="follow-heads")
        self._followers.add(task)
        try:
            while (head := await _first_of(follower, task)) is not None:
                yield self._seen(head)
        finally:
            self._followers.discard(task)
            await _end(task)

    def _follower(self) -> HeadFollower:
        first = self._rpc.endpoints[0]
        subscription = None
        if self._push_url:
            subscription = HeadSubscription(
                self._push_url, self._session, first.throttle, chain_id=self._chain_id, topics=self.topics
            )
        return HeadFollower(
            self.head,
            BlockPace(self._requests_per_second),
            subscription=subscription,
            lower_heads_needed=1 if len(self._rpc.endpoints) == 1 else 3,
            survey=None if len(self._rpc.endpoints) == 1 else partial(survey_heads, self._rpc, self._headers),
        )

    async def transaction(self, transaction_hash: str) -> Any:
        """Return a transaction as the node tells it, unchecked; None when it does not know it."""
        return await self._rpc.request("eth_getTransactionByHash", (transaction_hash,), lambda value: value)

    async def code(self, address: Address) -> bytes:
        """Return the code at `address` at the newest block, empty when there is none. Raises Disagreement."""
        if self._quorum.is_needed:
            return await self._quorum.code(address)
        return await self._rpc.request("eth_getCode", (address, "latest"), decode.data)

    async def balance_wei(self, address: Address) -> int:
        """Return the native balance of `address` at the newest block."""
        return await self._rpc.request("eth_getBalance", (address, "latest"), decode.quantity)

    async def nonce(self, address: Address) -> int:
        """Return the number of mined transactions of `address` at the newest block. Raises Disagreement."""
        if self._quorum.is_needed:
            return await self._quorum.nonce(address)
        return await self._rpc.request("eth_getTransactionCount", (address, "latest"), decode.quantity)

    async def logs(self, *, addresses: Sequence[Address], topics: Sequence[bytes], first: int, last: int) -> list[Log]:
        """Return logs of `addresses` whose topic 0 is one of `topics` (any, when empty), in order.

        Raises RangeRefused when the provider wants a smaller range or result, and Transient while
        the node does not have block `last`: it would leave out what it has not seen, silently.
        """
        query: dict[str, Any] = {"fromBlock": hex(first), "toBlock": hex(last), "address": list(addresses)}
        if topics:
            query["topics"] = [["0x" + topic.hex() for topic in topics]]
        try:
            newest = self._newest
            if newest is not None and first == last == newest.number:
                found = await self._logs_of_block(query, newest)
                if found is not None:
                    return found
            return await self._logs_of_known_blocks(query, first, last)
        except RpcError as error:
            if is_range_refusal(error):
                raise RangeRefused(error.code, error.message) from None
            raise

    async def _logs_of_block(self, query: Mapping[str, Any], head: Head) -> list[Log] | None:
        """Return the logs of the block with the hash of `head`, None where the node does not know that block."""
        filters = {name: value for name, value in query.items() if name in {"address", "topics"}}
        try:
            return await self._rpc.request(
                "eth_getLogs", ({"blockHash": head.hash, **filters},), decode.logs_of_block(head)
            )
        except RpcError as error:
            if is_range_refusal(error):
                raise
            return None

    async def _logs_of_known_blocks(self, query: dict[str, Any], first: int, last: int) -> list[Log]:
        requests = [("eth_getBlockByNumber", (hex(last), False)), ("eth_getLogs", (query,))]
        parse = decode.logs_of_known_blocks(first, last)
        if self._takes_batches and self._rpc.largest_batch >= len(requests):
            try:
                return await self._rpc.batch(requests, parse)
            except BatchRefused:
                self._takes_batches = False
        last_block = await self._rpc.request(*requests[0], decode.head_or_none)
        if last_block is None:
            raise Transient(f"the node does not have block {last} yet")
        return await self._rpc.request(*requests[1], decode.logs_between(first, last))

    async def confirm(
        self, head: Head, reads: Mapping[Call, bytes], contracts: Mapping[Address, bytes] | None = None
    ) -> None:
        """Return when the endpoints agree on `head`, these answers of views at it, and these code hashes.

        Raises Disagreement. With one endpoint there is nobody to ask.
        """
        await self._quorum.confirm(head, reads, contracts or {})

    async def read(self, calls: Sequence[Call], at: Head) -> list[CallResult]:
        """Execute `calls` as views at the block with hash `at.hash`, in few requests, in order.

        Raises Stale when that block is no longer on the chain, HistoryMissing when its state is gone.
        """
        return await self._reader.read(calls, at)

    async def simulate(
        self,
        calls: Sequence[SimulatedCall],
        *,
        at: Head,
        timestamp_s: int | None = None,
        overrides: Mapping[Address, AccountOverride] | None = None,
    ) -> list[SimulatedOutcome]:
        """Execute `calls` one after another in a block on top of `at` (eth_simulateV1)."""
        if not calls:
            return []
        return await self._simulator.simulate(calls, at=at, timestamp_s=timestamp_s, overrides=overrides or {})

    async def suggested_tip_wei(self, percentile: int = 50) -> int:
        """Return the tip per gas that `percentile` of recent gas paid at most, else what the node suggests."""
        return await suggest_tip_wei(self._rpc, percentile)

    async def gas_price_wei(self) -> int:
        """Return the price per gas the node suggests where blocks carry no base fee, 1 gwei when it has none."""
        try:
            return await self._rpc.request("eth_gasPrice", (), fee)
        except RpcError:
            return DEFAULT_TIP_WEI

    async def send_raw(self, raw: bytes) -> str:
        """Broadcast signed bytes; return the hash the node answers. Raises RpcError, Transient.

        RateLimited and NotSent mean that it certainly did not leave; after any other Transient it
        may have. Never repeated on its own after such an attempt.
        """
        params = ("0x" + raw.hex(),)
        return await self._rpc.request(METHOD, params, decode.hash_text, priority=Priority.SEND, retry=False)

    async def send_raw_to_all(self, raw: bytes) -> list[str | RpcError | Transient]:
        """Broadcast signed bytes through every endpoint; return each one's hash or what went wrong, never raise.

        One that has accepted ends the wait for the others.
        """
        return await send_to_all(self._rpc, raw)

    async def receipt(self, transaction_hash: str) -> Receipt | None:
        """Return the receipt, None while the transaction is not mined."""
        return await self._rpc.request(
            "eth_getTransactionReceipt", (transaction_hash,), decode.receipt_of(transaction_hash)
        )


async def _first_of(follower: HeadFollower, task: asyncio.Task[None]) -> Head | None:
    """Return the next head, None when the chain was closed, or raise what ended the follower."""
    news = asyncio.ensure_future(follower.newest())
    try:
        await asyncio.wait((news, task), return_when=asyncio.FIRST_COMPLETED)
        if news.done():
            return news.result()
        if not task.cancelled():
            task.result()
        return None
    finally:
        if not news.done():
            await _end(news)


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel `task` and wait for its end; a cancellation of the caller still comes through."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # its trouble has been reported where it arose
