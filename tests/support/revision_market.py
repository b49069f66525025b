"""Random real markets with everything in them that a liquidation can meet, and the means to shake them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal

from keeper.devnet import moves
from keeper.devnet.abi import Interface
from keeper.devnet.anvil import AnvilOptions
from keeper.devnet.borrowers import Habits, account_number
from keeper.devnet.builder import Builder, Contract
from keeper.devnet.layout import DEFAULT_ASSETS, Asset, AssetSpec, EModeSpec, Extras, MarketKind
from keeper.devnet.tokens import TOKEN, mint
from keeper.devnet.world import POOL as WORLD_POOL
from keeper.devnet.world import World, WorldOptions, open_world
from keeper.domain.units import Address
from keeper.lending.aave_v3.view import AaveV3View

SENTINEL_GRACE_S = 3_600
GRACE_S = 7_200
_FIRST_PLANTED = 500_000
_ACTIVE_BIT = 56

_USDT = AssetSpec(
    symbol="USDT", decimals=6, price_usd=Decimal("0.9991"), ltv_bps=7_700, threshold_bps=7_900, bonus_bps=10_450,
    protocol_fee_bps=2_000, volatile=False,
)  # fmt: skip
_CBTC = AssetSpec(
    symbol="CBTC", decimals=8, price_usd=Decimal(59_950), ltv_bps=7_200, threshold_bps=7_350, bonus_bps=10_700,
    protocol_fee_bps=0,
)  # fmt: skip
_MITE = AssetSpec(
    symbol="MITE", decimals=18, price_usd=Decimal("0.00001234"), ltv_bps=5_200, threshold_bps=5_300, bonus_bps=11_000,
    protocol_fee_bps=1_500,
)  # fmt: skip
# Collateral in its efficiency mode alone; only 3.6 has such reserves.
_STAR = AssetSpec(
    symbol="STAR", decimals=18, price_usd=Decimal("2700.5"), ltv_bps=0, threshold_bps=0, bonus_bps=0,
)  # fmt: skip
_SHARED = (*DEFAULT_ASSETS, _USDT, _CBTC, _MITE)


def _emode(id_: int, symbols: str, terms: tuple[int, int, int], price_of: str | None = None) -> EModeSpec:
    ltv, threshold, bonus = terms
    return EModeSpec(
        id=id_,
        label=f"mode {id_}",
        symbols=tuple(symbols.split()),
        ltv_bps=ltv,
        threshold_bps=threshold,
        bonus_bps=bonus,
        price_of=price_of,
    )


# 3.0.2 knows one category per reserve, and categories with a price of their own; 3.6 lets them overlap.
_WORLDS: Mapping[MarketKind, tuple[tuple[AssetSpec, ...], tuple[EModeSpec, ...]]] = {
    "aave-v3": (
        _SHARED,
        (
            _emode(1, "USDC DAI", (9_300, 9_500, 10_100)),
            _emode(2, "WBTC CBTC", (9_200, 9_400, 10_200)),
            _emode(3, "USDT", (9_000, 9_250, 10_150), price_of="USDC"),
        ),
    ),
    "aave-v3.6": (
        (*_SHARED, _STAR),
        (
            _emode(1, "USDC DAI USDT", (9_300, 9_500, 10_100)),
            _emode(2, "WBTC CBTC", (9_200, 9_400, 10_200)),
            _emode(3, "STAR USDC", (9_100, 9_300, 10_150)),
            _emode(4, "USDC USDT LINK", (8_650, 8_800, 10_300)),
        ),
    ),
}
_HABITS = Habits(collaterals=(1, 1, 2, 2, 3), debts=(1, 1, 2, 2, 3), size_usd=(400, 60_000), emode_share=0.3)

_POOL = Interface.of(
    "supply(address,uint256,address,uint16)",
    "setUserUseReserveAsCollateral(address,bool)",
    "setConfiguration(address,(uint256))",
    "getConfiguration(address) (uint256)",
)
_CONFIGURATOR = Interface.of(
    "setReservePause(address,bool)",
    "setReservePause(address,bool,uint40)",
    "setReserveFreeze(address,bool)",
)
_FEED = Interface.of("transmit(int256)")
Held = set[tuple[Address, Address]]


@dataclass(slots=True, kw_only=True)
class Planted:
    """Accounts and tokens with a history: given aTokens, supplied by others, supplied but switched off."""

    gifts: Held = field(default_factory=set)
    top_ups: Held = field(default_factory=set)
    switched_off: Held = field(default_factory=set)


@asynccontextmanager
async def open_market(kind: MarketKind, borrowers: int, seed: int) -> AsyncIterator[World]:
    """Open a world with random borrowers, efficiency modes and a sentinel; blocks are mined on demand only."""
    specs, emodes = _WORLDS[kind]
    options = WorldOptions(
        kind=kind,
        specs=specs,
        seed=seed,
        borrowers=borrowers,
        venues=False,
        extras=Extras(emodes=emodes, sentinel_grace_s=SENTINEL_GRACE_S),
        habits=_HABITS,
    )
    async with open_world(options, AnvilOptions(no_mining=True)) as world:
        yield world


class Planter:
    """Gives a share of the borrowers a history, and opens the tiniest positions."""

    def __init__(self, world: World, view: AaveV3View, rng: random.Random) -> None:
        self._world = world
        self._view = view
        self._rng = rng
        self._pool = Contract(address=world.market.pool, interface=_POOL)
        self.planted = Planted()

    async def plant(self, each: int) -> Planted:
        """Choose `each` borrowers for every kind of history."""
        accounts = list(self._world.layout.borrowers)
        async with self._world.transactions() as builder:
            await builder.prepare(accounts)
            for asset in self._world.market.assets:
                mint(builder, self._world.market, asset, asset.to_raw(5_000_000 / asset.spec.price_usd))
            for account in self._rng.sample(accounts, each):
                self._top_up(builder, account)
            for account in self._rng.sample(accounts, each):
                await self._give(builder, account)
            for account in self._rng.sample(accounts, each):
                self._switch_off(builder, account)
            await builder.flush()
            for account, token in sorted(self.planted.switched_off):
                builder.send(self._pool, "setUserUseReserveAsCollateral", token, False, sender=account)
            await builder.flush()
        await self._plant_dust(each // 2)
        return self.planted

    async def drain(self, symbol: str, *, leave_raw: int) -> None:
        """Borrow a reserve's liquidity, down to `leave_raw`."""
        market = self._world.market
        asset, deposit = market.asset(symbol), market.asset("USDC")
        whale = account_number(self._world.options.seed, _FIRST_PLANTED - 1)
        pool = Contract(address=market.pool, interface=WORLD_POOL)
        token = Contract(address=asset.token, interface=TOKEN)
        async with self._world.transactions() as builder:
            await builder.prepare([whale])
            raw = deposit.to_raw(Decimal(400_000_000))
            mint(builder, market, deposit, raw)
            builder.send(pool, "supply", deposit.token, raw, whale, 0)
            await builder.flush()
            held = await builder.read(token, "balanceOf", self._a_token(asset))
            builder.send(pool, "borrow", asset.token, held - leave_raw, 2, 0, whale, sender=whale)
            await builder.flush()

    def _worth(self, asset: Asset, low_usd: int, high_usd: int) -> int:
        return asset.to_raw(self._rng.randint(low_usd, high_usd) / asset.spec.price_usd)

    def _holdable(self) -> Asset:
        return self._rng.choice([asset for asset in self._world.market.assets if asset.spec.threshold_bps])

    def _held(self, account: Address) -> Asset:
        ids = [id_ for id_, _ in self._view.positions[account].collaterals]
        token = self._view.reserves[self._rng.choice(ids)].token
        return next(asset for asset in self._world.market.assets if asset.token == token)

    def _a_token(self, asset: Asset) -> Address:
        return self._view.reserves[self._view.ids[asset.token]].a_token

    def _top_up(self, builder: Builder, account: Address) -> None:
        asset = self._held(account)
        builder.send(self._pool, "supply", asset.token, self._worth(asset, 1, 60), account, 0)
        self.planted.top_ups.add((account, asset.token))

    async def _give(self, builder: Builder, account: Address) -> None:
        """Transfer aTokens: of a reserve the account uses already, or of one that the gift switches on."""
        asset = self._held(account) if self._rng.random() < 0.5 else self._holdable()
        contract = Contract(address=self._a_token(asset), interface=TOKEN)
        builder.send(contract, "transfer", account, self._worth(asset, 1, 60))
        self.planted.gifts.add((account, asset.token))

    def _switch_off(self, builder: Builder, account: Address) -> None:
        used = {id_ for id_, _ in self._view.positions[account].collaterals}
        asset = self._holdable()
        if self._view.ids[asset.token] in used or (account, asset.token) in self.planted.gifts:
            return
        builder.send(self._pool, "supply", asset.token, self._worth(asset, 1, 500), account, 0)
        self.planted.switched_off.add((account, asset.token))

    async def _plant_dust(self, count: int) -> None:
        """Positions of a few units each, with as much debt as they carry."""
        market, pool = self._world.market, Contract(address=self._world.market.pool, interface=WORLD_POOL)
        accounts = [account_number(self._world.options.seed, _FIRST_PLANTED + index) for index in range(count)]
        sizes = [("WETH", 10**10), ("WBTC", 1), ("LINK", 10**12), ("MITE", 10**18), ("USDC", 1), ("WBTC", 50)]
        async with self._world.transactions() as builder:
            await builder.prepare(accounts)
            for account in accounts:
                symbol, least = self._rng.choice(sizes)
                asset = market.asset(symbol)
                raw = least * self._rng.randint(3, 99)
                mint(builder, market, asset, raw)
                builder.send(pool, "supply", asset.token, raw, account, 0)
            await builder.flush()
            for row in await self._world.account_data(accounts):
                asset = market.asset(self._rng.choice(["USDC", "DAI", "LINK", "MITE"]))
                raw = int(row.available_base * 10**asset.spec.decimals / (asset.spec.price_usd * 10**8))
                if raw * 99 // 100:
                    builder.send(pool, "borrow", asset.token, raw * 99 // 100, 2, 0, row.account, sender=row.account)
            await builder.flush()


class Shaker:
    """Makes scenarios: prices, time, and what governance and the sequencer do, in turns of four."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._rng = rng
        self._pool = Contract(address=world.market.pool, interface=_POOL)
        self._configurator = Contract(address=world.market.configurator, interface=_CONFIGURATOR)
        self._graceful = world.market.kind == "aave-v3.6"
        self._paused = self._frozen = self._inactive = world.market.assets[0]

    async def shake(self, number: int) -> None:
        """Move to scenario `number`: new prices, some time later, and the rules as they are by then."""
        turn = number % 4
        jump_s = self._rng.randint(60, 600) if turn == 2 else self._rng.randint(12, 12 * 86_400)
        await self._world.anvil.rpc.call("evm_setNextBlockTimestamp", await self._world.anvil.timestamp() + jump_s)
        async with self._world.transactions() as builder:
            moves.queue_prices(builder, self._world.layout, self._prices(number))
            closed = (self._paused, self._frozen, self._inactive)
            open_ = [asset for asset in self._world.market.assets if asset not in closed]
            for asset in self._rng.sample(open_, 3):  # their stored indices move on
                raw = asset.to_raw(1 / asset.spec.price_usd) + 1
                mint(builder, self._world.market, asset, raw)
                builder.send(self._pool, "supply", asset.token, raw, builder.deployer, 0)
            await builder.flush()
            await self._govern(builder, turn)
            await builder.flush()

    def _prices(self, number: int) -> dict[str, Decimal]:
        """Return every asset's price: volatile ones fall together more or less, or rise; stable ones waver."""
        low, high = ((-16, -6), (-40, -18), (-78, -45), (-14, -4), (15, 60))[number % 5]
        common = self._rng.uniform(low, high)
        prices = {}
        for asset in self._world.market.assets:
            noise = self._rng.uniform(-5, 5) if asset.spec.volatile else self._rng.uniform(-2.5, 2.5)
            percent = (common if asset.spec.volatile else 0) + noise
            prices[asset.symbol] = asset.spec.price_usd * Decimal(f"{100 + percent:.6f}") / 100
        return prices

    async def _govern(self, builder: Builder, turn: int) -> None:
        assets = self._world.market.assets
        if turn == 1:
            self._paused, self._frozen = self._rng.sample(assets[:6], 2)
            builder.send(self._configurator, "setReservePause", self._paused.token, True)
            builder.send(self._configurator, "setReserveFreeze", self._frozen.token, True)
        elif turn == 2:
            resume = (self._paused.token, False, GRACE_S) if self._graceful else (self._paused.token, False)
            builder.send(self._configurator, "setReservePause", *resume)
            self._inactive = self._rng.choice([asset for asset in assets[:6] if asset != self._paused])
            await self._set_active(builder, self._inactive, on=False)
        elif turn == 3:
            await self._set_active(builder, self._inactive, on=True)
            builder.send(self._configurator, "setReserveFreeze", self._frozen.token, False)
            self._sequencer(builder, down=True)
        else:
            self._sequencer(builder, down=False)

    async def _set_active(self, builder: Builder, asset: Asset, *, on: bool) -> None:
        """Flip the bit in the configurator's name: itself it would insist that nothing be supplied."""
        bits = await builder.read(self._pool, "getConfiguration", asset.token)
        wanted = bits | 1 << _ACTIVE_BIT if on else bits & ~(1 << _ACTIVE_BIT)
        await builder.prepare([self._configurator.address])
        builder.send(self._pool, "setConfiguration", asset.token, (wanted,), sender=self._configurator.address)
        await builder.flush()

    def _sequencer(self, builder: Builder, *, down: bool) -> None:
        feed = self._world.market.sequencer
        assert feed is not None
        builder.send(Contract(address=feed, interface=_FEED), "transmit", int(down))
