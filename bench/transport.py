"""B6: the keeper's JSON-RPC client against web3.py's, on one node: time per `eth_call`, requests per call, waiting."""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from web3 import AsyncHTTPProvider, AsyncWeb3, WebSocketProvider

from bench.measure import ROUNDS, Result
from keeper.chain import decode
from keeper.chain.client import RpcChain
from keeper.chain.connect import connect
from keeper.chain.provider import make_web3
from keeper.devnet.world import World, WorldOptions, open_world
from tests.support.proxy import Fault, RpcProxy

_CALLS = 150
_GET_ACCOUNT_DATA = "0xbf92857c"
Call = Callable[[], Awaitable[bytes]]


def run() -> list[Result]:
    """Measure both over HTTP and over WebSocket; results are compared first."""
    return asyncio.run(_run())


async def _run() -> list[Result]:
    results: list[Result] = []
    logging.disable(logging.CRITICAL)  # web3's listener reports its own closing
    async with open_world(WorldOptions(borrowers=20, seed=6)) as world, RpcProxy(world.anvil.http_url) as proxy:
        urls = {"http": (world.anvil.http_url, proxy.http_url), "ws": (world.anvil.ws_url, proxy.ws_url)}
        for way, (direct, counted) in urls.items():
            results += await _compare(way, world, direct)
            results += [each async for each in _count(way, world, counted, proxy)]
    return results


async def _compare(way: str, world: World, url: str) -> list[Result]:
    call = _transaction(world)
    async with await connect([url], chain_id=31337) as chain, _web3(way, url) as w3:
        ours, theirs = _ours(chain, call), _theirs(w3, call)
        under = _theirs(make_web3(chain), call)
        answers = {await side() for side in (ours, theirs, under)}
        if len(answers) != 1:
            raise ValueError(f"the sides answer differently: {answers}")
        mine, others, through = await _alternate([ours, theirs, under])
    note = f"default web3.py 8 over {way}, {_CALLS} calls one after another, median of {ROUNDS} rounds"
    return [
        _result(f"B6 {way}: eth_call", mine, others, target=">= 6x", met=others >= 6 * mine, note=note),
        _result(
            f"B6 {way}: eth_call, web3 on our transport", through, others, target="for comparison", met=True, note=note
        ),
    ]


async def _alternate(sides: list[Call]) -> list[float]:
    """Return each side's median seconds per call, over rounds in turn."""
    taken: list[list[float]] = [[] for _ in sides]
    for _ in range(ROUNDS):
        for side, times in zip(sides, taken, strict=True):
            started_s = time.perf_counter()
            for _ in range(_CALLS):
                await side()
            times.append((time.perf_counter() - started_s) / _CALLS)
    return [statistics.median(times) for times in taken]


async def _count(way: str, world: World, url: str, proxy: RpcProxy) -> AsyncIterator[Result]:
    """Yield the requests per call, and the share of a core used while an answer is late."""
    call = _transaction(world)
    async with await connect([url], chain_id=31337) as chain, _web3(way, url) as w3:
        ours, theirs = _ours(chain, call), _theirs(w3, call)
        counts, shares = [], []
        for side in (ours, theirs):
            await side()
            before = proxy.count()
            for _ in range(10):
                await side()
            counts.append((proxy.count() - before) / 10)
            shares.append(await _cpu_share_while_waiting(side, proxy))
    yield _result(f"B6 {way}: requests per call", *counts, target="1", met=counts[0] == 1, note="counted at a proxy")
    note = "core used while one answer at a time is 1 s late, the proxy's own work left out"
    yield _result(f"B6 {way}: core while waiting", *shares, target="< 5 %", met=shares[0] < 0.05, note=note)


async def _cpu_share_while_waiting(side: Call, proxy: RpcProxy) -> float:
    proxy.break_with(Fault(kind="delay", seconds=1.0), method="eth_call", times=1)
    cpu_s, started_s = time.process_time(), time.perf_counter()
    await side()
    share = (time.process_time() - cpu_s) / (time.perf_counter() - started_s)
    proxy.heal()
    return share


def _result(name: str, ours: float, theirs: float, *, target: str, met: bool, note: str) -> Result:
    return Result(name=name, ours_s=ours, theirs_s=theirs, target=target, met=met, note=note)


def _transaction(world: World) -> dict[str, str]:
    account = world.layout.borrowers[0]
    return {"to": world.market.pool, "data": _GET_ACCOUNT_DATA + account[2:].lower().rjust(64, "0")}


def _ours(chain: RpcChain, call: dict[str, str]) -> Call:
    async def ask() -> bytes:
        return await chain.rpc.request("eth_call", (call, "latest"), decode.data)

    return ask


def _theirs(w3: AsyncWeb3[Any], call: dict[str, Any]) -> Call:
    async def ask() -> bytes:
        return bytes(await w3.eth.call(call))

    return ask


class _web3:  # noqa: N801 - used as a function
    """web3.py as its documentation opens it."""

    def __init__(self, way: str, url: str) -> None:
        provider: Any = AsyncHTTPProvider(url) if way == "http" else WebSocketProvider(url)
        self._w3: AsyncWeb3[Any] = AsyncWeb3(provider)
        self._way = way

    async def __aenter__(self) -> AsyncWeb3[Any]:
        if self._way == "ws":
            await self._w3.provider.connect()
        return self._w3

    async def __aexit__(self, *_: object) -> None:
        await self._w3.provider.disconnect()
