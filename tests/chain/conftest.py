"""A market under observation: the deployed pool, our reader on it, and the means to move it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from keeper.chain.backfill import backfill
from keeper.chain.client import RpcChain
from keeper.chain.connect import connect
from keeper.devnet.world import World
from keeper.lending.aave_v3.reader import AaveV3Market
from keeper.lending.aave_v3.view import AaveV3View
from tests.support.pool_truth import PoolTruth


@dataclass
class Watched:
    """One world with our reader on it."""

    world: World
    chain: RpcChain
    market: AaveV3Market
    truth: PoolTruth
    last_block: int

    async def view(self) -> AaveV3View:
        """The market at the newest block, brought there by the logs since the last look."""
        at = await self.chain.head()
        logs = []
        if at.number > self.last_block:
            logs = await self.chain.logs(
                addresses=self.market.log_addresses, topics=[], first=self.last_block + 1, last=at.number
            )
        view = await self.market.advance(at, logs)
        self.last_block = at.number
        return view


@asynccontextmanager
async def watch(world: World) -> AsyncIterator[Watched]:
    """Start our reader on `world`."""
    chain = await connect([world.anvil.http_url], chain_id=world.layout.chain_id)
    try:
        market = AaveV3Market(
            chain,
            name="m",
            addresses_provider=world.market.addresses_provider,
            start_block=world.market.start_block,
            backfill=backfill,
        )
        at = await chain.head()
        await market.start(at)
        await market.advance(at, None)
        yield Watched(
            world=world,
            chain=chain,
            market=market,
            truth=PoolTruth(chain, world.market),
            last_block=at.number,
        )
    finally:
        await chain.close()


@pytest.fixture
async def aave(aave_world: World) -> AsyncIterator[Watched]:
    """The real Aave V3 3.0.2 with 100 borrowers, watched."""
    async with watch(aave_world) as watched:
        yield watched


@pytest.fixture
async def bundled(bundled_world: World) -> AsyncIterator[Watched]:
    """The bundled market with 30 borrowers, watched."""
    async with watch(bundled_world) as watched:
        yield watched
