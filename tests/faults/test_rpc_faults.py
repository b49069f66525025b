"""A node in every kind of trouble, watched through a proxy: the book is right or says that it is stale, and recovers.

The watcher here is the real one, with the real market reader, pools and feeds. While the fault lasts a price
and a position change; whatever snapshot the watcher then gives is compared with the contracts, account by account.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from keeper.chain.backfill import backfill
from keeper.chain.client import RpcChain
from keeper.chain.connect import connect
from keeper.chain.health import EndpointState
from keeper.chain.limits import LIMITS
from keeper.devnet.builder import Contract
from keeper.devnet.settings import SettingsOptions
from keeper.devnet.world import POOL, World
from keeper.domain.errors import HistoryMissing, RpcError, Stale, Transient
from keeper.lending.registry import market_maker
from keeper.oracles.chainlink import ChainlinkFeeds
from keeper.venues.book import VenueBook
from keeper.venues.pools import VenueConfig
from keeper.watch.snapshot import Snapshot
from keeper.watch.watcher import Watcher
from tests.conftest import TestSize
from tests.support.cli import Keeper, until
from tests.support.proxy import Fault, RpcProxy

TROUBLE = (Transient, Stale, RpcError, HistoryMissing)
BLOCK, LOGS, CALL = "eth_getBlockByNumber", "eth_getLogs", "eth_call"
HUGE = "0x" + "f" * 4_000


@dataclass(slots=True)
class Watched:
    """A market watched through a proxy."""

    world: World
    proxy: RpcProxy
    chain: RpcChain
    watcher: Watcher

    async def look(self) -> Snapshot | None:
        """Return the newest snapshot, None when the watcher says that it cannot have one."""
        try:
            return await self.watcher.advance(await self.chain.head())
        except TROUBLE:
            return None

    async def check(self, snapshot: Snapshot) -> None:
        """Compare every account with what the pool says at the snapshot's block."""
        head, (view,) = snapshot.head, snapshot.markets.values()
        block = await self.world.anvil.block(head.number)
        assert block["hash"] == head.hash
        pool = Contract(address=self.world.market.pool, interface=POOL)
        assert set(view.accounts()) >= {
            account for account in self.world.layout.borrowers if account in view.accounts()
        }
        for account in self.world.layout.borrowers:
            row = await self.world.builder.read(pool, "getUserAccountData", account, block=head.number)
            health = view.health(account, head.timestamp_s)
            assert health is not None
            assert (health.collateral_base, health.debt_base, health.health_factor_wad) == (row[0], row[1], row[5])

    async def change(self, rng: random.Random) -> None:
        """Move a price, and open positions."""
        await self.world.shock({rng.choice(("WETH", "WBTC", "LINK")): rng.choice((-3, -2, 2, 3))})
        await self.world.borrowers(1, seed=rng.randrange(2**31))


@asynccontextmanager
async def _watched(
    world: World, urls: Callable[[RpcProxy], list[str]] = lambda proxy: [proxy.http_url]
) -> AsyncIterator[Watched]:
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(RpcProxy(world.anvil.http_url))
        chain = await stack.enter_async_context(await connect(urls(proxy), chain_id=31337))
        market = market_maker("aave-v3")(
            chain,
            name="bundled",
            addresses_provider=world.market.addresses_provider,
            start_block=world.market.start_block,
            backfill=backfill,
            audit_accounts=1_000,
        )
        venues = [
            VenueConfig(protocol="uniswap-v2", factory=venue.factory, fee_tiers=venue.fee_tiers or (3000,))
            for venue in world.venues
        ]
        watcher = Watcher(chain, [market], VenueBook(chain, venues, ()), ChainlinkFeeds(chain, {}))
        yield Watched(world, proxy, chain, watcher)


def _number(value: str) -> Callable[[Any], Any]:
    return lambda block: block and block | {"number": value}


FAULTS: dict[str, tuple[Fault, str | None]] = {
    "time-out": (Fault(kind="hang"), None),
    "reset": (Fault(kind="reset"), None),
    "429": (Fault(kind="status", status=429, headers={"Retry-After": "1"}), None),
    "502": (Fault(kind="status", status=502), None),
    "truncated": (Fault(kind="truncate"), None),
    "truncated logs": (Fault(kind="truncate"), LOGS),
    "null": (Fault(kind="result", value=None), None),
    "null call": (Fault(kind="result", value=None), CALL),
    "negative": (Fault(kind="result", value=_number("-0x1")), BLOCK),
    "huge": (Fault(kind="result", value=_number(HUGE)), BLOCK),
    "huge call": (Fault(kind="result", value=HUGE), CALL),
    "other ids": (Fault(kind="id"), None),
    "empty logs": (Fault(kind="result", value=[]), LOGS),
    "half of the logs": (Fault(kind="result", value=lambda logs: logs[: len(logs) // 2]), LOGS),
    "logs without data": (Fault(kind="result", value=lambda logs: [log | {"data": "0x"} for log in logs]), LOGS),
    "wrong chain id": (Fault(kind="result", value="0x5"), "eth_chainId"),
    "lying block": (Fault(kind="result", value=lambda block: block and block | {"timestamp": "0x7fffffff"}), BLOCK),
    "lying hash": (Fault(kind="result", value=lambda block: block and block | {"hash": "0x" + "ab" * 32}), BLOCK),
    "200 MB": (Fault(kind="body", body=b"[" + b" " * (200 * 2**20)), LOGS),
    "slow drip": (Fault(kind="drip", seconds=0.02), None),
    "html": (Fault(kind="body", body=b"<html>maintenance</html>"), None),
    "error": (Fault(kind="error", value={"code": -32000, "message": "internal error"}), None),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_book_is_right_or_says_that_it_is_stale(
    bundled_world: World, name: str, monkeypatch: pytest.MonkeyPatch, size: TestSize
) -> None:
    """One endpoint and nobody else to ask. What comes back while the fault lasts is true or nothing."""
    fault, method = FAULTS[name]
    rng = random.Random(name)
    async with _watched(bundled_world) as watched:
        first = await watched.look()
        assert first is not None
        monkeypatch.setattr(LIMITS, "total_s", 0.5)
        for _ in range(size.pick(quick=1, prove=5)):
            rule = watched.proxy.break_with(fault, method=method)
            await watched.change(rng)
            for _ in range(2):
                try:
                    async with asyncio.timeout(8):
                        snapshot = await watched.look()
                except TimeoutError:
                    snapshot = None
                if snapshot is not None:
                    await watched.check(snapshot)
            assert rule.hits > 0 or name == "wrong chain id"  # its answer is asked for again from time to time only
            watched.proxy.heal()
            await _recovers(watched, within_s=10)


async def _recovers(watched: Watched, *, within_s: float) -> None:
    deadline_s = time.monotonic() + within_s
    while True:
        snapshot = await watched.look()
        newest = await watched.world.anvil.block_number()
        if snapshot is not None and snapshot.head.number == newest:
            await watched.check(snapshot)
            return
        assert time.monotonic() < deadline_s, "it did not recover"
        await asyncio.sleep(0.1)


async def test_huge_reply_costs_no_memory(bundled_world: World) -> None:
    """Two hundred megabytes are refused after the limit, not read to the end."""
    async with _watched(bundled_world) as watched:
        assert await watched.look() is not None
        watched.proxy.break_with(Fault(kind="body", body=b"[" + b" " * (200 * 2**20)), method=LOGS)
        await bundled_world.anvil.mine()
        started_s = time.monotonic()
        assert await watched.look() is None
        assert time.monotonic() - started_s < 20


async def test_wrong_chain_in_the_middle_is_noticed(bundled_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keeper.chain.endpoint._VERIFIED_FOR_S", 0.2)
    async with _watched(bundled_world) as watched:
        assert await watched.look() is not None
        watched.proxy.break_with(Fault(kind="result", value="0x5"), method="eth_chainId")
        await asyncio.sleep(0.3)
        await bundled_world.anvil.mine()
        assert await watched.look() is None
        assert watched.chain.rpc.endpoints[0].health.state is EndpointState.WRONG_CHAIN
        watched.proxy.heal()
        await _recovers(watched, within_s=5)


async def test_lagging_node_is_passed_over(bundled_world: World) -> None:
    """The first of two does not have the newest blocks: logs and state come from the second."""
    async with RpcProxy(bundled_world.anvil.http_url) as second:
        async with _watched(bundled_world, lambda proxy: [proxy.http_url, second.http_url]) as watched:
            assert await watched.look() is not None
            behind = await bundled_world.anvil.block(await bundled_world.anvil.block_number())

            def lag(block: Any) -> Any:
                return None if block is None or int(block["number"], 16) > int(behind["number"], 16) else block

            watched.proxy.break_with(Fault(kind="result", value=lag), method=BLOCK)
            watched.proxy.break_with(
                Fault(kind="error", value={"code": -32001, "message": "block not found"}), method=CALL
            )
            await watched.change(random.Random(1))
            await _recovers(watched, within_s=5)
            assert watched.chain.rpc.endpoints[0].health.state is not EndpointState.ALIVE


async def test_stuck_head_is_not_taken_for_the_newest(bundled_world: World) -> None:
    """The first of two goes on answering with one old block; its followers get the newest from the second."""
    async with RpcProxy(bundled_world.anvil.http_url) as stuck, RpcProxy(bundled_world.anvil.http_url) as second:
        old = await bundled_world.anvil.block("latest")
        stuck.break_with(
            Fault(
                kind="result",
                value=lambda block: old if block and int(block["number"], 16) > int(old["number"], 16) else block,
            ),
            method=BLOCK,
        )
        async with await connect([stuck.http_url, second.http_url], chain_id=31337) as chain:
            heads = chain.heads()
            await anext(heads)
            await bundled_world.anvil.mine(3)
            newest = await bundled_world.anvil.block_number()
            async with asyncio.timeout(15):
                while (await anext(heads)).number < newest:
                    pass
            await heads.aclose()
            assert chain.rpc.endpoints[0].health.state is EndpointState.BEHIND


DEATHS = [Fault(kind="reset"), Fault(kind="hang"), Fault(kind="status", status=502)]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("death", DEATHS, ids=lambda fault: f"{fault.kind}")
async def test_one_of_three_dead_adds_little(bundled_world: World, death: Fault, place: int, size: TestSize) -> None:
    """The 95th of a hundred reads is at most 250 ms later than with all three alive."""
    count = size.pick(quick=60, prove=400)
    async with AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(RpcProxy(bundled_world.anvil.http_url)) for _ in range(3)]
        chain = await stack.enter_async_context(await connect([p.http_url for p in proxies], chain_id=31337))
        alive = await _latencies(chain, count)
        proxies[place].break_with(death)
        dead = await _latencies(chain, count)
    added_ms = 1000 * (_p95(dead) - _p95(alive))
    print(f"{death.kind} at {place}: p95 {1000 * _p95(alive):.1f} ms alive, {1000 * _p95(dead):.1f} ms with one dead")
    assert added_ms <= 250


async def _latencies(chain: RpcChain, count: int) -> list[float]:
    taken = []
    for _ in range(count):
        started_s = time.perf_counter()
        await chain.head()
        taken.append(time.perf_counter() - started_s)
        await asyncio.sleep(0.005)
    return taken


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


async def test_daemon_survives_a_stalled_and_a_dropped_socket(bundled_world: World, tmp_path: Any) -> None:
    """Everything over one WebSocket that first stalls and then breaks: the opportunity is taken all the same."""
    async with RpcProxy(bundled_world.anvil.http_url) as proxy:
        keeper = Keeper.at(tmp_path, bundled_world.config_toml(SettingsOptions(rpc_urls=[proxy.ws_url])))
        async with keeper.daemon("--live") as running:
            await until(lambda: proxy.count("eth_subscribe") > 0, running=running)
            await asyncio.sleep(1.0)
            proxy.stalled = True
            await bundled_world.shock({"WETH": -10})
            await asyncio.sleep(2.0)
            await proxy.drop_sockets()
            proxy.stalled = False
            await bundled_world.shock({"WETH": -10})
            await until(lambda: proxy.count("eth_sendRawTransaction") > 0, timeout_s=30, running=running)


async def test_daemon_goes_on_when_the_node_is_back(bundled_world: World, tmp_path: Any) -> None:
    """Nobody answers for a while; then the daemon takes up where it was, by itself."""
    async with RpcProxy(bundled_world.anvil.http_url) as proxy:
        keeper = Keeper.at(tmp_path, bundled_world.config_toml(SettingsOptions(rpc_urls=[proxy.http_url])))
        async with keeper.daemon("--live") as running:
            await until(lambda: proxy.count(LOGS) > 0, running=running)
            await asyncio.sleep(0.5)
            proxy.break_with(Fault(kind="reset"))
            await bundled_world.shock({"WETH": -20})
            await asyncio.sleep(2.0)
            assert proxy.count("eth_sendRawTransaction") == 0
            proxy.heal()
            await until(lambda: proxy.count("eth_sendRawTransaction") > 0, timeout_s=15, running=running)
