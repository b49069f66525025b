"""`requests_per_second`, counted where it matters: at the server."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import aclosing

import pytest

from keeper.chain.connect import connect
from keeper.chain.priority import Priority
from keeper.chain.throttle import WindowThrottle
from keeper.devnet.anvil import Anvil
from keeper.domain.chain import Call
from keeper.domain.units import to_address
from tests.conftest import TestSize
from tests.support.proxy import Fault, RpcProxy


async def test_no_window_at_the_server_exceeds_the_limit(anvil: Anvil, size: TestSize) -> None:
    """Slow connections, slow answers, heads over WebSocket and batches, all at once."""
    rounds = size.pick(quick=4, prove=30)
    async with RpcProxy(anvil.http_url) as proxy:
        connection = connect([proxy.http_url], chain_id=31337, ws_url=proxy.ws_url, requests_per_second=20)
        async with await connection as chain, aclosing(chain.heads()) as heads:
            await anext(heads)
            head = await chain.head()
            proxy.break_with(Fault(kind="delay", seconds=0.4), method="eth_getBalance", times=10)
            account = to_address(b"\x01" * 20)
            started_s = time.monotonic()
            for _ in range(rounds):
                await asyncio.gather(
                    *(chain.balance_wei(account) for _ in range(12)),
                    *(chain.nonce(account) for _ in range(12)),
                    chain._rpc.batch([("eth_chainId", ())] * 7, list),
                    chain.read([Call(to=account, data=b"")] * 500, head),
                    anvil.mine(),
                )
            elapsed_s = time.monotonic() - started_s
        print(f"{proxy.count()} requests, at most {proxy.most_in_window(1.0)} in one second")
        assert proxy.most_in_window(1.0) <= 20
        assert proxy.count() >= 33 * rounds
        assert proxy.count() / elapsed_s > 10  # the limit is used, not only kept


async def _delay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dice: random.Random | None) -> None:
    while piece := await reader.read(2**16):
        if dice is not None:
            await asyncio.sleep(dice.uniform(0, 0.8))
        writer.write(piece)
        await writer.drain()
    writer.close()


async def test_requests_held_up_on_the_way_do_not_bunch_at_the_server(anvil: Anvil) -> None:
    """A network that delays each request by up to 0.8 s: counting departures would let windows overlap."""
    dice = random.Random(5)
    pipes: set[asyncio.Task[None]] = set()
    async with RpcProxy(anvil.http_url) as proxy:
        port = int(proxy.http_url.rsplit(":", 1)[1])

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
            pipes.add(asyncio.create_task(_delay(reader, server_writer, dice)))
            pipes.add(asyncio.create_task(_delay(server_reader, writer, None)))

        network = await asyncio.start_server(relay, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{network.sockets[0].getsockname()[1]}"
        async with await connect([url], chain_id=31337, requests_per_second=20) as chain:
            await asyncio.gather(*(chain.chain_id() for _ in range(80)))
        network.close()
        await asyncio.gather(*pipes)
        assert proxy.count() == 81
        assert proxy.most_in_window(1.0) <= 20


async def test_without_limit_nothing_waits(anvil: Anvil) -> None:
    async with RpcProxy(anvil.http_url) as proxy, await connect([proxy.http_url], chain_id=31337) as chain:
        await asyncio.gather(*(chain.chain_id() for _ in range(100)))
        assert proxy.most_in_window(1.0) > 50


async def test_urgent_request_overtakes_those_waiting() -> None:
    throttle = WindowThrottle(2)
    order: list[str] = []

    async def ask(name: str, priority: Priority) -> None:
        async with throttle.spend(priority=priority):
            order.append(name)

    waiting = [asyncio.create_task(ask(f"read {i}", Priority.HEAD)) for i in range(5)]
    await asyncio.sleep(0.05)
    waiting.append(asyncio.create_task(ask("send", Priority.SEND)))
    await asyncio.gather(*waiting)
    assert order[:3] == ["read 0", "read 1", "send"]
    assert order[3:] == ["read 2", "read 3", "read 4"]


async def test_request_in_flight_keeps_its_place() -> None:
    throttle = WindowThrottle(1)
    release = asyncio.Event()
    started_s: list[float] = []

    async def slow() -> None:
        async with throttle.spend():
            await release.wait()

    async def next_one() -> None:
        async with throttle.spend():
            started_s.append(time.monotonic())

    first = asyncio.create_task(slow())
    second = asyncio.create_task(next_one())
    await asyncio.sleep(1.2)
    assert not started_s
    released_s = time.monotonic()
    release.set()
    await asyncio.gather(first, second)
    assert started_s[0] - released_s >= 1.0


async def test_cancelled_waiter_holds_nothing() -> None:
    throttle = WindowThrottle(1)
    async with throttle.spend():
        waiter = asyncio.create_task(throttle.spend().__aenter__())
        await asyncio.sleep(0.03)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
    assert throttle._in_flight == 0


async def test_fraction_of_a_request_per_second_stretches_the_window() -> None:
    throttle = WindowThrottle(0.5)
    assert throttle.rate_limit == 1
    assert throttle.period >= 2
    with pytest.raises(ValueError, match="positive"):
        WindowThrottle(0)
    with pytest.raises(ValueError, match="at once"):
        async with throttle.spend(2):
            pass
