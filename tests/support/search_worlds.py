"""Accounts for the searches: real markets and their borrowers, at other prices, with pools of any depth."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from math import isqrt, log10
from typing import Any

from support.search_pools import root_at
from support.search_sale import Case

from keeper.chain.backfill import backfill
from keeper.chain.connect import connect
from keeper.devnet.borrowers import Habits
from keeper.devnet.layout import EModeSpec, Extras, MarketKind
from keeper.devnet.world import World, WorldOptions, open_world
from keeper.domain.units import WAD, Address, to_address
from keeper.lending.aave_v3.reader import AaveV3Market
from keeper.lending.aave_v3.view import AaveV3View
from keeper.venues.book import VenueBook
from keeper.venues.pools import Pool, VenueConfig
from keeper.venues.uniswap_v2 import V2Pool
from keeper.venues.uniswap_v3 import V3Pool

# Threshold times bonus close to one: there a first repay may open the full close factor.
TIGHT = EModeSpec(
    id=1, label="majors", symbols=("WETH", "WBTC", "LINK"), ltv_bps=9_600, threshold_bps=9_700, bonus_bps=10_200
)
STABLE = EModeSpec(id=2, label="stables", symbols=("USDC", "DAI"), ltv_bps=9_500, threshold_bps=9_600, bonus_bps=10_100)
MANY_WAYS = Habits(collaterals=(1, 2, 2, 3), debts=(1, 2, 2), size_usd=(900, 300_000), emode_share=0.35)
BLOCK_S = 12
LENDER = to_address("0x" + "be" * 20)
_LENDER_SHARE = 0.15
_ANY_HEALTH = ((0.95, 1.0), (0.95, 1.0), (0.85, 0.95), (0.6, 0.85))
_HALF_CLOSE = ((0.95, 1.0), (0.95, 1.0), (0.8, 0.95))
_DEPTHS = (("ordinary", (20.0, 60.0)), ("thin", (0.2, 2.0)))  # times the depth the pools were made with
POOL_DEPTH_USD = 600_000
_SPREAD_TICKS = 20_000  # ranges reaching further from the price than this are meant to be everything


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """One real market as read from its chain, and the pools beside it."""

    name: str
    view: AaveV3View
    pools: Mapping[Address, Pool]
    native: Address

    @property
    def at_s(self) -> int:
        """The time of the next block."""
        return self.view.head.timestamp_s + BLOCK_S


def world_options(kind: MarketKind, *, depth_usd: int, borrowers: int, seed: int) -> WorldOptions:
    """A market with efficiency modes and borrowers of several collaterals and debts."""
    return WorldOptions(
        kind=kind,
        borrowers=borrowers,
        seed=seed,
        pool_depth_usd=depth_usd,
        habits=MANY_WAYS,
        extras=Extras(emodes=(TIGHT, STABLE)),
    )


@asynccontextmanager
async def opened(kind: MarketKind, *, depth_usd: int, borrowers: int, seed: int) -> AsyncIterator[World]:
    """Such a market on a chain of its own."""
    async with open_world(world_options(kind, depth_usd=depth_usd, borrowers=borrowers, seed=seed)) as world:
        yield world


async def read_ground(world: World, name: str) -> Ground:
    """Read market and pools at the newest block."""
    tokens = world.tokens
    async with await connect([world.anvil.http_url], chain_id=world.layout.chain_id) as chain:
        head = await chain.head()
        market = AaveV3Market(
            chain,
            name=name,
            addresses_provider=world.market.addresses_provider,
            start_block=world.market.start_block,
            backfill=backfill,
        )
        book = VenueBook(
            chain,
            [VenueConfig(protocol=v.protocol, factory=v.factory, fee_tiers=v.fee_tiers) for v in world.venues],
        )
        await market.start(head)
        await book.start(sorted(tokens.values()), head)
        view = await market.advance(head, None)
        pools = dict((await book.advance(head, None)).pools)
    return Ground(name=name, view=view, pools=pools, native=tokens["WETH"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a drawn account should be like: the bands its health is drawn from, pool depth as a factor, its looks."""

    health: tuple[tuple[float, float], ...]
    depth: tuple[float, float]
    several: bool  # more than one pair


def cases(grounds: Sequence[Ground], seed: str, *, several: bool = False) -> Iterator[Case]:
    """Case after case, market by market, pools of ordinary and of thin depth in turn; the same ones for a seed.

    `several` asks for accounts of more than one pair, mostly in the range where half may be repaid.
    """
    health = _HALF_CLOSE if several else _ANY_HEALTH
    for number in count():
        depth, factors = _DEPTHS[number // len(grounds) % len(_DEPTHS)]
        ground, wish = grounds[number % len(grounds)], Wish(health=health, depth=factors, several=several)
        case = draw(ground, random.Random(f"{seed}/{number}"), wish)
        if case is not None:
            yield replace(case, name=f"{seed}/{number} {ground.name} {depth}")


def draw(ground: Ground, rng: random.Random, wish: Wish) -> Case | None:
    """One account at prices at which its health is as wished; None where no price makes it so."""
    account = rng.choice(list(ground.view.accounts()))
    if wish.several and len(ground.view.pairs(account)) < 2:
        return None
    low, high = rng.choice(wish.health)
    view = fallen(ground.view, account, ground.at_s, int(rng.uniform(low, high) * WAD), rng)
    if view is None:
        return None
    depth = 10 ** rng.uniform(log10(wish.depth[0]), log10(wish.depth[1]))
    moved = {address: reshape(pool, view, depth, rng) for address, pool in ground.pools.items()}
    pools = {address: pool for address, pool in moved.items() if rng.random() > 0.12}
    return Case(
        name=f"{ground.name} {account}",
        view=view,
        at_s=ground.at_s,
        account=account,
        pools=pools,
        native=ground.native,
        wei_per_gas=int(10 ** rng.uniform(8, 10.6)),
        **_purses(view, rng),
    )


def _purses(view: AaveV3View, rng: random.Random) -> dict[str, Any]:
    """Now and then a lender that asks for nothing, or money of one's own; of some tokens more than of others."""
    chance = rng.random()
    some = {token: int(10 ** (view.decimals(token) + rng.uniform(2, 6))) for token in view.tokens}
    if chance < _LENDER_SHARE:
        return {"lender": LENDER, "lendable": some}
    return {"balances": some} if chance < 2 * _LENDER_SHARE else {}


def fallen(view: AaveV3View, account: Address, at_s: int, health_wad: int, rng: random.Random) -> AaveV3View | None:
    """The market at prices at which the account's health is just below `health_wad`; None where none is found."""
    position = view.positions[account]
    held = {view.reserves[id_].token for id_, scaled in position.collaterals if scaled}
    owed = {view.reserves[id_].token for id_, scaled in position.debts if scaled}
    if not held - owed:
        return None
    wild = {token: (view.price_base(token) or 0) * rng.randrange(970, 1031) // 1000 for token in view.tokens}

    def at(permille: int) -> AaveV3View:
        prices = {token: price * permille // 10**6 if token in held - owed else price for token, price in wild.items()}
        return view.with_prices(prices)

    low, high = 10_000, 4 * 10**6
    while high - low > 1:
        middle = (low + high) // 2
        health = at(middle).health(account, at_s)
        low, high = (middle, high) if health is not None and health.health_factor_wad < health_wad else (low, middle)
    found = at(low)
    health = found.health(account, at_s)
    return found if health is not None and health_wad * 97 // 100 < health.health_factor_wad < WAD else None


def reshape(pool: Pool, view: AaveV3View, depth: float, rng: random.Random) -> Pool:
    """The pool at the market's prices, give or take a third of a percent, and `depth` times as deep."""
    fair = [(view.price_base(token) or 0) * 10 ** (36 - view.decimals(token)) for token in (pool.token0, pool.token1)]
    off = rng.randrange(99_700, 100_301) if rng.random() < 0.9 else rng.randrange(98_000, 102_001)
    ratio_x192 = fair[0] * (1 << 192) * off // (fair[1] * 100_000)
    if isinstance(pool, V2Pool):
        product = int(pool.reserve0 * pool.reserve1 * depth * depth)
        reserve0 = isqrt((product << 192) // ratio_x192)
        return replace(pool, reserve0=reserve0, reserve1=product // reserve0)
    assert isinstance(pool, V3Pool)
    return _reshape_ranges(pool, isqrt(ratio_x192), depth)


def _reshape_ranges(pool: V3Pool, root: int, depth: float) -> V3Pool:
    tick = _tick_at(root)
    shift = (tick - pool.tick) // pool.tick_spacing * pool.tick_spacing
    nets: dict[int, int] = {}
    for each, net in zip(pool.ticks, pool.nets, strict=True):
        moved = each if abs(each - pool.tick) > _SPREAD_TICKS else each + shift
        nets[moved] = nets.get(moved, 0) + int(net * depth)
    drift = sum(nets.values())
    if drift:  # roundings of the scaling: what is added below is taken away above
        nets[max(nets)] -= drift
    ticks = tuple(sorted(nets))
    return replace(
        pool,
        sqrt_price_x96=root,
        tick=tick,
        liquidity=sum(nets[each] for each in ticks if each <= tick),
        ticks=ticks,
        nets=tuple(nets[each] for each in ticks),
    )


def _tick_at(root: int) -> int:
    low, high = -887_272, 887_272
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if root_at(middle) <= root else (low, middle - 1)
    return low
