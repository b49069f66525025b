"""Following heads through trouble: stalled and dropped sockets, a stopped node, a node that is behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from itertools import pairwise

import pytest

from keeper.chain import pace as pace_module
from keeper.chain.connect import connect
from keeper.chain.limits import LIMITS
from keeper.chain.pace import BlockPace
from keeper.devnet.anvil import Anvil, AnvilOptions
from keeper.domain.chain import Head
from keeper.domain.errors import ConfigError
from tests.support.proxy import Fault, RpcProxy

HEAD = "eth_getBlockByNumber"


async def _until(heads: AsyncIterator[Head], number: int) -> Head:
    async with asyncio.timeout(20):
        async for head in heads:
            if head.number >= number:
                return head
    raise AssertionError("no more heads")


async def _all(heads: AsyncIterator[Head]) -> list[Head]:
    return [head async for head in heads]


async def test_stalled_subscription_is_noticed_and_replaced(anvil: Anvil, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_module, "_FIRST_SILENCE_S", 1.0)
    async with RpcProxy(anvil.http_url) as proxy:
        connection = connect([proxy.http_url], chain_id=31337, ws_url=proxy.ws_url)
        async with await connection as chain, aclosing(chain.heads()) as heads:
            await _until(heads, 0)
            await asyncio.sleep(0.3)
            assert proxy.count("eth_subscribe") == 1
            proxy.stalled = True
            await anvil.mine()
            started_s = time.monotonic()
            await _until(heads, 1)
            assert time.monotonic() - started_s < 2.5
            proxy.stalled = False
            await asyncio.sleep(1.0)
            assert proxy.count("eth_subscribe") == 2
            polls = proxy.count(HEAD)
            await anvil.mine()
            await _until(heads, 2)
            assert proxy.count(HEAD) == polls  # pushed again


async def test_dropped_subscription_is_made_anew_and_nothing_newer_is_missed(anvil: Anvil) -> None:
    async with RpcProxy(anvil.http_url) as proxy:
        connection = connect([proxy.http_url], chain_id=31337, ws_url=proxy.ws_url)
        async with await connection as chain, aclosing(chain.heads()) as heads:
            await _until(heads, 0)
            for number in range(1, 4):
                await asyncio.sleep(0.5)
                await proxy.drop_sockets()
                await anvil.mine()
                await _until(heads, number)
            await asyncio.sleep(0.5)
            assert proxy.count("eth_subscribe") >= 3


async def test_quiet_subscription_costs_few_requests(anvil: Anvil) -> None:
    async with RpcProxy(anvil.http_url) as proxy:
        connection = connect([proxy.http_url], chain_id=31337, ws_url=proxy.ws_url)
        async with await connection as chain, aclosing(chain.heads()) as heads:
            await _until(heads, 0)
            for number in range(1, 9):
                await asyncio.sleep(0.25)
                await anvil.mine()
                await _until(heads, number)
            assert proxy.count(HEAD) <= 3


@pytest.mark.parametrize("pushed", [False, True], ids=["polling", "subscription"])
async def test_stopped_node_is_waited_for(anvil: Anvil, pushed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LIMITS, "total_s", 0.5)
    ws_url = anvil.ws_url if pushed else None
    async with (
        await connect([anvil.http_url], chain_id=31337, ws_url=ws_url) as chain,
        aclosing(chain.heads()) as heads,
    ):
        await _until(heads, 0)
        os.kill(anvil.pid, signal.SIGSTOP)
        try:
            waiting = asyncio.create_task(_until(heads, 1))
            await asyncio.sleep(3)
            assert not waiting.done()
        finally:
            os.kill(anvil.pid, signal.SIGCONT)
        await anvil.mine()
        assert (await waiting).number == 1


async def test_bad_heads_are_passed_over(anvil: Anvil) -> None:
    async with RpcProxy(anvil.http_url) as proxy, await connect([proxy.http_url], chain_id=31337) as chain:
        async with aclosing(chain.heads()) as heads:
            await _until(heads, 0)
            for fault in (Fault(kind="body", body=b"?"), Fault(kind="error", value={"code": -1, "message": "no"})):
                proxy.break_with(fault, method=HEAD, times=6)
                number = (await chain._rpc.request("eth_blockNumber", (), lambda value: int(value, 16))) + 1
                await anvil.mine()
                assert (await _until(heads, number)).number == number


async def test_endpoint_that_is_behind_does_not_take_the_head_back(anvil: Anvil) -> None:
    """The second endpoint stays behind for a while: its older block is no new head."""
    await anvil.mine(5)
    async with RpcProxy(anvil.http_url) as proxy, Anvil(AnvilOptions(fork_url=anvil.http_url)) as behind:
        await anvil.mine(2)
        async with await connect([proxy.http_url, behind.http_url], chain_id=31337) as chain:
            async with aclosing(chain.heads()) as heads:
                assert (await _until(heads, 7)).number == 7
                proxy.break_with(Fault(kind="status", status=500), method=HEAD, times=1)
                waiting = asyncio.create_task(anext(heads))
                await asyncio.sleep(0.4)
                assert not waiting.done()
                await behind.mine(3)
                assert (await waiting).number == 8


async def test_subscription_to_another_chain_is_a_configuration_error(anvil: Anvil) -> None:
    async with Anvil(AnvilOptions(chain_id=777)) as other:
        connection = connect([anvil.http_url], chain_id=31337, ws_url=other.ws_url)
        async with await connection as chain, aclosing(chain.heads()) as heads:
            with pytest.raises(ConfigError, match="chain 777"):
                await _until(heads, 10**9)


async def test_closing_the_chain_ends_those_who_follow(anvil: Anvil) -> None:
    chain = await connect([anvil.http_url], chain_id=31337, ws_url=anvil.ws_url)
    before = {task.get_name() for task in asyncio.all_tasks()}
    async with aclosing(chain.heads()) as heads:
        await _until(heads, 0)
        reader = asyncio.create_task(_all(heads))
        await asyncio.sleep(0.1)
        started_s = time.monotonic()
        await chain.close()
        assert time.monotonic() - started_s < 2
        assert await reader == []
    left = {task.get_name() for task in asyncio.all_tasks()} - before
    assert not {name for name in left if name.startswith(("follow", "head"))}


def test_pace_follows_the_block_interval() -> None:
    pace = BlockPace(None)
    for number, seen_s in enumerate((0.0, 3.0, 9.0, 11.0, 16.0, 21.0, 23.0, 28.0, 34.0, 36.0)):
        pace.note(number, seen_s)
    assert 0.3 < pace.pause_s(36.0) < 0.7
    assert pace.silence_s() < 30.0
    for number in range(10, 60):
        pace.note(number, 36.0 + 0.01 * (number - 9))
    assert pace.pause_s(36.51) == pytest.approx(0.05)
    assert pace.pause_s(100.0) == pytest.approx(1.0)
    assert pace.silence_s() == pytest.approx(1.0)


def test_pace_looks_most_when_the_next_block_of_a_steady_chain_is_due() -> None:
    pace = BlockPace(None)
    for number in range(30):
        pace.note(number, 12.0 * number + 0.02 * (number % 3))
    assert pace.silence_s() == pytest.approx(30.0, abs=0.1)
    seen_s = now_s = 12.0 * 29 + 0.04
    looks = []
    while now_s < seen_s + 13.0:
        now_s += pace.pause_s(now_s)
        looks.append(now_s - seen_s)
    assert len([look for look in looks if look < 11.6]) <= 3
    assert max(look - before for before, look in pairwise([0.0, *looks])) <= 4.0
    due = [look for look in looks if 11.7 < look < 12.4]
    assert max(look - before for before, look in pairwise(due)) <= 0.31
    assert pace.pause_s(seen_s + 20.0) == pytest.approx(1.0)  # overdue: nobody knows when it comes


@pytest.mark.parametrize(("requests_per_second", "shortest_s"), [(20, 0.5), (1_000, 0.05), (1, 5.0)])
def test_pace_leaves_most_of_a_bounded_endpoint_to_others(requests_per_second: float, shortest_s: float) -> None:
    assert BlockPace(requests_per_second).pause_s(0.0) >= shortest_s
