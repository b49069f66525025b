"""Random life on a lending market: users, administrators and liquidators, block by block, with reorganisations."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from keeper.devnet.abi import Interface
from keeper.devnet.builder import Contract
from keeper.devnet.layout import Asset, feed_answer
from keeper.devnet.tokens import TOKEN, aggregator_of, mint
from keeper.devnet.world import World
from keeper.domain.units import MAX_UINT256, Address, to_address

POOL = Interface.of(
    "supply(address,uint256,address,uint16)",
    "withdraw(address,uint256,address) (uint256)",
    "borrow(address,uint256,uint256,uint16,address)",
    "repay(address,uint256,uint256,address) (uint256)",
    "repayWithATokens(address,uint256,uint256) (uint256)",
    "setUserUseReserveAsCollateral(address,bool)",
    "setUserEMode(uint8)",
    "liquidationCall(address,address,address,uint256,bool)",
    "mintToTreasury(address[])",
    "getReserveData(address) "
    "(" + ",".join(["uint256"] * 7 + ["uint256", "address", "address", "address", "address"] + ["uint256"] * 3) + ")",
)
CONFIGURATOR = Interface.of(
    "setReservePause(address,bool)",
    "setReserveFreeze(address,bool)",
    "setSupplyCap(address,uint256)",
    "setBorrowCap(address,uint256)",
    "setLiquidationProtocolFee(address,uint256)",
    "configureReserveAsCollateral(address,uint256,uint256,uint256)",
)
ORACLE = Interface.of("setAssetSources(address[],address[])")
_GAS = hex(3_000_000)
_WEALTH_USD = 1_000_000


@dataclass
class Traffic:
    """Sends random transactions; what the contracts refuse simply does not happen."""

    world: World
    rng: random.Random
    users: list[Address]
    a_tokens: Mapping[str, Address] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    paused: dict[str, bool] = field(default_factory=dict)
    supplied: set[tuple[Address, Asset]] = field(default_factory=set)
    borrowed: set[tuple[Address, Asset]] = field(default_factory=set)
    _sent: list[tuple[str, str]] = field(default_factory=list)

    async def begin(self) -> None:
        """Give everybody tokens, gas and approvals; some supply and borrow at once."""
        world = self.world
        pool = Contract(address=world.market.pool, interface=POOL)
        async with world.transactions() as builder:
            await builder.prepare(self.users)
            for asset in world.market.assets:
                wealth = asset.to_raw(Decimal(_WEALTH_USD) / asset.spec.price_usd)
                for user in self.users:
                    mint(builder, world.market, asset, wealth, user)
                await builder.flush()
                for user in self.users:
                    builder.send(
                        Contract(address=asset.token, interface=TOKEN),
                        "approve",
                        pool.address,
                        MAX_UINT256,
                        sender=user,
                    )
            await builder.flush()
            for user in self.users:
                for request in self._opening(user):
                    builder.send(pool, *request, sender=user)
                await builder.flush()
            data = {
                asset.symbol: await builder.read(pool, "getReserveData", asset.token) for asset in world.market.assets
            }
        self.a_tokens = {symbol: to_address(words[8]) for symbol, words in data.items()}
        await world.anvil.set_automine(on=False)

    def _opening(self, user: Address) -> list[tuple[Any, ...]]:
        """A first position, near its limit: two collaterals and a debt."""
        first, second, debt = self.rng.sample(self.world.market.assets, 3)
        worth_usd = Decimal(self.rng.randrange(3_000, 40_000))
        requests: list[tuple[Any, ...]] = []
        for asset in (first, second):
            self.supplied.add((user, asset))
            requests.append(("supply", asset.token, asset.to_raw(worth_usd / asset.spec.price_usd), user, 0))
        self.borrowed.add((user, debt))
        limit_usd = worth_usd * (first.spec.ltv_bps + second.spec.ltv_bps) / 10_000 * Decimal("0.97")
        return [*requests, ("borrow", debt.token, debt.to_raw(limit_usd / debt.spec.price_usd), 2, 0, user)]

    async def block(self) -> None:
        """Mine one block with up to six random transactions."""
        for _ in range(self.rng.randrange(7)):
            await self._send_one()
        await self.world.anvil.mine()

    async def count_successes(self) -> None:
        """Add up which of the transactions sent so far succeeded. A reorganisation takes some of them back."""
        sent, self._sent = self._sent, []
        receipts = await self.world.anvil.rpc.batch([("eth_getTransactionReceipt", (one,)) for _, one in sent])
        for (name, _), receipt in zip(sent, receipts, strict=True):
            if receipt is not None and receipt["status"] == "0x1":
                self.done[name] += 1

    async def mark(self) -> str:
        """Remember the chain as it is, for one `return_to`."""
        return await self.world.anvil.snapshot()

    async def return_to(self, mark: str) -> None:
        """Take back all blocks since `mark`."""
        await self.count_successes()
        await self.world.anvil.revert(mark)
        await self.world.anvil.rpc.call("anvil_dropAllTransactions")

    # --- one transaction ------------------------------------------------------------------------------------------

    async def _send_one(self) -> None:
        actions = [
            (self._supply, 4),
            (self._withdraw, 4),
            (self._borrow, 7),
            (self._repay, 4),
            (self._transfer, 4),
            (self._flag, 2),
            (self._liquidate, 14),
            (self._reprice, 2),
            (self._govern, 2),
            (self._treasury, 1),
        ]
        if self.world.market.kind != "bundled":
            actions += [(self._emode, 2), (self._repay_with_a_tokens, 2)]
        (action,) = self.rng.choices([one for one, _ in actions], [weight for _, weight in actions])
        request = action()
        if request is None:
            return
        name, sender, to, data = request
        sent = await self.world.anvil.rpc.call(
            "eth_sendTransaction", {"from": sender, "to": to, "data": "0x" + data.hex(), "gas": _GAS}
        )
        self._sent.append((name, sent))

    def _pool(self, label: str, sender: Address, name: str, *arguments: Any) -> tuple[str, Address, Address, bytes]:
        return label, sender, self.world.market.pool, POOL.encode(name, *arguments)

    def _asset(self) -> Asset:
        return self.rng.choice(self.world.market.assets)

    def _user(self) -> Address:
        return self.rng.choice(self.users)

    def _held(self, held: set[tuple[Address, Asset]]) -> tuple[Address, Asset]:
        """Somebody with something, mostly: what was tried before may have succeeded."""
        if held and self.rng.random() < 0.9:
            return self.rng.choice(sorted(held, key=lambda pair: (pair[0], pair[1].symbol)))
        return self._user(), self._asset()

    def _amount(self, asset: Asset, most_usd: int) -> int:
        """A size of any order: from one raw unit to dollars."""
        top = asset.to_raw(Decimal(most_usd) / asset.spec.price_usd)
        return max(1, int(top * self.rng.random() ** self.rng.choice((1, 2, 9))))

    def _supply(self) -> Any:
        asset, user = self._asset(), self._user()
        other = self._user() if self.rng.random() < 0.3 else user
        label = "supply" if other == user else "supply for another"
        self.supplied.add((other, asset))
        return self._pool(label, user, "supply", asset.token, self._amount(asset, 20_000), other, 0)

    def _withdraw(self) -> Any:
        user, asset = self._held(self.supplied)
        amount = MAX_UINT256 if self.rng.random() < 0.3 else self._amount(asset, 5_000)
        return self._pool("withdraw", user, "withdraw", asset.token, amount, self._user())

    def _borrow(self) -> Any:
        user, asset = self._held(self.supplied)[0], self._asset()
        self.borrowed.add((user, asset))
        return self._pool("borrow", user, "borrow", asset.token, self._amount(asset, 15_000), 2, 0, user)

    def _repay(self) -> Any:
        user, asset = self._held(self.borrowed)
        amount = MAX_UINT256 if self.rng.random() < 0.4 else self._amount(asset, 5_000)
        return self._pool("repay", user, "repay", asset.token, amount, 2, user)

    def _repay_with_a_tokens(self) -> Any:
        user, asset = self._held(self.borrowed)
        amount = MAX_UINT256 if self.rng.random() < 0.4 else self._amount(asset, 5_000)
        return self._pool("repay with aTokens", user, "repayWithATokens", asset.token, amount, 2)

    def _transfer(self) -> Any:
        giver, asset = self._held(self.supplied)
        to = self._user() if self.rng.random() < 0.9 else to_address(self.rng.randbytes(20))
        data = TOKEN.encode("transfer", to, self._amount(asset, 8_000))
        return "transfer", giver, self.a_tokens[asset.symbol], data

    def _flag(self) -> Any:
        on = self.rng.random() < 0.5
        label = f"collateral {'on' if on else 'off'}"
        user, asset = self._held(self.supplied)
        return self._pool(label, user, "setUserUseReserveAsCollateral", asset.token, on)

    def _emode(self) -> Any:
        return self._pool("e-mode", self._user(), "setUserEMode", self.rng.choice((0, 1, 1)))

    def _liquidate(self) -> Any:
        user, debt = self._held(self.borrowed)
        owned = sorted((asset for owner, asset in self.supplied if owner == user), key=lambda asset: asset.symbol)
        collateral = self.rng.choice(owned) if owned else self._asset()
        cover = MAX_UINT256 if self.rng.random() < 0.6 else self._amount(debt, 3_000)
        in_a_tokens = self.rng.random() < 0.4
        label = f"liquidation{' in aTokens' if in_a_tokens else ''}"
        return self._pool(
            label, self._user(), "liquidationCall", collateral.token, debt.token, user, cover, in_a_tokens
        )

    def _reprice(self) -> Any:
        asset = self.rng.choice([one for one in self.world.market.assets if one.spec.volatile])
        price = asset.spec.price_usd * Decimal(self.rng.randrange(60, 140)) / 100
        contract = aggregator_of(asset)
        data = contract.interface.encode("transmit", feed_answer(price))
        return "new price", self.world.layout.deployer, contract.address, data

    def _treasury(self) -> Any:
        tokens = [asset.token for asset in self.world.market.assets]
        return self._pool("mint to treasury", self._user(), "mintToTreasury", tokens)

    def _govern(self) -> Any:
        asset = self._asset()
        spec = asset.spec
        if self.world.market.kind == "bundled":
            return None
        if any(self.paused.values()) and self.rng.random() < 0.7:
            what = next(key.split()[0] for key, on in self.paused.items() if on)
        else:
            what = self.rng.choice(("terms", "pause", "freeze", "cap", "fee", "feed"))
        to = self.world.market.configurator
        if what == "terms":
            threshold = spec.threshold_bps - self.rng.randrange(0, 200)
            data = CONFIGURATOR.encode(
                "configureReserveAsCollateral", asset.token, min(spec.ltv_bps, threshold), threshold, spec.bonus_bps
            )
        elif what in ("pause", "freeze"):
            held = [one for one in self.world.market.assets if self.paused.get(f"{what} {one.symbol}")]
            asset = held[0] if held else asset  # let go before the next one: life goes on
            key = f"{what} {asset.symbol}"
            self.paused[key] = not held
            name = "setReservePause" if what == "pause" else "setReserveFreeze"
            data = CONFIGURATOR.encode(name, asset.token, self.paused[key])
        elif what == "cap":
            data = CONFIGURATOR.encode("setSupplyCap", asset.token, self.rng.choice((0, 10**9)))
        elif what == "fee":
            data = CONFIGURATOR.encode("setLiquidationProtocolFee", asset.token, self.rng.choice((0, 1_000, 2_000)))
        else:
            to = self.world.market.oracle
            data = ORACLE.encode("setAssetSources", [asset.token], [self.rng.choice((asset.feed, asset.aggregator))])
        return f"governance: {what}", self.world.layout.deployer, to, data
