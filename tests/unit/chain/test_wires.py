"""One client over HTTP, WebSocket and a unix socket: the same answers, the same checks, pipelined."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from keeper.chain.client import RpcChain
from keeper.chain.connect import connect
from keeper.chain.limits import LIMITS
from keeper.devnet.anvil import Anvil, AnvilOptions
from keeper.domain.chain import Call
from keeper.domain.errors import ChainUnreachable, RangeRefused, RpcError, Transient
from keeper.domain.units import to_address
from tests.support.proxy import Fault, RpcProxy

HEAD = "eth_getBlockByNumber"
NOBODY = to_address(b"\x01" * 20)


@asynccontextmanager
async def _over(way: str, folder: Path) -> AsyncIterator[tuple[Anvil, RpcChain]]:
    path = folder / "node.ipc"
    async with Anvil(AnvilOptions(extra=("--ipc", str(path)))) as node:
        url = {"http": node.http_url, "ws": node.ws_url, "ipc": str(path)}[way]
        async with await connect([url], chain_id=31337) as chain:
            yield node, chain


@pytest.mark.parametrize("way", ["http", "ws", "ipc"])
async def test_every_way_gives_the_same_answers(way: str, tmp_path: Path) -> None:
    async with _over(way, tmp_path) as (node, chain):
        await node.mine(3)
        head = await chain.head()
        assert head.number == 3
        assert await chain.chain_id() == 31337
        heads = await asyncio.gather(*(chain.block(number % 4) for number in range(40)))
        assert [each.number for each in heads] == [number % 4 for number in range(40)]
        answers = await chain.read([Call(to=NOBODY, data=b"")] * 900, head)
        assert len(answers) == 900
        assert await chain.logs(addresses=[], topics=[], first=0, last=3) == []
        with pytest.raises(RpcError):
            await chain.send_raw(b"\x02\xc0")


async def test_path_that_nobody_listens_at_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(ChainUnreachable) as caught:
        await connect([str(tmp_path / "canary.ipc")], chain_id=1)
    assert "canary" not in str(caught.value)


@pytest.fixture
async def proxy(anvil: Anvil) -> AsyncIterator[RpcProxy]:
    async with RpcProxy(anvil.http_url) as broken:
        yield broken


@pytest.fixture
async def chain(proxy: RpcProxy) -> AsyncIterator[RpcChain]:
    async with await connect([proxy.ws_url], chain_id=31337) as connected:
        yield connected


async def test_replies_out_of_order_find_their_requests(chain: RpcChain, proxy: RpcProxy, anvil: Anvil) -> None:
    await anvil.mine(3)
    proxy.break_with(Fault(kind="delay", seconds=0.3), method=HEAD, times=1)
    started_s = time.monotonic()
    slow = asyncio.create_task(chain.block(1))
    await asyncio.sleep(0.02)
    assert (await chain.block(2)).number == 2
    assert time.monotonic() - started_s < 0.25  # it did not wait behind the slow one
    assert (await slow).number == 1
    assert proxy.count("websocket") == 1


async def test_reply_that_comes_too_late_harms_nobody(chain: RpcChain, proxy: RpcProxy) -> None:
    proxy.break_with(Fault(kind="delay", seconds=0.2), method=HEAD, times=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await chain.head()
    await asyncio.sleep(0.3)
    assert (await chain.head()).number == 0
    assert proxy.count("websocket") == 1


BAD = [
    Fault(kind="id"),
    Fault(kind="truncate"),
    Fault(kind="result", value=None),
    Fault(kind="result", value=lambda head: head | {"number": "-0x1"}),
    Fault(kind="body", body=b"<html>"),
    Fault(kind="body", body=b"[]"),
    Fault(kind="reset"),
    Fault(kind="swallow"),
]


@pytest.mark.parametrize("fault", BAD, ids=lambda fault: f"{fault.kind}")
async def test_bad_message_is_never_believed_and_the_connection_comes_back(
    chain: RpcChain, proxy: RpcProxy, fault: Fault
) -> None:
    rule = proxy.break_with(fault, method=HEAD, times=2)
    assert (await chain.head()).number == 0
    assert rule.hits == 2


async def test_stalled_socket_is_given_up(chain: RpcChain, proxy: RpcProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LIMITS, "total_s", 0.3)
    proxy.stalled = True
    asking = asyncio.create_task(chain.head())
    await asyncio.sleep(0.4)
    proxy.stalled = False
    assert (await asking).number == 0
    assert proxy.count("websocket") == 2


async def test_message_over_the_limit_is_refused(proxy: RpcProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LIMITS, "reply_bytes", 100_000)
    async with await connect([proxy.ws_url], chain_id=31337) as chain:
        proxy.break_with(Fault(kind="body", body=b"x" * 3_000_000), method="eth_getLogs")
        with pytest.raises(RangeRefused):
            await chain.logs(addresses=[], topics=[], first=0, last=0)
        assert (await chain.head()).number == 0


async def test_transaction_of_unknown_fate_is_never_repeated(chain: RpcChain, proxy: RpcProxy) -> None:
    for kind in ("swallow", "reset", "id"):
        before = proxy.count("eth_sendRawTransaction")
        proxy.break_with(Fault(kind=kind), method="eth_sendRawTransaction", times=1)  # type: ignore[arg-type]
        with pytest.raises((Transient, RpcError)):
            await chain.send_raw(b"\x02\xc0")
        assert proxy.count("eth_sendRawTransaction") == before + 1


async def test_limit_holds_over_a_socket_and_counts_the_handshake(proxy: RpcProxy) -> None:
    async with await connect([proxy.ws_url], chain_id=31337, requests_per_second=10) as chain:
        await asyncio.gather(*(chain.chain_id() for _ in range(25)))
    assert proxy.most_in_window(1.0) <= 10
    assert proxy.count() == 27


async def test_heads_come_over_the_endpoint_that_can_push(proxy: RpcProxy, anvil: Anvil) -> None:
    async with await connect([proxy.ws_url], chain_id=31337) as chain:
        heads = chain.heads()
        assert (await anext(heads)).number == 0
        await asyncio.sleep(0.3)
        polls = proxy.count(HEAD)
        await anvil.mine()
        assert (await anext(heads)).number == 1
        assert proxy.count("eth_subscribe") == 1
        assert proxy.count(HEAD) == polls
        await heads.aclose()
