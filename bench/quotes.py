"""B9: what a Uniswap V3 pool pays: our integers on mirrored ticks against a QuoterV2 call on the same node.

Real pools of four fee tiers with narrow, wide and distant positions; amounts of all sizes in both directions, most of
which move the price and some of which cross ticks. Every quote is compared first. Beside it, how long the best
division of a sale takes on the pools of the local Aave market, with and without pools that have just moved.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time

from eth_abi.abi import decode, encode
from eth_utils import keccak

from bench.measure import ROUNDS, Result
from keeper.chain import decode as parse
from keeper.chain.client import RpcChain
from keeper.chain.connect import connect
from keeper.devnet.world import World, WorldOptions, open_world
from keeper.domain.swaps import Route
from keeper.domain.units import Address
from keeper.venues.book import VenueBook
from keeper.venues.curve import AMOUNT_BITS
from keeper.venues.pools import Pool, VenueConfig
from keeper.venues.uniswap_v3 import V3Pool
from tests.support.pool_zoo import Zoo, fill_zoo

_QUOTES = 300
_LEAST_RATIO = 30.0
_SALES = 300
_SOLD_RAW = 5_000 * 10**18
_SINGLE = "(address,address,uint256,uint24,uint160)"
_SELECTOR = keccak(text=f"quoteExactInputSingle({_SINGLE})")[:4]
Case = tuple[Pool, Address, int, dict[str, str]]
"""A pool, what goes in and how much, and the same question as a transaction."""


def run() -> list[Result]:
    """Measure both over each transport, results compared first."""
    return asyncio.run(_run())


async def _run() -> list[Result]:
    dice = random.Random(9)
    async with open_world(WorldOptions(kind="aave-v3", borrowers=1, seed=9)) as world:
        zoo = await fill_zoo(world, dice)
        urls = {"http": world.anvil.http_url, "ws": world.anvil.ws_url}
        results = [await _compare(way, url, world, zoo, dice) for way, url in urls.items()]
        return results + await _sales(world)


async def _compare(way: str, url: str, world: World, zoo: Zoo, dice: random.Random) -> Result:
    async with await connect([url], chain_id=world.layout.chain_id) as chain:
        cases = await _cases(chain, world, zoo, dice)
        crossed = await _check(chain, cases)
        mine, others = [], []
        for _ in range(ROUNDS):
            mine.append(_ours_s(cases))
            others.append(await _theirs_s(chain, cases))
    ours_s, theirs_s = statistics.median(mine), statistics.median(others)
    note = f"{len(cases)} quotes, {crossed} of which cross ticks, all equal; calls one after another, {ROUNDS} rounds"
    return Result(
        name=f"B9 {way}: a V3 quote against QuoterV2",
        ours_s=ours_s,
        theirs_s=theirs_s,
        target=f">= {_LEAST_RATIO:.0f}x",
        met=theirs_s >= _LEAST_RATIO * ours_s,
        note=note,
    )


async def _cases(chain: RpcChain, world: World, zoo: Zoo, dice: random.Random) -> list[Case]:
    quoter = next(venue.quoter for venue in world.venues if venue.quoter)
    book = VenueBook(chain, zoo.venues, hub_tokens=())
    head = await chain.head()
    await book.start([coin.token for coin in zoo.coins], head)
    pools = [pool for pool in (await book.advance(head, [])).pools.values() if isinstance(pool, V3Pool)]
    cases: list[Case] = []
    while len(cases) < _QUOTES:
        pool = dice.choice(pools)
        token_in, token_out = dice.choice([(pool.token0, pool.token1), (pool.token1, pool.token0)])
        curve = pool.curve(token_in)
        most = max(curve.in_at(curve.start_level * 7 // 10) >> AMOUNT_BITS, 10)
        amount_raw = int(10 ** dice.uniform(0, len(str(most))))
        if pool.quote(token_in, amount_raw) is not None:
            data = _SELECTOR + encode([_SINGLE], [(token_in, token_out, amount_raw, pool.fee_pips, 0)])
            cases.append((pool, token_in, amount_raw, {"to": quoter, "data": "0x" + data.hex()}))
    return cases


async def _check(chain: RpcChain, cases: list[Case]) -> int:
    """Compare every quote; return how many cross ticks."""
    crossed = 0
    for pool, token_in, amount_raw, question in cases:
        answer = await chain.rpc.request("eth_call", (question, "latest"), parse.data)
        out, _, ticks, _ = decode(["uint256", "uint160", "uint32", "uint256"], answer)
        if out != pool.quote(token_in, amount_raw):
            raise SystemExit(f"the two sides differ on {amount_raw} of {token_in} into {pool.address}")
        crossed += ticks > 0
    return crossed


def _ours_s(cases: list[Case]) -> float:
    began_s = time.perf_counter()
    for pool, token_in, amount_raw, _ in cases:
        pool.quote(token_in, amount_raw)
    return (time.perf_counter() - began_s) / len(cases)


async def _theirs_s(chain: RpcChain, cases: list[Case]) -> float:
    began_s = time.perf_counter()
    for _, _, _, question in cases:
        await chain.rpc.request("eth_call", (question, "latest"), parse.data)
    return (time.perf_counter() - began_s) / len(cases)


async def _sales(world: World) -> list[Result]:
    """Sell LINK for WBTC, which no pool pairs: how long for an amount near others before, and for the next sale."""
    async with await connect([world.anvil.http_url], chain_id=world.layout.chain_id) as chain:
        book = VenueBook(
            chain, [VenueConfig(protocol=v.protocol, factory=v.factory, fee_tiers=v.fee_tiers) for v in world.venues]
        )
        head = await chain.head()
        await book.start(sorted(world.tokens.values()), head)
        view = await book.advance(head, [])
    side = world.tokens["LINK"], world.tokens["WBTC"]
    legs, warm_s, moved_s = 0, [], []
    for step in range(_SALES):
        amount_raw = _SOLD_RAW + step * 10**16
        began_s = time.perf_counter()
        view.sell(*side, amount_raw, _leg_cost_raw)
        between_s = time.perf_counter()
        sale = view.sell(*side, amount_raw + 10**15, _leg_cost_raw) or ()
        warm_s.append(time.perf_counter() - between_s)
        moved_s.append(between_s - began_s)
        legs = max(legs, len(sale))
        if step % 10 == 9:  # a small sale of somebody else
            part = view.sell(*side, _SOLD_RAW // 50, _leg_cost_raw) or ()
            view = view.after([quote for leg in part for quote in leg.quotes])
    routes = len(view.routes(*side))
    note = f"{routes} routes, up to {legs} legs, median of {_SALES}"
    first_s = statistics.median(moved_s[10::10])
    return [
        _reported("a sale divided, an amount near others before", statistics.median(warm_s), note),
        _reported("a sale divided, the first after pools moved", first_s, note),
    ]


def _leg_cost_raw(route: Route) -> int:
    return 500 + 300 * len(route)  # WBTC has eight decimals: some tens of cents a hop


def _reported(name: str, ours_s: float, note: str) -> Result:
    return Result(name=name, ours_s=ours_s, theirs_s=None, target="reported", met=True, note=note)
