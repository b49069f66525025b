"""Everything between a world on anvil and a planner, put together by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from keeper.chain.backfill import backfill
from keeper.chain.client import RpcChain
from keeper.chain.connect import connect
from keeper.devnet.world import World
from keeper.domain.chain import Head
from keeper.domain.units import Address
from keeper.estimate.fees import decide_fees
from keeper.estimate.gas import GasMemory
from keeper.estimate.planner import Planner
from keeper.estimate.settings import EstimateSettings
from keeper.estimate.simulate import Simulator
from keeper.estimate.situation import Situation
from keeper.lending.aave_v3.errors import decode_revert
from keeper.lending.aave_v3.reader import AaveV3Market
from keeper.purses import read_purses
from keeper.venues.book import VenueBook
from keeper.venues.pools import VenueConfig

BLOCK_S = 12


def venue_configs(world: World) -> list[VenueConfig]:
    return [VenueConfig(protocol=v.protocol, factory=v.factory, fee_tiers=v.fee_tiers) for v in world.venues]


@dataclass(slots=True, kw_only=True)
class Desk:
    """A market and its pools on one chain, read afresh at each `situation`."""

    world: World
    chain: RpcChain
    market: AaveV3Market
    venues: VenueBook
    memory: GasMemory

    def settings(self, **changes: object) -> EstimateSettings:
        """Settings for this world; keyword arguments as in EstimateSettings."""
        defaults: dict[str, object] = {
            "chain_id": self.world.layout.chain_id,
            "wrapped_native": self.world.tokens["WETH"],
        }
        return EstimateSettings(**{**defaults, **changes})  # type: ignore[arg-type]

    async def situation(self, settings: EstimateSettings, balances: Mapping[Address, int] | None = None) -> Situation:
        head: Head = await self.chain.head()
        view = await self.market.advance(head, None)
        pools = await self.venues.advance(head, None)
        tip = await self.chain.suggested_tip_wei()
        return Situation(
            head=head,
            inclusion_s=head.timestamp_s + BLOCK_S,
            markets={view.name: view},
            venues=pools,
            feeds={},
            fees=decide_fees(head, suggested_tip_wei=tip, max_gas_price_wei=settings.max_gas_price_wei),
            balances=balances or {},
            flash_lender=self.world.layout.morpho,
            lendable=(await read_purses(self.chain, (self.world.layout.morpho,), view.tokens, head))[0],
        )

    async def planner(self, settings: EstimateSettings) -> Planner:
        return Planner(await self.situation(settings), settings, self.memory)

    def simulator(self, settings: EstimateSettings, *, deployed: bool) -> Simulator:
        factories: dict[str, list[Address]] = {"uniswap-v2": [], "uniswap-v3": []}
        for venue in self.world.venues:
            factories[venue.protocol].append(venue.factory)
        return Simulator(
            self.chain,
            settings,
            self.memory,
            executor=self.world.layout.executor if deployed else None,
            sender=None,
            lending_pools=[self.world.market.pool],
            v2_factories=factories["uniswap-v2"],
            v3_factories=factories["uniswap-v3"],
            flash_lenders=self.world.layout.flash_lenders,
            decode_revert=decode_revert,
        )


@asynccontextmanager
async def open_desk(world: World) -> AsyncIterator[Desk]:
    """Read `world` from the chain up; its executor is deployed when it is not yet."""
    if world.layout.executor is None:
        await world.deploy_executor()
    chain = await connect([world.anvil.http_url], chain_id=world.layout.chain_id)
    async with chain:
        market = AaveV3Market(
            chain,
            name="main",
            addresses_provider=world.market.addresses_provider,
            start_block=world.market.start_block,
            backfill=backfill,
        )
        venues = VenueBook(chain, venue_configs(world))
        head = await chain.head()
        await market.start(head)
        await venues.start(sorted(world.tokens.values()), head)
        yield Desk(world=world, chain=chain, market=market, venues=venues, memory=GasMemory())
