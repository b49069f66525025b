"""Positions on the real Aave that a careless reader gets wrong, planted beside the ordinary borrowers."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from keeper.devnet.abi import Interface
from keeper.devnet.borrowers import account_number
from keeper.devnet.builder import Builder, Contract
from keeper.devnet.layout import DEFAULT_ASSETS, AssetSpec
from keeper.devnet.tokens import TOKEN, mint
from keeper.devnet.world import World
from keeper.domain.units import Address

# A token worth next to nothing, and one with few decimals: both shift every rounding.
HARD_ASSETS = (
    *DEFAULT_ASSETS,
    AssetSpec(
        symbol="MITE",
        decimals=18,
        price_usd=Decimal("0.00001234"),
        ltv_bps=5_200,
        threshold_bps=5_300,
        bonus_bps=11_000,
        protocol_fee_bps=0,
    ),
    AssetSpec(
        symbol="CENT",
        decimals=2,
        price_usd=Decimal("1.08"),
        ltv_bps=7_800,
        threshold_bps=8_000,
        bonus_bps=10_400,
        protocol_fee_bps=2_000,
        volatile=False,
    ),
)
POOL = Interface.of(
    "supply(address,uint256,address,uint16)",
    "borrow(address,uint256,uint256,uint16,address)",
    "setUserUseReserveAsCollateral(address,bool)",
    "setUserEMode(uint8)",
)
CONFIGURATOR = Interface.of(
    "setReservePause(address,bool)",
    "setReserveFreeze(address,bool)",
    "setReserveStableRateBorrowing(address,bool)",
    "setEModeCategory(uint8,uint16,uint16,uint16,address,string)",
    "setAssetEModeCategory(address,uint8)",
)
# (symbol, a few units of it)
_DUST = (
    *(("WETH", 10**10), ("WETH", 10**12), ("WBTC", 1), ("WBTC", 50), ("LINK", 10**12), ("MITE", 10**18)),
    *(("DAI", 10**10), ("CENT", 1)),
)
_STABLE_RATE, _VARIABLE_RATE = 1, 2
_FIRST_NUMBER = 100_000
_STABLE_COINS = 1  # the efficiency mode planted here


class HardWorld:
    """Plants positions in `world`, each the account of its own; health is close to one before any fall."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._seed = seed
        self._accounts: list[Address] = []
        self._rng = random.Random(f"hard {seed}")

    async def plant(self, dust: int) -> None:
        """Plant every kind of hard position, `dust` of the tiniest kind."""
        await self._govern("setReserveStableRateBorrowing", "USDC", True)
        stable = (9_300, 9_500, 10_100, Address("0x" + "0" * 40), "stable coins")
        async with self._world.transactions() as builder:
            builder.send(self._configurator, "setEModeCategory", _STABLE_COINS, *stable)
            for symbol in ("USDC", "DAI"):
                builder.send(self._configurator, "setAssetEModeCategory", self._token(symbol), _STABLE_COINS)
            await builder.flush()
        for _ in range(dust):
            await self._plant_dust()
        for same in ("WETH", "LINK"):
            await self.open({same: "10", "USDC": "900"}, {same: "2", "DAI": None})
        await self.open({"WETH": "5", "WBTC": "0.001", "LINK": "3"}, {"DAI": None, "USDC": "100"})
        await self.open({"WETH": "0.01", "WBTC": "0.2", "MITE": "1000"}, {"CENT": "500", "USDC": None})
        await self.open({"WETH": "2", "LINK": "100"}, {"USDC": None}, unused="LINK")
        await self.open({"WETH": "4"}, {"CENT": None, "WBTC": "0.01"})
        await self.open({"CENT": "7000.11", "WETH": "3"}, {"DAI": None})
        await self.open({"MITE": "900000000"}, {"USDC": "700", "DAI": None})
        await self.open({"LINK": "1000"}, {"MITE": None, "USDC": "1"})
        await self.open({"WETH": "6"}, {"USDC": "2000", "DAI": None}, rate=_STABLE_RATE)
        await self.open({"WETH": "6"}, {"USDC": "9000"}, rate=_STABLE_RATE)
        mixed = await self.open({"WETH": "5"}, {"USDC": "6000"}, rate=_STABLE_RATE)
        await self.borrow_more(mixed, "USDC")
        await self.open({"DAI": "10000"}, {"USDC": None}, emode=_STABLE_COINS)
        await self.open({"DAI": "10000", "WETH": "0.5"}, {"USDC": None}, emode=_STABLE_COINS)
        self._world.layout = replace(self._world.layout, borrowers=(*self._world.layout.borrowers, *self._accounts))

    async def take_liquidity(self, symbol: str, *, leave_raw: int) -> None:
        """Borrow a reserve empty, down to `leave_raw`."""
        async with self._world.transactions() as builder:
            account = await self._next_account(builder)
            deposit = self._raw("USDC", Decimal(200_000_000))
            self._supply(builder, account, "USDC", deposit)
            await builder.flush()
            left = await self._liquidity(builder, symbol)
            self._borrow(builder, account, symbol, left - leave_raw)
            await builder.flush()
            assert await self._liquidity(builder, symbol) == leave_raw

    async def pause(self, symbol: str) -> None:
        """Pause a reserve."""
        await self._govern("setReservePause", symbol, True)

    async def freeze(self, symbol: str) -> None:
        """Freeze a reserve."""
        await self._govern("setReserveFreeze", symbol, True)

    async def open(
        self,
        supplied: Mapping[str, str],
        borrowed: Mapping[str, str | None],
        *,
        unused: str | None = None,
        emode: int = 0,
        rate: int = _VARIABLE_RATE,
    ) -> Address:
        """Supply and borrow whole tokens; None borrows what is left, last. `rate` is that of the first debt."""
        async with self._world.transactions() as builder:
            account = await self._next_account(builder)
            for symbol, whole in supplied.items():
                self._supply(builder, account, symbol, self._raw(symbol, Decimal(whole)))
            await builder.flush()
            if emode:
                builder.send(self._pool, "setUserEMode", emode, sender=account)
            if unused is not None:
                builder.send(self._pool, "setUserUseReserveAsCollateral", self._token(unused), False, sender=account)
            for symbol, amount in borrowed.items():
                if amount is not None:
                    self._borrow(builder, account, symbol, self._raw(symbol, Decimal(amount)), rate)
                    rate = _VARIABLE_RATE
            await builder.flush()
            for symbol, amount in borrowed.items():
                if amount is None:
                    await self._borrow_all(builder, account, symbol)
        return account

    async def borrow_more(self, account: Address, symbol: str) -> None:
        """Borrow all that is left, at the variable rate."""
        async with self._world.transactions() as builder:
            await builder.prepare([account])
            await self._borrow_all(builder, account, symbol)

    async def _plant_dust(self) -> None:
        """A few units of collateral, and as much debt as they carry."""
        collateral, least = self._rng.choice(_DUST)
        debts = self._rng.sample(("USDC", "DAI", "LINK", "WBTC", "CENT"), 5)
        async with self._world.transactions() as builder:
            account = await self._next_account(builder)
            self._supply(builder, account, collateral, least * self._rng.randint(1, 99))
            await builder.flush()
            for symbol in debts:
                if symbol != collateral and await self._borrow_all(builder, account, symbol):
                    return

    async def _borrow_all(self, builder: Builder, account: Address, symbol: str) -> bool:
        """Borrow nearly what the account may; return whether that is anything at all."""
        (row,) = await self._world.account_data([account])
        price = (await self._world.prices())[symbol] * 10**8
        raw = int(Decimal(row.available_base) * 10 ** self._decimals(symbol) / price) * 999 // 1000
        if raw:
            self._borrow(builder, account, symbol, raw)
            await builder.flush()
        return raw > 0

    async def _next_account(self, builder: Builder) -> Address:
        account = account_number(self._seed, _FIRST_NUMBER + len(self._accounts))
        self._accounts.append(account)
        await builder.prepare([account])
        return account

    def _supply(self, builder: Builder, account: Address, symbol: str, raw: int) -> None:
        asset = self._world.market.asset(symbol)
        mint(builder, self._world.market, asset, raw)
        builder.send(self._pool, "supply", asset.token, raw, account, 0)

    def _borrow(self, builder: Builder, account: Address, symbol: str, raw: int, rate: int = _VARIABLE_RATE) -> None:
        builder.send(self._pool, "borrow", self._token(symbol), raw, rate, 0, account, sender=account)

    async def _govern(self, name: str, symbol: str, on: bool) -> None:
        async with self._world.transactions() as builder:
            builder.send(self._configurator, name, self._token(symbol), on)
            await builder.flush()

    async def _liquidity(self, builder: Builder, symbol: str) -> int:
        pool = Contract(address=self._world.market.pool, interface=_RESERVE_DATA)
        data = await builder.read(pool, "getReserveData", self._token(symbol))
        token = Contract(address=self._token(symbol), interface=TOKEN)
        held: int = await builder.read(token, "balanceOf", data[8])
        return held

    def _raw(self, symbol: str, whole: Decimal) -> int:
        return self._world.market.asset(symbol).to_raw(whole)

    def _decimals(self, symbol: str) -> int:
        return self._world.market.asset(symbol).spec.decimals

    def _token(self, symbol: str) -> Address:
        return self._world.market.asset(symbol).token

    @property
    def _pool(self) -> Contract:
        return Contract(address=self._world.market.pool, interface=POOL)

    @property
    def _configurator(self) -> Contract:
        return Contract(address=self._world.market.configurator, interface=CONFIGURATOR)


# The answer is one static struct, so its members can be read as if they were the answer themselves.
_RESERVE_DATA = Interface.of(
    "getReserveData(address) (uint256,uint128,uint128,uint128,uint128,uint128,uint40,uint16,address,address,address)"
)
