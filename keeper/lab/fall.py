"""One market falling in steps while the daemon liquidates, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from eth_utils import keccak

from keeper.devnet.accounts import OPERATOR, TREASURY
from keeper.devnet.layout import Asset
from keeper.devnet.settings import SettingsOptions
from keeper.devnet.world import World, WorldOptions, open_world
from keeper.domain.attempts import LedgerEntry
from keeper.domain.clock import SystemClock
from keeper.domain.errors import Failed, RpcError
from keeper.domain.units import BPS, WAD, Address, to_address
from keeper.lab.operator import KeeperCommand
from keeper.store import Store, open_store

POLICIES = ("binary", "fixed-share", "tiered", "dynamic")
FALL_STEPS = (-7, -7, -8, -40)
"""Percent by which every volatile asset falls, step by step; the last one is meant to hurt."""

BORROWERS = 12
_CALM_S, _QUIET_S = 0.5, 4.0
"""Without a new entry for so long a step is over: the first when nobody is unhealthy any more."""
_PATIENCE_S = 20.0
_POLL_S = 0.1
_POOL_DEPTH_USD = 6_000_000
_BASE_UNIT = 10**8
_DEFICIT_CREATED = "0x" + keccak(text="DeficitCreated(address,address,uint256)").hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step of the fall brought: prices after it, and the liquidations it led to."""

    percent: int
    prices_usd: Mapping[str, Decimal]
    unhealthy: int
    entries: tuple[LedgerEntry, ...]


@dataclass(slots=True, kw_only=True)
class Fall:
    """A whole fall under one close-factor policy. Values are US dollars at the prices of their step."""

    policy: str
    assets: tuple[Asset, ...]
    steps: list[Step] = field(default_factory=list)
    treasury_raw: dict[str, int] = field(default_factory=dict)
    bad_debt_usd: Decimal = Decimal(0)

    @property
    def entries(self) -> list[LedgerEntry]:
        """All liquidations, in order."""
        return [entry for step in self.steps for entry in step.entries]

    @property
    def liquidated_usd(self) -> Decimal:
        """Return the debt repaid."""
        repaid = [
            self._repaid_usd(step, each)
            for step in self.steps
            for entry in step.entries
            for each in _parts(entry, "steps")
        ]
        return sum(repaid, Decimal(0))

    @property
    def borrowers_loss_usd(self) -> Decimal:
        """Return what borrowers paid beyond the debt taken off them: the bonus, protocol fee included."""
        total = Decimal(0)
        for step in self.steps:
            for entry in step.entries:
                for each in _parts(entry, "steps"):
                    bonus_bps = self.asset(each["collateral"]).spec.bonus_bps
                    total += self._repaid_usd(step, each) * (bonus_bps - BPS) / BPS
        return total

    @property
    def profit_usd(self) -> Decimal:
        """Return what the liquidator gained after gas."""
        total = Decimal(0)
        for step in self.steps:
            native = next(asset.symbol for asset in self.assets if asset.spec.wrapped_native)
            for entry in step.entries:
                token = self.asset(str(entry.profit_token))
                total += self.whole(token, entry.realised_raw) * step.prices_usd[token.symbol]
                total -= Decimal(entry.gas_cost_wei) / WAD * step.prices_usd[native]
        return total

    def realised_raw(self, symbol: str) -> int:
        """Return the profits in one token."""
        return sum(each.realised_raw for each in self.entries if self.asset(str(each.profit_token)).symbol == symbol)

    def left_over_raw(self, symbol: str) -> int:
        """Return what runs with their profit in other tokens left over of one."""
        rests: list[Any] = [rest for entry in self.entries for rest in _parts(entry, "left_over")]
        return sum(int(rest["amount_raw"]) for rest in rests if self.asset(rest["token"]).symbol == symbol)

    def asset(self, token: str) -> Asset:
        """Return the reserve of a token address."""
        return next(asset for asset in self.assets if asset.token == token)

    @staticmethod
    def whole(asset: Asset, raw: int) -> Decimal:
        """Return a raw amount in whole tokens."""
        return Decimal(raw).scaleb(-asset.spec.decimals)

    def _repaid_usd(self, step: Step, liquidated: Mapping[str, Any]) -> Decimal:
        debt = self.asset(liquidated["debt"])
        return self.whole(debt, int(liquidated["repay_raw"])) * step.prices_usd[debt.symbol]


def _parts(entry: LedgerEntry, name: str) -> list[dict[str, Any]]:
    """Return one of the lists the ledger has about a run; empty when it is not there."""
    parts: Any = entry.detail.get(name, ())
    return list(parts)


OnStep = Callable[[Fall, Step], None]


async def run_fall(folder: Path, policy: str, *, seed: int, on_step: OnStep) -> Fall:
    """Build a market, start the daemon, let prices fall, and account for everything.

    `folder` takes the configuration, the journal and the log. The same seed gives the same borrowers.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    options = WorldOptions(borrowers=BORROWERS, seed=seed, pool_depth_usd=_POOL_DEPTH_USD)
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(open_world(options))
        await world.set_policy(POLICIES.index(policy))
        state = folder / "state.sqlite"
        keeper = await _deploy(world, folder, state)
        before = await _treasury(world)
        fall = Fall(policy=policy, assets=world.market.assets)
        store = open_store(state)
        stack.callback(store.close)
        async with keeper.daemon():
            for percent in FALL_STEPS:
                step = await _step(world, store, percent, seen=len(fall.entries))
                fall.steps.append(step)
                on_step(fall, step)
        gained = await _treasury(world)
        fall.treasury_raw = {symbol: gained[symbol] - before[symbol] for symbol in gained}
        fall.bad_debt_usd = await _bad_debt_usd(world, fall)
    return fall


async def _deploy(world: World, folder: Path, state: Path) -> KeeperCommand:
    """Write the configuration and deploy the executor with the keeper's own command."""
    config = folder / "keeper.toml"
    settings = SettingsOptions(rpc_urls=[world.anvil.http_url], ws_url=world.anvil.ws_url, state_path=state)
    config.write_text(world.config_toml(settings), encoding="utf-8")
    keeper = KeeperCommand(config=config, private_key=OPERATOR.private_key, log=folder / "keeper.log")
    deployed = await keeper.call("deploy", "executor", "--treasury", TREASURY)
    executor = to_address(deployed["address"])
    config.write_text(world.config_toml(replace(settings, executor=executor)), encoding="utf-8")
    return keeper


async def _step(world: World, store: Store, percent: int, *, seen: int) -> Step:
    volatile = {asset.symbol: percent for asset in world.market.assets if asset.spec.volatile}
    await world.shock(volatile)
    unhealthy = len(await world.unhealthy())
    entries = await _liquidations(world, store, at_least=seen + 1 if unhealthy else seen)
    return Step(percent=percent, prices_usd=await world.prices(), unhealthy=unhealthy, entries=tuple(entries[seen:]))


async def _liquidations(world: World, store: Store, *, at_least: int) -> list[LedgerEntry]:
    """Wait until nobody is unhealthy, or the ledger has been quiet for a while; return its liquidations.

    Raises Failed when the first one does not come.
    """
    clock = SystemClock()
    changed = started = clock.monotonic_s()
    entries: list[LedgerEntry] = []
    while True:
        found = [entry for entry in store.entries() if entry.kind == "liquidation"]
        now = clock.monotonic_s()
        if len(found) != len(entries):
            entries, changed = found, now
        is_calm = len(entries) >= at_least and now - changed > _CALM_S
        if is_calm and (now - changed > _QUIET_S or await _is_healthy(world)):
            return entries
        if now - started > _PATIENCE_S:
            raise Failed("the daemon did not liquidate anything; its log says why")
        await asyncio.sleep(_POLL_S)


async def _is_healthy(world: World) -> bool:
    """Return whether nobody is unhealthy; no while the node is taking in a block, when it answers with half of it."""
    try:
        return not await world.unhealthy()
    except RpcError:
        return False


async def _treasury(world: World) -> dict[str, int]:
    balances = {}
    for asset in world.market.assets:
        data = "0x70a08231" + "0" * 24 + TREASURY[2:].lower()
        answer = await world.anvil.rpc.call("eth_call", {"to": asset.token, "data": data}, "latest")
        balances[asset.symbol] = int(answer, 16)
    return balances


async def _bad_debt_usd(world: World, fall: Fall) -> Decimal:
    """Return debt not covered by collateral any more, and what the pool has written off."""
    rows = await world.account_data()
    uncovered = sum(max(0, row.debt_base - row.collateral_base) for row in rows)
    return Decimal(uncovered) / _BASE_UNIT + await _written_off_usd(world, fall)


async def _written_off_usd(world: World, fall: Fall) -> Decimal:
    query = {"address": world.market.pool, "fromBlock": "0x0", "toBlock": "latest", "topics": [_DEFICIT_CREATED]}
    prices = fall.steps[-1].prices_usd
    total = Decimal(0)
    for log in await world.anvil.rpc.call("eth_getLogs", query):
        asset = fall.asset(_address_in(log["topics"][2]))
        total += fall.whole(asset, int(log["data"], 16)) * prices[asset.symbol]
    return total


def _address_in(topic: str) -> Address:
    return to_address(bytes.fromhex(topic[2:]))
