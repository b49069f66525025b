"""B3, B4: a price changes; how long until every liquidatable account is known. The real Aave V3, 10,000 borrowers.

Ours is the mirrored book, revalued and confirmed by exact integers. The others ask the node: web3.py's documented loop,
one `getUserAccountData` after another, and calls of a hundred accounts each. The loop is run on a sample and scaled.
All must name the same accounts. B4 is the same with every answer 20 ms late.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from web3 import AsyncHTTPProvider, AsyncWeb3

from bench.measure import Result
from keeper.artifacts import load_artifact
from keeper.chain import batcher
from keeper.chain.backfill import backfill
from keeper.chain.connect import connect
from keeper.devnet.world import World, WorldOptions, open_world
from keeper.domain.units import WAD, Address
from keeper.lending.registry import market_maker
from keeper.ports import MarketView
from tests.support.proxy import Fault, RpcProxy

_BORROWERS = 10_000
_SAMPLE = 100
_AT_ONCE = 100
_ROUNDS = 7
_FALLING = "WETH"
_LEAST_SHARE = 100  # one feed falls, by whole percents, until one account in so many is liquidatable
_DELAY_S = 0.02
_ACCOUNT_DATA_ABI = [
    {
        "type": "function",
        "name": "getUserAccountData",
        "stateMutability": "view",
        "inputs": [{"name": "user", "type": "address"}],
        "outputs": [{"name": name, "type": "uint256"} for name in "abcdef"],
    }
]
_GET_ACCOUNT_DATA = bytes.fromhex("bf92857c")
Flagged = frozenset[Address]


def run() -> list[Result]:
    """Measure both, outputs compared first."""
    return asyncio.run(_run())


async def _run() -> list[Result]:
    options = WorldOptions(kind="aave-v3", borrowers=_BORROWERS, seed=3, liquidity_usd=2_000_000_000)
    async with open_world(options) as world, RpcProxy(world.anvil.http_url) as slow:
        view = await _mirror(world)
        await world.shock({_FALLING: -_percent(world, view)}, pools_follow=False)
        at_s = await world.anvil.timestamp()
        prices = {world.tokens[_FALLING]: int((await world.prices())[_FALLING] * 10**8)}
        slow.break_with(Fault(kind="delay", seconds=_DELAY_S))
        results = await _compare("B3", view, prices, at_s, world, world.anvil.http_url, (10_000, 1_000))
        return results + await _compare("B4 20 ms away", view, prices, at_s, world, slow.http_url, (100_000, 1_000))


def _percent(world: World, view: MarketView) -> int:
    """Return the least fall, in whole percents, that makes enough accounts liquidatable."""
    token = world.tokens[_FALLING]
    price = view.price_base(token) or 0
    accounts = len(view.accounts())
    for percent in range(1, 100):
        fallen = view.with_prices({token: price * (100 - percent) // 100})
        if _LEAST_SHARE * len(fallen.unhealthy(view.head.timestamp_s)) >= accounts:
            return percent
    raise ValueError("no fall makes enough accounts liquidatable")


async def _mirror(world: World) -> MarketView:
    async with await connect([world.anvil.http_url], chain_id=31337) as chain:
        market = market_maker("aave-v3")(
            chain,
            name="bench",
            addresses_provider=world.market.addresses_provider,
            start_block=world.market.start_block,
            backfill=backfill,
            audit_accounts=0,
        )
        head = await chain.head()
        await market.start(head)
        return await market.advance(head, None)


async def _compare(
    name: str,
    view: MarketView,
    prices: Mapping[Address, int],
    at_s: int,
    world: World,
    url: str,
    targets: tuple[int, int],
) -> list[Result]:
    w3 = AsyncWeb3(AsyncHTTPProvider(url))
    accounts = list(view.accounts())

    def ours() -> Flagged:
        return frozenset(health.account for health in view.with_prices(prices).unhealthy(at_s))

    async def together() -> Flagged:
        return await _by_hundreds(w3, world.market.pool, accounts)

    async def serial() -> Flagged:
        return await _one_by_one(w3, world.market.pool, accounts[:: max(1, len(accounts) // _SAMPLE)][:_SAMPLE])

    found = ours()
    sample = frozenset(accounts[:: max(1, len(accounts) // _SAMPLE)][:_SAMPLE])
    if not found:
        raise ValueError("nobody is liquidatable: nothing would be compared")
    if found != await together() or found & sample != await serial():
        raise ValueError("the sides name different accounts")
    mine, hundreds, single = await _rounds(ours, together, serial)
    await w3.provider.disconnect()
    per_account = single * len(accounts) / len(sample)
    note = f"{len(found):,} of {len(accounts):,} liquidatable; median of {_ROUNDS} rounds"
    return [
        _result(
            f"{name}: against one call after another",
            mine,
            per_account,
            targets[0],
            f"{note}; scaled from {len(sample)}",
        ),
        _result(f"{name}: against calls of {_AT_ONCE}", mine, hundreds, targets[1], note),
    ]


async def _rounds(
    ours: Callable[[], Flagged], together: Callable[[], Awaitable[Flagged]], serial: Callable[[], Awaitable[Flagged]]
) -> tuple[float, float, float]:
    mine, hundreds, single = [], [], []
    for number in range(_ROUNDS):
        began = time.perf_counter()
        ours()
        mine.append(time.perf_counter() - began)
        if number % 3 == 0:  # these take seconds
            began = time.perf_counter()
            await together()
            hundreds.append(time.perf_counter() - began)
            began = time.perf_counter()
            await serial()
            single.append(time.perf_counter() - began)
    return statistics.median(mine), statistics.median(hundreds), statistics.median(single)


async def _one_by_one(w3: AsyncWeb3[Any], pool: Address, accounts: Sequence[Address]) -> Flagged:
    contract = w3.eth.contract(address=pool, abi=_ACCOUNT_DATA_ABI)
    found = set()
    for account in accounts:
        data = await contract.functions.getUserAccountData(account).call()
        if data[1] and data[5] < WAD:
            found.add(account)
    return frozenset(found)


async def _by_hundreds(w3: AsyncWeb3[Any], pool: Address, accounts: Sequence[Address]) -> Flagged:
    """Ask for a hundred accounts in each call, with web3's contract object and codec, one call after another."""
    contract = w3.eth.contract(address=batcher.BATCHER, abi=load_artifact("Batcher").abi)
    override: Any = batcher.overrides()
    found = set()
    for start in range(0, len(accounts), _AT_ONCE):
        part = accounts[start : start + _AT_ONCE]
        calls = [(pool, _GET_ACCOUNT_DATA + bytes(12) + bytes.fromhex(each[2:])) for each in part]
        answers = await contract.functions.read(calls).call(state_override=override)
        for account, (_, data) in zip(part, answers, strict=True):
            words = w3.codec.decode(["uint256"] * 6, data)
            if words[1] and words[5] < WAD:
                found.add(account)
    return frozenset(found)


def _result(name: str, ours_s: float, theirs_s: float, least: int, note: str) -> Result:
    return Result(
        name=name,
        ours_s=ours_s,
        theirs_s=theirs_s,
        target=f">= {least:,}x",
        met=theirs_s >= least * ours_s,
        note=note,
    )
