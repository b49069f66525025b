"""The book against the chain and against a book built from nothing, through random traffic and reorganisations."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import TestSize

from keeper.chain.backfill import backfill
from keeper.chain.client import RpcChain
from keeper.chain.connect import connect
from keeper.devnet.layout import EModeSpec, Extras, MarketKind
from keeper.devnet.world import World, WorldOptions, open_world
from keeper.domain.units import Address, to_address
from keeper.lending.aave_v3.audit import compare_rows
from keeper.lending.aave_v3.reader import AaveV3Market
from keeper.lending.aave_v3.view import AaveV3View
from keeper.lending.book.rows import NO_ROW, Row
from keeper.watch.watcher import Watcher
from tests.support.branches import NoFeeds
from tests.support.pool_truth import account_data
from tests.support.traffic import Traffic

_UNDO_BLOCKS = 8  # so that deeper reorganisations than the history are met
_STABLE = EModeSpec(id=1, label="stable", symbols=("USDC", "DAI"), ltv_bps=9_600, threshold_bps=9_700, bonus_bps=10_100)


@dataclass
class Replayed:
    """One world, its traffic and the watcher that follows it."""

    world: World
    chain: RpcChain
    traffic: Traffic
    rng: random.Random
    book_path: Path
    market: AaveV3Market = field(init=False)
    watcher: Watcher = field(init=False)
    seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.restart()

    def make(self, book_path: Path | None) -> AaveV3Market:
        return AaveV3Market(
            self.chain,
            name="m",
            addresses_provider=self.world.market.addresses_provider,
            start_block=self.world.market.start_block,
            backfill=backfill,
            book_path=book_path,
            undo_blocks=_UNDO_BLOCKS,
        )

    def restart(self) -> None:
        """Forget everything but the saved book."""
        self.market = self.make(self.book_path)
        self.watcher = Watcher(self.chain, [self.market], None, NoFeeds())

    async def advance(self) -> AaveV3View:
        snapshot = await self.watcher.advance(await self.chain.head())
        view = snapshot.markets["m"]
        assert isinstance(view, AaveV3View)
        return view

    async def grow(self, blocks: int) -> None:
        for _ in range(blocks):
            await self.traffic.block()
            self.seen["blocks"] += 1

    async def reorganise(self, shape: str) -> None:
        """Follow some blocks, then others in their place."""
        depth = self.rng.randint(1, 6)
        new = {"forward": depth + self.rng.randint(1, 3), "sideways": depth, "shorter": self.rng.randrange(depth)}
        if shape == "deep":
            depth = _UNDO_BLOCKS + self.rng.randint(1, 4)
            new["deep"] = depth + 1
        mark = await self.traffic.mark()
        for _ in range(depth):
            await self.grow(1)
            if shape == "deep" or self.rng.random() < 0.8:
                await self.advance()
        await self.advance()
        await self.traffic.return_to(mark)
        await self.grow(new[shape])
        self.seen[f"reorg {shape}"] += 1

    async def check(self, view: AaveV3View) -> None:
        """Compare every account with the contracts and with a book built from nothing."""
        at = view.head
        scratch = self.make(None)
        await scratch.start(at)
        rebuilt = await scratch.advance(at, None)
        ours, anew = rows_of(self.market), rows_of(scratch)
        assert ours == anew
        assert dict(view.positions) == dict(rebuilt.positions)
        assert dict(view.reserves) == dict(rebuilt.reserves)
        assert view.emodes.items() >= rebuilt.emodes.items()  # an orphaned block may have named another one
        await self.check_chain(self.market, view)
        assert self.market._auditor.differences == 0
        assert scratch._auditor.differences == 0
        self.seen["accounts compared"] += len(ours)
        self.seen["comparisons"] += 1

    async def check_chain(self, market: AaveV3Market, view: AaveV3View) -> None:
        layout, mirror = market._layout, market._mirror
        assert layout is not None
        numbers = range(len(mirror.book.addresses))
        readings = await mirror.read_accounts(layout, list(view.reserves.values()), numbers, view.head)
        for number, reading in readings.items():
            assert list(compare_rows(mirror.book.row(number), reading)) == []
        told = await account_data(self.chain, view, view.accounts())
        for account, words in told.items():
            health = view.health(account, view.head.timestamp_s)
            assert health is not None
            assert (health.collateral_base, health.debt_base, health.health_factor_wad) == (
                words[0],
                words[1],
                words[5],
            )
        below = sorted(account for account, words in told.items() if words[5] < 10**18)
        assert [health.account for health in view.unhealthy(view.head.timestamp_s)] == below
        self.seen["unhealthy"] += len(below)


def rows_of(market: AaveV3Market) -> Mapping[Address, Row]:
    book = market._mirror.book
    return {
        to_address(book.addresses.address(number)): row
        for number, row in book.rows()
        if row._replace(category=0) != NO_ROW
    }


async def live(each: Replayed, blocks: int, reorgs: int) -> None:
    """Random blocks with so many reorganisations among them, of all shapes."""
    shapes = ["forward", "sideways", "shorter", "deep"] * (reorgs // 4)
    pause = max(1, blocks // max(1, len(shapes)))
    held: list[tuple[AaveV3View, dict[Address, object]]] = []
    await each.advance()
    while each.seen["blocks"] < blocks or shapes:
        await each.grow(each.rng.randint(1, 3))
        view = await each.advance()
        if each.seen["blocks"] % pause < 3 and shapes:
            held.append((view, dict(view.positions)))
            await each.reorganise(shapes.pop(each.rng.randrange(len(shapes))))
            await each.check(await each.advance())
            if each.rng.random() < 0.3:
                each.restart()
                each.seen["restarts"] += 1
                await each.check(await each.advance())
        for old, positions in held[-3:]:
            assert dict(old.positions) == positions  # nothing that came later shows in an older view
    await each.traffic.count_successes()
    await each.check(await each.advance())


@pytest.mark.parametrize("kind", ["aave-v3", "aave-v3.6", "bundled"])
async def test_the_book_is_the_chain(kind: MarketKind, size: TestSize, tmp_path: Path) -> None:
    seed = 20261120
    rng = random.Random(f"{seed} {kind}")
    extras = Extras() if kind == "bundled" else Extras(emodes=(_STABLE,))
    options = WorldOptions(kind=kind, borrowers=4, seed=3, venues=False, extras=extras)
    async with open_world(options) as world:
        chain = await connect([world.anvil.http_url], chain_id=world.layout.chain_id)
        async with chain:
            users = [to_address((0xA11CE000 + number).to_bytes(20, "big")) for number in range(12)]
            traffic = Traffic(world=world, rng=rng, users=users)
            await traffic.begin()
            each = Replayed(world=world, chain=chain, traffic=traffic, rng=rng, book_path=tmp_path / "m.book")
            await live(each, size.pick(quick=200, prove=2_000), size.pick(quick=8, prove=100))
    print(kind, "seed", seed, dict(each.seen), dict(sorted(traffic.done.items())))
    assert all(each.seen[f"reorg {shape}"] >= 2 for shape in ("forward", "sideways", "shorter", "deep"))
    assert each.seen["blocks"] >= size.pick(quick=200, prove=2_000)
    for name in ("supply", "supply for another", "withdraw", "borrow", "repay", "transfer", "mint to treasury"):
        assert traffic.done[name], name
    if size.name != "quick":
        assert traffic.done["liquidation"] + traffic.done["liquidation in aTokens"] >= 20
        assert traffic.done["liquidation in aTokens"]
