"""The commands on the real Aave V3: what `scan` says is what the pool does, and what `run` books is what was earned."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from keeper.devnet.accounts import OPERATOR, TREASURY
from keeper.devnet.settings import SettingsOptions
from keeper.devnet.tokens import token_of
from keeper.devnet.world import World, WorldOptions, load_world, open_world
from keeper.domain.units import to_address
from keeper.lab.operator import KeeperCommand
from tests.conftest import TestSize
from tests.support import documents
from tests.support.hard_world import HARD_ASSETS, HardWorld
from tests.support.scan_truth import ScanTruth

VOLATILE = ("WETH", "WBTC", "LINK")
DAY_S = 86_400
DUST_BASE = 10**6  # a cent


def fall(percent: int | Decimal) -> dict[str, int | Decimal]:
    return dict.fromkeys(VOLATILE, -percent)


def keeper_for(world: World, folder: Path, settings: SettingsOptions | None = None) -> KeeperCommand:
    config = folder / "keeper.toml"
    config.write_text(world.config_toml(settings), encoding="utf-8")
    return KeeperCommand(config=config, private_key=OPERATOR.private_key, log=folder / "keeper.log")


async def check_scan(
    world: World, report: dict[str, Any], *, pairs: int, rng: random.Random, seen: Counter[str]
) -> None:
    """The whole list of accounts, and `pairs` of their pairs (or all), against the pool at the reported block."""
    block = report["block"]
    head = await world.anvil.block(block["number"])
    assert (head["hash"], int(head["timestamp"], 16)) == (block["hash"], block["timestamp"])
    (market,) = report["markets"]
    truth = await ScanTruth.read(world.anvil.rpc, world.market.addresses_provider, block["number"])
    await truth.check_accounts(market, report["liquidatable"])
    listed = [(item["account"], pair) for item in report["liquidatable"] for pair in item["pairs"]]
    seen["listed"] += len(listed)
    seen["dust"] += sum(int(item["debt_base"]) < DUST_BASE for item in report["liquidatable"])
    for account, pair in rng.sample(listed, min(pairs, len(listed))):
        await truth.check_pair(account, pair, seen)
        seen["pairs"] += 1


# --- scan -------------------------------------------------------------------------------------------------------------


async def test_scan_says_what_the_pool_does(aave_world: World, tmp_path: Path, size: TestSize) -> None:
    """On a saved world with a clock long past, after ten and after thirty percent, and back in its history."""
    world = aave_world
    assert {asset.spec.decimals for asset in world.market.assets} == {6, 8, 18}
    keeper = keeper_for(world, tmp_path)
    rng, pairs, seen = random.Random("plain"), size.pick(quick=40, prove=10_000), Counter[str]()
    calm = await keeper.call("scan")
    assert calm["markets"][0]["accounts"] >= 100
    assert calm["liquidatable"] == []
    reports = []
    for step, least in ((Decimal(10), 15), (100 - Decimal(7000) / 90, 40)):
        await world.shock(fall(step), pools_follow=False)
        report = await keeper.call("scan")
        assert len(report["liquidatable"]) >= least
        await check_scan(world, report, pairs=pairs, rng=rng, seen=seen)
        reports.append(report)
    assert await keeper.call("scan", "--block", str(reports[0]["block"]["number"])) == reports[0]
    print(dict(seen))
    assert seen["pairs"] >= 2 * min(pairs, 30)


@asynccontextmanager
async def hard_world(seed: int, *, borrowers: int, dust: int) -> AsyncIterator[tuple[World, HardWorld]]:
    options = WorldOptions(kind="aave-v3", specs=HARD_ASSETS, borrowers=borrowers, seed=seed, liquidity_usd=2_000_000)
    async with open_world(options) as world:
        hard = HardWorld(world, seed)
        await hard.plant(dust)
        yield world, hard


async def test_scan_of_hard_positions_says_what_the_pool_does(tmp_path: Path, size: TestSize) -> None:
    """Dust, shares of one reserve on both sides, efficiency mode, stable debt, empty, paused and stale reserves."""
    pairs, seen = size.pick(quick=60, prove=10_000), Counter[str]()
    for seed in range(size.pick(quick=1, prove=4)):
        rng = random.Random(f"hard {seed}")
        async with hard_world(seed, borrowers=size.pick(quick=20, prove=100), dust=size.pick(quick=12, prove=60)) as (
            world,
            hard,
        ):
            await let_time_pass(world, 3 * DAY_S)
            keeper = keeper_for(world, tmp_path)
            blocks = []
            await world.shock({**fall(10), "MITE": -12, "DAI": -6, "CENT": -4}, pools_follow=False)
            blocks.append((await keeper.call("scan"))["block"]["number"])
            await hard.take_liquidity("WETH", leave_raw=0)
            await hard.take_liquidity("LINK", leave_raw=7 * 10**18)
            await hard.pause("CENT")
            await hard.freeze("USDC")
            await world.anvil.mine(3)
            blocks.append((await keeper.call("scan"))["block"]["number"])
            await world.shock({**fall(45), "MITE": -50}, pools_follow=False)
            for block in (None, *blocks):
                report = await keeper.call("scan", *(() if block is None else ("--block", str(block))))
                await check_scan(world, report, pairs=pairs, rng=rng, seen=seen)
    print(dict(seen))
    assert seen["atoken"]
    assert seen["RESERVE_PAUSED"]
    assert seen["same asset"]
    assert seen["explicit cover"]
    assert seen["dust"]


async def let_time_pass(world: World, seconds: int) -> None:
    """Let interest accrue, and feeds grow old."""
    await world.anvil.set_next_timestamp(await world.anvil.timestamp() + seconds)
    await world.anvil.mine()


# --- run --------------------------------------------------------------------------------------------------------------


async def test_run_earns_what_its_ledger_says(aave_state: Path, tmp_path: Path, size: TestSize) -> None:
    """Everything worth a dollar is liquidated; treasury, ledger and chain agree to the last unit."""
    for percent in (10, 30)[: size.pick(quick=1, prove=2, soak=2)]:
        async with load_world(aave_state) as world:
            folder = tmp_path / str(percent)
            folder.mkdir()
            keeper = keeper_for(world, folder)
            deployed = await keeper.call("deploy", "executor", "--treasury", TREASURY)
            keeper = keeper_for(world, folder, SettingsOptions(executor=to_address(deployed["address"])))
            await world.shock(fall(percent))
            before = await treasury_raw(world)
            report = await keeper.call("run", "--live", "--once")
            gained = {token: raw - before[token] for token, raw in (await treasury_raw(world)).items()}
            ledger = await keeper.call("pnl")
            assert len(report["entries"]) >= 15
            assert all(attempt["status"] == "success" for attempt in report["attempts"]), report["attempts"]
            check_ledger(ledger, gained)
            await check_transactions(world, ledger)
            left = await keeper.call("estimate")
            assert left["plans"] == []
            print(percent, len(report["entries"]), ledger["totals"])


def check_ledger(ledger: dict[str, Any], gained: Mapping[str, int]) -> None:
    """Each entry earned what was expected, and together they are what the treasury gained."""
    for entry in ledger["entries"]:
        assert entry["status"] == "success"
        assert entry["expected_raw"] == entry["realised_raw"]
    assert documents.received(ledger["entries"]) == {token: raw for token, raw in gained.items() if raw}


async def check_transactions(world: World, ledger: dict[str, Any]) -> None:
    """Every transaction of the signer on the chain is in the ledger, once, with its block and its cost."""
    rpc = world.anvil.rpc
    height = await world.anvil.block_number()
    blocks = await rpc.batch([("eth_getBlockByNumber", (hex(number), True)) for number in range(height + 1)])
    sent = [item for block in blocks for item in block["transactions"] if item["from"] == OPERATOR.address.lower()]
    receipts = await rpc.batch([("eth_getTransactionReceipt", (item["hash"],)) for item in sent])
    assert all(receipt["status"] == "0x1" for receipt in receipts)
    assert [int(item["nonce"], 16) for item in sent] == list(range(len(sent)))
    on_chain = {
        item["hash"]: (
            int(receipt["blockNumber"], 16),
            str(int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)),
        )
        for item, receipt in zip(sent, receipts, strict=True)
    }
    booked = {entry["transaction"]: (entry["block"], entry["gas_cost_wei"]) for entry in ledger["entries"]}
    assert booked == on_chain
    assert len(ledger["entries"]) == len(sent)


async def treasury_raw(world: World) -> dict[str, int]:
    calls = [(token_of(asset), "balanceOf", (TREASURY,)) for asset in world.market.assets]
    balances = await world.builder.read_many(calls)
    return {asset.token: raw for asset, raw in zip(world.market.assets, balances, strict=True)}
