"""One JSON-RPC endpoint over HTTP: bytes there, bytes back, within limits."""

from __future__ import annotations

import asyncio
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp

from keeper.chain.replies import NotSent, ReplyTooLarge
from keeper.chain.throttle import WindowThrottle, spend
from keeper.chain.urls import mask_url
from keeper.domain.clock import SystemClock
from keeper.domain.errors import RateLimited, Transient

CONNECT_TIMEOUT_S = 3.0
TOTAL_TIMEOUT_S = 15.0
REPLY_LIMIT_BYTES = 64 * 2**20
_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
_LONGEST_REST_S = 60.0
_PATIENCE = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_CLOCK = SystemClock()


class Endpoint:
    """An address with its throttle and its record: since when it fails, until when it is left alone.

    Only `label` may be shown. `verified` says that it has answered for the expected chain since its
    last failure.
    """

    def __init__(self, url: str, session: aiohttp.ClientSession, throttle: WindowThrottle | None) -> None:
        self._url = url
        self._session = session
        self._throttle = throttle
        self.label = mask_url(url)
        self.verified = False
        self.failures = 0
        self._resting_until_s = 0.0
        self._limited_until_s = 0.0

    def __repr__(self) -> str:
        return f"Endpoint({self.label})"

    @property
    def throttle(self) -> WindowThrottle | None:
        """What bounds the requests to this endpoint, None when nothing does."""
        return self._throttle

    def resting_s(self) -> float:
        """Return for how long it should be left alone, if another endpoint is there."""
        return max(0.0, self._resting_until_s - _CLOCK.monotonic_s())

    def limited_s(self) -> float:
        """Return for how long it asked to be left alone."""
        return max(0.0, self._limited_until_s - _CLOCK.monotonic_s())

    def note_success(self) -> None:
        """Forget earlier failures."""
        self.failures = 0
        self._resting_until_s = 0.0

    def note_failure(self, error: Transient) -> None:
        """Set the endpoint aside: as long as it asked for, else longer with each failure in a row."""
        self.failures += 1
        now_s = _CLOCK.monotonic_s()
        if isinstance(error, RateLimited):
            self._limited_until_s = now_s + error.retry_after_s
            return
        self.verified = False
        self._resting_until_s = now_s + min(2.0 * 2 ** min(self.failures - 1, 4), 30.0)

    async def post(self, body: bytes, *, items: int = 1, urgent: bool = False) -> bytes:
        """Send a request body that counts as `items` requests; return the reply's bytes.

        Raises NotSent, RateLimited, ReplyTooLarge, or Transient for everything else.
        """
        async with spend(self._throttle, items, urgent=urgent):
            try:
                async with self._session.post(
                    self._url, data=body, headers=_HEADERS, allow_redirects=False, timeout=_timeout()
                ) as response:
                    return await self._read(response)
            except aiohttp.ClientConnectorError as error:
                reason = error.os_error.strerror or type(error.os_error).__name__
                raise NotSent(f"{self.label}: {reason}") from None
            except aiohttp.ConnectionTimeoutError:
                raise NotSent(f"{self.label}: no connection within {CONNECT_TIMEOUT_S:.0f} s") from None
            except TimeoutError:
                raise Transient(f"{self.label}: no answer within {TOTAL_TIMEOUT_S:.0f} s") from None
            except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
                # the library's own text may hold the whole address
                raise Transient(f"{self.label}: {type(error).__name__}") from None

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        if response.status in _PATIENCE:
            wait_s = _retry_after_s(response.headers.get("Retry-After"))
            raise RateLimited(f"{self.label}: HTTP {response.status}", retry_after_s=wait_s)
        if response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise ReplyTooLarge(f"{self.label}: HTTP 413")
        body = await _limited(response)
        if response.status != HTTPStatus.OK and not body.lstrip().startswith((b"{", b"[")):
            raise Transient(f"{self.label}: HTTP {response.status}")
        return body


async def _limited(response: aiohttp.ClientResponse) -> bytes:
    pieces = []
    size = 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > REPLY_LIMIT_BYTES:
            response.close()
            raise ReplyTooLarge(f"a reply of more than {REPLY_LIMIT_BYTES} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _timeout() -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=TOTAL_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)


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
