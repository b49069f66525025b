"""Lasting connections that carry whole messages: WebSocket, and the unix socket of a node on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiohttp

from keeper.chain.limits import LIMITS
from keeper.chain.replies import BadReply, NotSent, ReplyTooLarge
from keeper.domain.errors import Transient

_PING_S = 10.0
_CLOSE_S = 1.0


class Line(Protocol):
    """A connection. `receive` returns None when it has ended."""

    async def send(self, message: bytes) -> None:
        """Send a message. Raises Transient when the connection broke."""

    async def receive(self) -> bytes | None:
        """Return the next message. Raises ReplyTooLarge, BadReply, Transient."""

    async def close(self) -> None:
        """End the connection; does nothing when it has ended."""


Dial = Callable[[], Awaitable[Line]]
"""Makes a connection. Raises NotSent."""


def dialler(url: str, session: aiohttp.ClientSession) -> Dial:
    """Return what connects to `url`: ws://, wss://, or ipc: and a path."""

    async def dial() -> Line:
        try:
            async with asyncio.timeout(LIMITS.connect_s):
                if url.startswith("ipc:"):
                    return await _unix(url.removeprefix("ipc:"))
                return await _websocket(url, session)
        except TimeoutError:
            raise NotSent(f"no connection within {LIMITS.connect_s:.0f} s") from None
        except aiohttp.ClientConnectorError as error:
            raise NotSent(error.os_error.strerror or type(error.os_error).__name__) from None
        except (aiohttp.ClientError, OSError) as error:
            raise NotSent(getattr(error, "strerror", None) or type(error).__name__) from None

    return dial


async def _websocket(url: str, session: aiohttp.ClientSession) -> Line:
    return WebSocketLine(
        await session.ws_connect(
            url,
            heartbeat=_PING_S,
            max_msg_size=LIMITS.reply_bytes,
            timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_S),
        )
    )


async def _unix(path: str) -> Line:
    return UnixLine(*await asyncio.open_unix_connection(path, limit=LIMITS.reply_bytes))


class WebSocketLine:
    """Messages over a WebSocket, watched by pings."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, message: bytes) -> None:
        """See Line."""
        try:
            await self._socket.send_str(message.decode())
        except (aiohttp.ClientError, OSError) as error:
            raise Transient(type(error).__name__) from None

    async def receive(self) -> bytes | None:
        """See Line."""
        message = await self._socket.receive()
        match message.type:
            case aiohttp.WSMsgType.TEXT:
                return str(message.data).encode()
            case aiohttp.WSMsgType.BINARY:
                return bytes(message.data)
            case aiohttp.WSMsgType.ERROR:
                raise _explained(message.data)
            case _:
                return None

    async def close(self) -> None:
        """See Line."""
        await self._socket.close()


def _explained(error: object) -> Transient:
    if isinstance(error, aiohttp.WebSocketError) and error.code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
        return ReplyTooLarge(f"a reply of more than {LIMITS.reply_bytes} bytes")
    return BadReply(f"a broken message: {type(error).__name__}")


class UnixLine:
    """Messages over a unix socket, one in each line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, message: bytes) -> None:
        """See Line."""
        try:
            self._writer.write(message + b"\n")
            await self._writer.drain()
        except OSError as error:
            raise Transient(type(error).__name__) from None

    async def receive(self) -> bytes | None:
        """See Line."""
        try:
            message = await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return None
        except asyncio.LimitOverrunError:
            raise ReplyTooLarge(f"a reply of more than {LIMITS.reply_bytes} bytes") from None
        except OSError as error:
            raise Transient(type(error).__name__) from None
        return message

    async def close(self) -> None:
        """See Line."""
        self._writer.close()
