"""A private address gets what its method wants, and says what came of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from keeper.chain.relay import PrivateRelay, RelayMethod
from keeper.domain.errors import ConfigError, RpcError, Transient

HASH = "0x" + "ab" * 32


class Builder:
    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.reply: dict[str, Any] = {"result": HASH}
        self.status = 200

    async def answer(self, request: web.Request) -> web.Response:
        asked = json.loads(await request.read())
        self.asked.append(asked)
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], **self.reply}, status=self.status)


@pytest.fixture
async def builder() -> AsyncIterator[tuple[Builder, str]]:
    made = Builder()
    application = web.Application()
    application.router.add_post("/{key}", made.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield made, f"http://127.0.0.1:{port}/secret-key"
    await runner.cleanup()


@pytest.mark.parametrize(
    ("method", "parameter"),
    [
        ("eth_sendRawTransaction", "0x02c0"),
        ("eth_sendPrivateTransaction", {"tx": "0x02c0", "maxBlockNumber": "0x14"}),
    ],
)
async def test_each_method_gets_its_own_form(
    builder: tuple[Builder, str], method: RelayMethod, parameter: object
) -> None:
    made, url = builder
    async with PrivateRelay(url, method) as relay:
        assert await relay.submit_raw(b"\x02\xc0", 20) == HASH
        assert "secret-key" not in repr(relay)
    assert (made.asked[0]["method"], made.asked[0]["params"]) == (method, [parameter])


async def test_refusals_and_silence_are_told_apart(builder: tuple[Builder, str]) -> None:
    made, url = builder
    async with PrivateRelay(url, "eth_sendRawTransaction") as relay:
        made.reply = {"error": {"code": -32000, "message": "nonce too low"}}
        with pytest.raises(RpcError, match="nonce too low"):
            await relay.submit_raw(b"\x02", None)
        made.reply = {"result": "no hash"}
        with pytest.raises(Transient) as caught:
            await relay.submit_raw(b"\x02", None)
        assert "secret-key" not in str(caught.value)
    async with PrivateRelay("http://127.0.0.1:1/secret-key", "eth_sendRawTransaction") as nobody:
        with pytest.raises(Transient) as caught:
            await nobody.submit_raw(b"\x02", None)
        assert "secret-key" not in str(caught.value)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError):
        PrivateRelay("ftp://nowhere", "eth_sendRawTransaction")
