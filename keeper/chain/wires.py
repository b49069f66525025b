"""How bytes reach one endpoint and come back: HTTP, WebSocket or a unix socket, within limits.

A wire takes a request body and returns the JSON document that answers it. Over HTTP that is one
exchange of its own; over the sockets many requests are under way at once, and each reply finds its
request by the id, in whatever order they come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Protocol

import aiohttp

from keeper.chain.limits import LIMITS
from keeper.chain.lines import Dial, Line
from keeper.chain.replies import BadReply, NotSent, ReplyTooLarge, load_json
from keeper.domain.clock import SystemClock
from keeper.domain.errors import RateLimited, Transient

_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
_LONGEST_REST_S = 60.0
_PATIENCE = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_CLOCK = SystemClock()

OnNotice = Callable[[str, Any], None]
"""Called with the name of a subscription and what it announces."""


class Wire(Protocol):
    """Carries requests to one endpoint."""

    @property
    def is_open(self) -> bool:
        """Whether a request can leave without anything before it."""

    async def open(self) -> None:
        """Connect. Raises NotSent."""

    async def exchange(self, body: bytes, first_id: int) -> Any:
        """Return the JSON document that answers `body`, whose first (or only) id is `first_id`.

        Raises NotSent, RateLimited, ReplyTooLarge, BadReply, or Transient for everything else.
        """

    async def close(self) -> None:
        """Let the connection go; what is under way fails."""


class HttpWire:
    """One POST for each exchange, on connections that are kept alive."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    @property
    def is_open(self) -> bool:
        """Always: the session keeps its connections by itself."""
        return True

    async def open(self) -> None:
        """Nothing: the session keeps its connections by itself."""

    async def exchange(self, body: bytes, first_id: int) -> Any:  # noqa: ARG002 - one body, one answer
        """See Wire."""
        try:
            async with self._session.post(
                self._url, data=body, headers=_HEADERS, allow_redirects=False, timeout=LIMITS.http_timeout
            ) as response:
                return load_json(await _read(response))
        except aiohttp.ClientConnectorError as error:
            raise NotSent(error.os_error.strerror or type(error.os_error).__name__) from None
        except aiohttp.ConnectionTimeoutError:
            raise NotSent(f"no connection within {LIMITS.connect_s:.0f} s") from None
        except TimeoutError:
            raise Transient(f"no answer within {LIMITS.total_s:.0f} s") from None
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            raise Transient(type(error).__name__) from None  # the library's own text may hold the whole address

    async def close(self) -> None:
        """Nothing: the session belongs to the client."""


async def _read(response: aiohttp.ClientResponse) -> bytes:
    if response.status in _PATIENCE:
        wait_s = _retry_after_s(response.headers.get("Retry-After"))
        raise RateLimited(f"HTTP {response.status}", retry_after_s=wait_s)
    if response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        raise ReplyTooLarge("HTTP 413")
    body = await _limited(response)
    if response.status != HTTPStatus.OK and not body.lstrip().startswith((b"{", b"[")):
        raise Transient(f"HTTP {response.status}")
    return body


async def _limited(response: aiohttp.ClientResponse) -> bytes:
    pieces = []
    size = 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > LIMITS.reply_bytes:
            response.close()
            raise ReplyTooLarge(f"a reply of more than {LIMITS.reply_bytes} bytes")
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _retry_after_s(text: str | None) -> float:
    """Return the wait a Retry-After header asks for (seconds, or a date), within [0.1, 60]; 1 when absent."""
    if text is None:
        return 1.0
    try:
        wait_s = float(text)
    except ValueError:
        try:
            until = parsedate_to_datetime(text)
        except ValueError:
            return 1.0
        wait_s = ((until if until.tzinfo else until.replace(tzinfo=UTC)) - _CLOCK.utc()).total_seconds()
    return min(max(wait_s, 0.1), _LONGEST_REST_S) if wait_s == wait_s else 1.0  # noqa: PLR0124 - "nan" is a float too


class SocketWire:
    """Requests pipelined over one lasting connection, made when it is needed and made anew when it breaks."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self.on_notice: OnNotice | None = None
        self._line: Line | None = None
        self._reader: asyncio.Task[None] | None = None
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._highest_id = 0
        self._dialling = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, as far as can be seen."""
        return self._line is not None

    async def open(self) -> None:
        """See Wire."""
        await self._connected()

    async def exchange(self, body: bytes, first_id: int) -> Any:
        """See Wire. A request that was cancelled leaves its reply to be thrown away."""
        line = self._line or await self._connected()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[first_id] = answer
        self._highest_id = max(self._highest_id, first_id)
        try:
            async with asyncio.timeout(LIMITS.total_s):
                await line.send(body)
                return await answer
        except TimeoutError:
            await self._drop(line, Transient("the connection stalled"))  # nothing behind it would get through
            raise Transient(f"no answer within {LIMITS.total_s:.0f} s") from None
        finally:
            self._pending.pop(first_id, None)

    async def close(self) -> None:
        """See Wire."""
        if self._line is not None:
            await self._drop(self._line, Transient("the connection was closed"))

    def on_close(self, tell: Callable[[], None]) -> None:
        """Have `tell` called when the present connection has ended."""
        if self._reader is not None:
            self._reader.add_done_callback(lambda _: tell())

    async def _connected(self) -> Line:
        async with self._dialling:
            if self._line is None:
                self._line = await self._dial()
                self._reader = asyncio.create_task(self._read_all(self._line), name="socket-reader")
            return self._line

    async def _read_all(self, line: Line) -> None:
        reason: Transient = Transient("the connection ended")
        try:
            while (message := await line.receive()) is not None:
                self._take(load_json(message))
        except Transient as error:
            reason = error
        finally:
            self._forget(line, reason)
            await line.close()

    def _take(self, document: Any) -> None:
        """Hand a reply to its request, a notice to the subscriber. Raises BadReply for what is neither."""
        first = document[0] if isinstance(document, list) and document else document
        if isinstance(first, dict) and first.get("method") == "eth_subscription":
            self._notify(first.get("params"))
            return
        number = self._asked(document)
        answer = self._pending.get(number)
        if answer is not None and not answer.done():
            answer.set_result(document)

    def _asked(self, document: Any) -> int:
        replies = document if isinstance(document, list) else [document]
        numbers = [int(reply["id"]) for reply in replies if isinstance(reply, dict) and type(reply.get("id")) is int]
        known = [number for number in numbers if number in self._pending]
        if known:
            return known[0]
        if not numbers and len(self._pending) == 1:  # a refusal of the one request that is under way
            (only,) = self._pending
            return only
        if not numbers or max(numbers) > self._highest_id:
            raise BadReply("a reply to a request that was never made")
        return min(numbers)  # too late: whoever asked has given up

    def _notify(self, params: Any) -> None:
        if self.on_notice is not None and isinstance(params, dict) and isinstance(params.get("subscription"), str):
            self.on_notice(params["subscription"], params.get("result"))

    async def _drop(self, line: Line, reason: Transient) -> None:
        self._forget(line, reason)
        reader = self._reader
        await line.close()
        if reader is not None and reader is not asyncio.current_task():
            reader.cancel()
            await asyncio.wait((reader,))

    def _forget(self, line: Line, reason: Transient) -> None:
        if self._line is not line:
            return
        self._line = None
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(type(reason)(*reason.args))
