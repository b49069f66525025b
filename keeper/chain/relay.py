"""A private submit address: signed bytes go to builders instead of the public mempool."""

from __future__ import annotations

from itertools import count
from typing import Literal, Self

import aiohttp
import orjson

from keeper.chain import decode
from keeper.chain.replies import read_single
from keeper.chain.urls import check_url, mask_url
from keeper.chain.wires import HttpWire
from keeper.domain.errors import Transient

RelayMethod = Literal["eth_sendRawTransaction", "eth_sendPrivateTransaction"]


class PrivateRelay:
    """Asks one address, with a session of its own: nothing is shared with the chain's endpoints. Close it."""

    def __init__(self, url: str, method: RelayMethod) -> None:
        """Take the address. Raises ConfigError when it is none."""
        self._label = mask_url(check_url(url, ("http", "https")))
        self._method = method
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        self._wire = HttpWire(url, self._session)
        self._ids = count(1)

    def __repr__(self) -> str:
        return f"PrivateRelay({self._label})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def submit_raw(self, raw: bytes, last_block: int | None) -> str:
        """Submit signed bytes; return the hash the relay answers. Raises RpcError, Transient.

        `last_block` is passed on where the method can carry it. Sent once: the caller decides about another time.
        """
        number = next(self._ids)
        body = {"jsonrpc": "2.0", "id": number, "method": self._method, "params": [self._parameter(raw, last_block)]}
        try:
            return decode.hash_text(read_single(await self._wire.exchange(orjson.dumps(body), number), number))
        except Transient as error:
            raise Transient(f"{self._label}: {error}") from None

    def _parameter(self, raw: bytes, last_block: int | None) -> str | dict[str, str]:
        text = "0x" + raw.hex()
        if self._method == "eth_sendRawTransaction":
            return text
        bound = {} if last_block is None else {"maxBlockNumber": hex(last_block)}
        return {"tx": text, **bound}
