"""New heads, and whatever else is wanted, pushed over one connection that is made anew for ever."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from itertools import count
from typing import Any

import aiohttp
import orjson

from keeper.chain import decode
from keeper.chain.lines import dialler
from keeper.chain.replies import BadReply, read_single
from keeper.chain.throttle import WindowThrottle, spend
from keeper.chain.topics import Topic, Topics
from keeper.chain.urls import mask_url
from keeper.chain.wires import SocketWire
from keeper.domain.chain import Head
from keeper.domain.errors import ConfigError, RpcError, Transient

_LOG = logging.getLogger(__name__)
_ANSWER_TIMEOUT_S = 5.0
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0
_HEADS_KEPT = 256
_EARLY_KEPT = 64
_RANDOM = random.SystemRandom()


class HeadSubscription:
    """`eth_subscribe newHeads` at one address, with `topics` beside it; every connection subscribes anew."""

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        throttle: WindowThrottle | None,
        *,
        chain_id: int,
        topics: Topics | None = None,
    ) -> None:
        self._dial = dialler(url, session)
        self._throttle = throttle
        self._chain_id = chain_id
        self._topics = topics or Topics()
        self._connection: _Connection | None = None
        self.label = mask_url(url)

    def __repr__(self) -> str:
        return f"HeadSubscription({self.label})"

    async def restart(self) -> None:
        """Drop the connection; `heads` makes another."""
        if self._connection is not None:
            await self._connection.wire.close()

    @property
    def is_open(self) -> bool:
        """Whether heads are being announced, as far as can be seen."""
        return self._connection is not None

    async def heads(self, on_open: Callable[[], None]) -> AsyncIterator[Head]:
        """Yield heads as they are announced, across connections. Raises ConfigError on another chain.

        `on_open` is called when a subscription stands: what came before it was not announced.
        """
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                async with aclosing(self._announced(on_open)) as announced:
                    async for head in announced:
                        pause_s = _FIRST_PAUSE_S
                        yield head
                reason = "the connection ended"
            except TimeoutError:
                reason = "no answer in time"
            except (Transient, RpcError) as error:
                reason = str(error)
            _LOG.warning("subscription at %s lost: %s", self.label, reason)
            await asyncio.sleep(pause_s * _RANDOM.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _announced(self, on_open: Callable[[], None]) -> AsyncGenerator[Head, None]:
        connection = _Connection(SocketWire(self._dial), self._throttle)
        stop_listening = self._topics.listen(connection.wake)
        try:
            async with spend(self._throttle):  # the handshake is a request, too
                await connection.wire.open()
            await self._check_chain(connection)
            await connection.subscribe_heads()
            self._connection = connection
            on_open()
            while connection.wire.is_open:
                await connection.follow(self._topics.wanted())
                for head in await connection.news():
                    yield head
        finally:
            self._connection = None
            stop_listening()
            await connection.wire.close()

    async def _check_chain(self, connection: _Connection) -> None:
        chain_id = decode.quantity(await connection.ask("eth_chainId", ()))
        if chain_id != self._chain_id:
            raise ConfigError(
                f"[chain] id is {self._chain_id}, but ws_url {self.label} answers for chain {chain_id}; "
                "correct one of them"
            )


class _Connection:
    """The subscriptions of one connection, and what they announced."""

    def __init__(self, wire: SocketWire, throttle: WindowThrottle | None) -> None:
        self.wire = wire
        wire.on_notice = self._take
        self._throttle = throttle
        self._ids = count(1)
        self._names: dict[str, str] = {}
        self._topics: dict[str, Topic] = {}
        self._early: deque[tuple[str, Any]] = deque(maxlen=_EARLY_KEPT)
        self._heads: deque[Head] = deque(maxlen=_HEADS_KEPT)
        self._trouble: BadReply | None = None
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Look again at what is wanted."""
        self._news.set()

    async def ask(self, method: str, params: tuple[Any, ...]) -> Any:
        """Return the result of one request on this connection."""
        number = next(self._ids)
        body = orjson.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        async with spend(self._throttle), asyncio.timeout(_ANSWER_TIMEOUT_S):
            return read_single(await self.wire.exchange(body, number), number)

    async def subscribe_heads(self) -> None:
        """Subscribe to new heads."""
        await self._subscribe("", ("newHeads",))
        self.wire.on_close(self.wake)

    async def follow(self, wanted: dict[str, Topic]) -> None:
        """Subscribe to what is newly wanted; a node that refuses a topic is asked for it no more."""
        for name, topic in wanted.items():
            before = self._topics.get(name)
            self._topics[name] = topic
            if before is not None and before.params == topic.params:
                continue
            outdated = next((number for number, of in self._names.items() if of == name), None)
            try:
                await self._subscribe_to(name, topic)
                if outdated is not None:
                    del self._names[outdated]
                    await self.ask("eth_unsubscribe", (outdated,))
            except RpcError as error:
                _LOG.warning("no subscription to %s: %s", name, error)

    async def _subscribe_to(self, name: str, topic: Topic) -> None:
        try:
            await self._subscribe(name, topic.params)
        except RpcError:
            if topic.instead is None:
                raise
            await self._subscribe(name, topic.instead)

    async def news(self) -> list[Head]:
        """Return the heads announced since; empty when there was something else to wake up for."""
        await self._news.wait()
        self._news.clear()
        if self._trouble is not None:
            raise self._trouble
        found = list(self._heads)
        self._heads.clear()
        return found

    async def _subscribe(self, name: str, params: tuple[Any, ...]) -> None:
        number = await self.ask("eth_subscribe", params)
        if not isinstance(number, str):
            raise BadReply("a subscription without a name")
        self._names[number] = name
        early, self._early = self._early, deque(maxlen=_EARLY_KEPT)
        for notice in early:
            self._take(*notice)

    def _take(self, number: str, announced: Any) -> None:
        name = self._names.get(number)
        if name is None:
            self._early.append((number, announced))  # it may overtake the reply that names it
        elif name:
            self._topics[name].on_push(announced)
        else:
            self._take_head(announced)

    def _take_head(self, announced: Any) -> None:
        try:
            self._heads.append(decode.head(announced))
        except BadReply as error:
            self._trouble = error
        self._news.set()
