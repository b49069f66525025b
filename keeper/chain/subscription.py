"""New heads pushed over a WebSocket, reconnected for ever."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import orjson

from keeper.chain import decode
from keeper.chain.endpoint import CONNECT_TIMEOUT_S
from keeper.chain.replies import BadReply, read_reply
from keeper.chain.throttle import WindowThrottle, spend
from keeper.chain.urls import mask_url
from keeper.domain.chain import Head
from keeper.domain.errors import ConfigError, RpcError, Transient

_LOG = logging.getLogger(__name__)
_PING_S = 10.0
_ANSWER_TIMEOUT_S = 5.0
_MESSAGE_LIMIT_BYTES = 4 * 2**20
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0
_RANDOM = random.SystemRandom()


class HeadSubscription:
    """`eth_subscribe newHeads` at one address; every connection subscribes anew."""

    def __init__(
        self, url: str, session: aiohttp.ClientSession, throttle: WindowThrottle | None, *, chain_id: int
    ) -> None:
        self._url = url
        self._session = session
        self._throttle = throttle
        self._chain_id = chain_id
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self.label = mask_url(url)

    def __repr__(self) -> str:
        return f"HeadSubscription({self.label})"

    async def restart(self) -> None:
        """Drop the connection; `heads` makes another."""
        if self._socket is not None:
            await self._socket.close()

    @property
    def is_open(self) -> bool:
        """Whether heads are being announced, as far as can be seen."""
        return self._socket is not None

    async def heads(self, on_open: Callable[[], None]) -> AsyncIterator[Head]:
        """Yield heads as they are announced, across connections. Raises ConfigError on another chain.

        `on_open` is called when a subscription stands: what came before it was not announced.
        """
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                async for head in self._connection(on_open):
                    pause_s = _FIRST_PAUSE_S
                    yield head
                reason = "the connection ended"
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                reason = type(error).__name__
            except (Transient, RpcError) as error:
                reason = str(error)
            _LOG.warning("subscription at %s lost: %s", self.label, reason)
            await asyncio.sleep(pause_s * _RANDOM.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _connection(self, on_open: Callable[[], None]) -> AsyncIterator[Head]:
        async with spend(self._throttle), asyncio.timeout(CONNECT_TIMEOUT_S):  # the handshake is a request, too
            socket = await self._session.ws_connect(
                self._url,
                heartbeat=_PING_S,
                max_msg_size=_MESSAGE_LIMIT_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
            )
        try:
            subscription = await self._subscribe(socket)
        except BaseException:
            await socket.close()
            raise
        self._socket = socket
        on_open()
        try:
            async for message in socket:
                if (head := _announced(message, subscription)) is not None:
                    yield head
        finally:
            self._socket = None
            await socket.close()

    async def _subscribe(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        chain_id = decode.quantity(await self._ask(socket, 1, "eth_chainId", []))
        if chain_id != self._chain_id:
            raise ConfigError(
                f"[chain] id is {self._chain_id}, but ws_url {self.label} answers for chain {chain_id}; "
                "correct one of them"
            )
        subscription = await self._ask(socket, 2, "eth_subscribe", ["newHeads"])
        if not isinstance(subscription, str):
            raise BadReply("a subscription without a name")
        return subscription

    async def _ask(self, socket: aiohttp.ClientWebSocketResponse, number: int, method: str, params: list[Any]) -> Any:
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        async with spend(self._throttle), asyncio.timeout(_ANSWER_TIMEOUT_S):
            await socket.send_str(orjson.dumps(request).decode())
            message = await socket.receive()
        return read_reply(_text(message), number)


def _text(message: aiohttp.WSMessage) -> bytes:
    if message.type is aiohttp.WSMsgType.TEXT:
        return str(message.data).encode()
    if message.type is aiohttp.WSMsgType.BINARY:
        return bytes(message.data)
    raise BadReply("the connection ended")


def _announced(message: aiohttp.WSMessage, subscription: str) -> Head | None:
    """Return the head `message` announces, None when it is about something else."""
    try:
        content = orjson.loads(_text(message))
    except orjson.JSONDecodeError:
        raise BadReply("no JSON in a message") from None
    params = content.get("params") if isinstance(content, dict) else None
    if not isinstance(params, dict) or params.get("subscription") != subscription:
        return None
    return decode.head(params.get("result"))
