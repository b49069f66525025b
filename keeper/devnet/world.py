"""A local chain with a lending market, feeds, pools and borrowers on it: built, moved, saved, loaded and forked."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from keeper.devnet import moves
from keeper.devnet.aave_v3 import deploy_aave_v3
from keeper.devnet.aave_v3_6 import deploy_aave_v3_6
from keeper.devnet.abi import Interface
from keeper.devnet.accounts import OPERATOR, TREASURY
from keeper.devnet.anvil import Anvil, AnvilOptions, scratch_folder
from keeper.devnet.borrowers import USUAL_HABITS, Habits, PlannedPosition, plan_borrowers
from keeper.devnet.builder import BUILDING_GAS_LIMIT, LIVE_GAS_LIMIT, Builder, Contract
from keeper.devnet.bundled import deploy_bundled, queue_policy
from keeper.devnet.layout import (
    DEFAULT_ASSETS,
    FEED_DECIMALS,
    NO_EXTRAS,
    Asset,
    AssetSpec,
    Extras,
    Layout,
    Market,
    MarketKind,
    Venue,
)
from keeper.devnet.morpho import deploy_morpho
from keeper.devnet.pricing import raw_for_usd
from keeper.devnet.settings import SettingsOptions, config_toml
from keeper.devnet.tokens import approve_all, deploy_own, mint
from keeper.devnet.venues import deploy_venues
from keeper.domain.units import Address, to_address

GENESIS_TIMESTAMP = 1_750_000_000  # fixed, and long past: nothing may compare chain time with the wall clock
_BASE_FEE_WEI = 10 * 10**9  # so that gas costs mean something
_SUPPLIES_AT_ONCE = 200  # one sender's long queue makes anvil's pool slow
_STATE_FILE, _LAYOUT_FILE = "state.json.gz", "layout.json"

POOL = Interface.of(
    "supply(address,uint256,address,uint16)",
    "borrow(address,uint256,uint256,uint16,address)",
    "setUserEMode(uint8)",
    "getUserAccountData(address) (uint256,uint256,uint256,uint256,uint256,uint256)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldOptions:
    """How a world is built. Depths are whole dollars per side of a pool and per reserve."""

    kind: MarketKind = "bundled"
    specs: tuple[AssetSpec, ...] = DEFAULT_ASSETS
    borrowers: int = 0
    seed: int = 1
    pool_depth_usd: int = 20_000_000
    liquidity_usd: int = 10_000_000
    uniswap_v2: bool = True  # in the Aave worlds, beside Uniswap V3
    venues: bool = True
    morpho_usd: int = 0  # what Morpho has of each asset; 0: there is none
    extras: Extras = NO_EXTRAS  # of the real markets; the bundled one has none
    habits: Habits = USUAL_HABITS
    block_interval_s: int | None = 12  # each block is so much later than its parent; None: wall-clock seconds pass


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountData:
    """What the pool says of an account: base-currency integers, and health with 18 decimals."""

    account: Address
    collateral_base: int
    debt_base: int
    available_base: int
    threshold_bps: int
    ltv_bps: int
    health_factor_wad: int


class World:
    """A market on a running anvil. Whoever opened the anvil closes it."""

    def __init__(self, anvil: Anvil, layout: Layout, builder: Builder, options: WorldOptions) -> None:
        self.anvil = anvil
        self.layout = layout
        self.options = options
        self._builder = builder

    # --- what is there -------------------------------------------------------------------------------------------

    @property
    def market(self) -> Market:
        """The lending market."""
        return self.layout.market

    @property
    def tokens(self) -> dict[str, Address]:
        """Token addresses by symbol."""
        return {asset.symbol: asset.token for asset in self.market.assets}

    @property
    def feeds(self) -> dict[str, Address]:
        """Feed proxies by symbol."""
        return {asset.symbol: asset.feed for asset in self.market.assets}

    @property
    def venues(self) -> tuple[Venue, ...]:
        """Where collateral can be sold."""
        return self.layout.venues

    @property
    def builder(self) -> Builder:
        """For transactions beyond what this class offers; call `flush` inside `transactions()`."""
        return self._builder

    async def prices(self) -> dict[str, Decimal]:
        """Return the feeds' prices in USD by symbol."""
        answers = await moves.read_answers(self._builder, self.layout)
        return {symbol: Decimal(answer) / 10**FEED_DECIMALS for symbol, answer in answers.items()}

    async def account_data(self, accounts: Sequence[Address] | None = None) -> list[AccountData]:
        """Return what the pool says of `accounts` (all borrowers when left out) at the newest block."""
        wanted = self.layout.borrowers if accounts is None else accounts
        rows = await self._builder.read_many([(self._pool, "getUserAccountData", (one,)) for one in wanted])
        return [
            AccountData(
                account=account,
                collateral_base=row[0],
                debt_base=row[1],
                available_base=row[2],
                threshold_bps=row[3],
                ltv_bps=row[4],
                health_factor_wad=row[5],
            )
            for account, row in zip(wanted, rows, strict=True)
        ]

    async def unhealthy(self) -> list[AccountData]:
        """Return the borrowers whose health is below one at the newest block."""
        return [row for row in await self.account_data() if row.debt_base and row.health_factor_wad < 10**18]

    # --- what can happen -----------------------------------------------------------------------------------------

    async def borrowers(self, count: int, *, seed: int | None = None) -> list[Address]:
        """Open `count` random positions and return their accounts; more calls add more borrowers."""
        first = len(self.layout.borrowers)
        plans = plan_borrowers(
            self.market.assets,
            await self.prices(),
            count,
            seed=self.options.seed if seed is None else seed,
            first=first,
            habits=self.options.habits,
            emodes=self.market.emodes,
        )
        accounts = [plan.account for plan in plans]
        builder = self._builder
        async with self.transactions():
            await builder.prepare(accounts)
            needed: dict[Asset, int] = {}
            for plan in plans:
                for asset, amount in (*plan.collaterals, *plan.debts):
                    needed[asset] = needed.get(asset, 0) + amount
            for asset, amount in needed.items():
                mint(builder, self.market, asset, 3 * amount)
                builder.send(self._pool, "supply", asset.token, 2 * amount, builder.deployer, 0)
            for plan in plans:
                if plan.emode:  # first: some reserves are collateral in an efficiency mode alone
                    builder.send(self._pool, "setUserEMode", plan.emode, sender=plan.account)
            await builder.flush()
            for position, plan in enumerate(plans):
                for asset, amount in plan.collaterals:
                    builder.send(self._pool, "supply", asset.token, amount, plan.account, 0)
                if position % _SUPPLIES_AT_ONCE == _SUPPLIES_AT_ONCE - 1:
                    await builder.flush()
            await builder.flush()
            for plan in plans:
                self._queue_debts(plan)
            await builder.flush()
        self.layout = replace(self.layout, borrowers=(*self.layout.borrowers, *accounts))
        return accounts

    def _queue_debts(self, plan: PlannedPosition) -> None:
        account = plan.account
        for asset, amount in plan.debts:
            self._builder.send(self._pool, "borrow", asset.token, amount, 2, 0, account, sender=account)

    async def deploy_executor(self, *, treasury: Address = TREASURY, operator: Address = OPERATOR.address) -> Address:
        """Deploy the executor for this market and its venues, owned and operated by `operator`."""
        factories: dict[str, list[Address]] = {"uniswap-v2": [], "uniswap-v3": []}
        for venue in self.venues:
            factories[venue.protocol].append(venue.factory)
        async with self.transactions() as builder:
            lists = ([operator], [self.market.pool], *factories.values(), self.layout.flash_lenders)
            executor = deploy_own(builder, "KeeperExecutor", operator, treasury, *lists)
            await builder.flush()
        self.layout = replace(self.layout, executor=executor.address)
        return executor.address

    def config_toml(self, options: SettingsOptions | None = None) -> str:
        """Return a keeper configuration for this world, on this anvil, with the executor the world deployed."""
        wanted = options or SettingsOptions()
        return config_toml(
            self.layout,
            replace(
                wanted,
                rpc_urls=wanted.rpc_urls or [self.anvil.http_url],
                executor=wanted.executor or self.layout.executor,
            ),
        )

    async def set_price(self, symbol: str, usd: Decimal | int, *, pools_follow: bool = True) -> int:
        """Report a new price; return the block it stands in."""
        return await self._reprice({symbol: Decimal(usd)}, pools_follow=pools_follow)

    async def shock(self, percent: Mapping[str, int | Decimal], *, pools_follow: bool = True) -> int:
        """Change several prices in one block, -10 being a fall by a tenth; return the block.

        The pools follow in the same block, as arbitrage would have it, unless told not to.
        """
        answers = await moves.read_answers(self._builder, self.layout)
        return await self._reprice(moves.changed(answers, percent), pools_follow=pools_follow)

    async def set_policy(self, policy: int) -> None:
        """Switch the bundled market's close-factor policy: 0 binary, 1 fixed share, 2 tiered, 3 dynamic."""
        async with self.transactions():
            queue_policy(self._builder, self.market, policy)
            await self._builder.flush()

    async def refresh_feeds(self) -> int:
        """Report the present prices again, so that no feed is stale; return the block."""
        return await self._reprice(await self.prices(), pools_follow=False)

    @asynccontextmanager
    async def transactions(self) -> AsyncIterator[Builder]:
        """Hold automine back and blocks wide open while transactions are queued and flushed; then as it was.

        The deployer is ready to send inside; other senders have to be prepared.
        """
        await self.anvil.set_automine(on=False)
        await self.anvil.rpc.call("evm_setBlockGasLimit", hex(BUILDING_GAS_LIMIT))
        try:
            await self._builder.prepare()
            yield self._builder
        finally:
            await self.anvil.rpc.call("evm_setBlockGasLimit", hex(LIVE_GAS_LIMIT))
            if self._mines_at_once:
                await self.anvil.set_automine(on=True)

    # --- keeping it ----------------------------------------------------------------------------------------------

    async def save(self, folder: Path) -> None:
        """Write the chain and its layout into `folder`, for `load_world`."""
        dumped = await self.anvil.rpc.call("anvil_dumpState")
        meta = {
            "layout": self.layout,
            "timestamp": await self.anvil.timestamp(),
            "kind": self.options.kind,
            "seed": self.options.seed,
            "block_interval_s": self.options.block_interval_s,
        }
        await asyncio.to_thread(_write_saved, folder, bytes.fromhex(dumped[2:]), meta)

    def fork(self, options: AnvilOptions | None = None) -> AbstractAsyncContextManager["World"]:
        """Open a second anvil that forks this one; the same layout on it."""
        return _fork_world(self, options or AnvilOptions())

    @property
    def _pool(self) -> Contract:
        return Contract(address=self.market.pool, interface=POOL)

    @property
    def _mines_at_once(self) -> bool:
        return not self.anvil.options.no_mining and self.anvil.options.block_time_s is None

    async def _reprice(self, prices_usd: Mapping[str, Decimal], *, pools_follow: bool) -> int:
        async with self.transactions() as builder:
            answers = moves.queue_prices(builder, self.layout, prices_usd)
            if pools_follow:
                known = await moves.read_answers(builder, self.layout)
                await moves.queue_arbitrage(builder, self.layout, {**known, **answers})
            return await builder.flush()


@asynccontextmanager
async def open_world(options: WorldOptions | None = None, anvil: AnvilOptions | None = None) -> AsyncIterator[World]:
    """Start anvil, build a world on it, and end anvil when the context is left."""
    wanted, start = options or WorldOptions(), anvil or AnvilOptions()
    start = replace(
        start,
        timestamp=GENESIS_TIMESTAMP if start.timestamp is None else start.timestamp,
        base_fee_wei=_BASE_FEE_WEI if start.base_fee_wei is None else start.base_fee_wei,
    )
    async with Anvil(start) as node:
        yield await build_world(node, wanted)


async def build_world(anvil: Anvil, options: WorldOptions) -> World:
    """Build a world on a running anvil."""
    await anvil.impersonate_all()
    await anvil.set_automine(on=False)
    await anvil.rpc.call("evm_setBlockGasLimit", hex(BUILDING_GAS_LIMIT))
    await anvil.set_block_interval(options.block_interval_s)
    builder = Builder(anvil, to_address((await anvil.accounts())[0]))
    await builder.prepare()
    market = await _deploy_market(builder, options)
    approve_all(builder, market.assets, market.pool)
    pool = Contract(address=market.pool, interface=POOL)
    for asset in market.assets:
        amount = raw_for_usd(asset, options.liquidity_usd)
        mint(builder, market, asset, amount)
        builder.send(pool, "supply", asset.token, amount, builder.deployer, 0)
    await builder.flush()
    depth_usd = options.pool_depth_usd if options.venues else 0
    venues = await deploy_venues(builder, market, depth_usd, uniswap_v2=options.uniswap_v2)
    morpho = await deploy_morpho(builder, market, options.morpho_usd) if options.morpho_usd else None
    chain_id = await anvil.chain_id()
    layout = Layout(chain_id=chain_id, deployer=builder.deployer, market=market, venues=venues, morpho=morpho)
    world = World(anvil, layout, builder, options)
    if options.borrowers:
        await world.borrowers(options.borrowers)
    await _settle(world)
    return world


async def _deploy_market(builder: Builder, options: WorldOptions) -> Market:
    match options.kind:
        case "bundled":
            return await deploy_bundled(builder, options.specs)
        case "aave-v3":
            return await deploy_aave_v3(builder, options.specs, options.extras)
        case "aave-v3.6":
            return await deploy_aave_v3_6(builder, options.specs, options.extras)


def _write_saved(folder: Path, state: bytes, meta: Mapping[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _STATE_FILE).write_bytes(state)
    (folder / _LAYOUT_FILE).write_bytes(orjson.dumps(meta, default=str, option=orjson.OPT_INDENT_2))


def _read_saved(folder: Path, state: Path) -> dict[str, Any]:
    """Unpack the chain into `state`, as anvil wants it, and return what was saved beside it."""
    state.write_bytes(gzip.decompress((folder / _STATE_FILE).read_bytes()))
    meta: dict[str, Any] = orjson.loads((folder / _LAYOUT_FILE).read_bytes())
    return meta


@asynccontextmanager
async def load_world(folder: Path, anvil: AnvilOptions | None = None) -> AsyncIterator[World]:
    """Start anvil on a saved world; block times go on from the saved ones."""
    with scratch_folder() as scratch:
        state = Path(scratch) / "state.json"
        meta = await asyncio.to_thread(_read_saved, folder, state)
        layout = Layout.from_json(meta["layout"])
        start = replace(
            anvil or AnvilOptions(), load_state=state, timestamp=meta["timestamp"], chain_id=layout.chain_id
        )
        async with Anvil(start) as node:
            options = WorldOptions(
                kind=meta["kind"], seed=meta["seed"], block_interval_s=meta["block_interval_s"], specs=()
            )
            yield await _attach(node, layout, options)


@asynccontextmanager
async def _fork_world(world: World, options: AnvilOptions) -> AsyncIterator[World]:
    start = replace(options, fork_url=world.anvil.http_url, timestamp=await world.anvil.timestamp())
    async with Anvil(start) as node:
        yield await _attach(node, world.layout, world.options)


async def _attach(anvil: Anvil, layout: Layout, options: WorldOptions) -> World:
    await anvil.impersonate_all()
    await anvil.set_block_interval(options.block_interval_s)
    world = World(anvil, layout, Builder(anvil, layout.deployer), options)
    await world.builder.prepare()
    await anvil.set_next_base_fee(_BASE_FEE_WEI)
    return world


async def _settle(world: World) -> None:
    """Leave the chain as a daemon should find it: usual gas limit, a base fee that means something."""
    await world.anvil.rpc.call("evm_setBlockGasLimit", hex(LIVE_GAS_LIMIT))
    await world.anvil.set_next_base_fee(_BASE_FEE_WEI)
    await world.anvil.mine()
    if not world.anvil.options.no_mining and world.anvil.options.block_time_s is None:
        await world.anvil.set_automine(on=True)
