"""The daemon as an operator runs it: nothing that pays is left, nothing is sent in vain, limits hold."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.devnet.anvil import AnvilOptions
from keeper.devnet.settings import SettingsOptions
from keeper.devnet.world import WorldOptions, open_world
from tests.conftest import TestSize
from tests.support.cli import Running, until
from tests.support.stage import Stage, open_stage

pytestmark = pytest.mark.anvil

JUMP = {"WETH": -18, "WBTC": -16, "LINK": -20}
VOLATILE = ("WETH", "WBTC", "LINK")
SLOW = AnvilOptions(block_time_s=4)


@pytest.fixture(scope="module")
async def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a saved bundled market: 80 borrowers, all healthy, an executor for the operator."""
    folder = tmp_path_factory.mktemp("crowd")
    async with open_world(WorldOptions(borrowers=80, seed=1)) as world:
        await world.deploy_executor()
        await world.save(folder)
    return folder


# --- block after block ------------------------------------------------------------------------------------------------


async def plant(stage: Stage, rng: random.Random) -> int:
    """Move some prices in one block, now and then after new borrowers came; return how many accounts are unhealthy."""
    if rng.random() < 0.4:
        await stage.world.borrowers(rng.randint(1, 4), seed=rng.randrange(2**31))
    moved = rng.sample(VOLATILE, rng.randint(1, 3))
    # Mostly down, in steps that make some positions unhealthy and leave most: it has to last for hundreds of blocks.
    await stage.world.shock({symbol: rng.choice((-6, -4, -3, -2, 3, 6)) for symbol in moved})
    return len(await stage.world.unhealthy())


async def live_through(stage: Stage, *, blocks: int, seed: int, patience_s: float) -> None:
    """Plant opportunities until `blocks` blocks are mined; each has to be handled before the next is planted.

    The blocks that the planting itself mines, at once, do not count.
    """
    rng = random.Random(seed)
    anvil = stage.world.anvil
    first = await anvil.block_number()
    moves = unhealthy = planted_blocks = 0
    async with stage.keeper.daemon("--live") as running:
        await stage.handled(within_s=30, running=running)
        while (number := await anvil.block_number()) < first + planted_blocks + blocks:
            unhealthy += await plant(stage, rng)
            moves += 1
            planted_blocks += await anvil.block_number() - number
            await stage.handled(within_s=patience_s, running=running)
            if anvil.options.block_time_s is None:
                await anvil.mine(rng.randint(1, 3))
    entries = await stage.check_ledger()
    assert len(entries) >= moves // 4
    assert [each for each in entries if each["expected_raw"] != each["realised_raw"]] == []
    print(f"seed {seed}: {blocks} blocks, {moves} moves, {unhealthy} unhealthy, {len(entries)} liquidations")


@pytest.mark.parametrize("websocket", [False, True], ids=["http", "websocket"])
async def test_every_opportunity_is_handled_on_a_chain_that_mines_at_once(
    crowd: Path, tmp_path: Path, size: TestSize, websocket: bool
) -> None:
    async with open_stage(crowd, tmp_path, websocket=websocket) as stage:
        await live_through(stage, blocks=size.pick(quick=25, prove=200), seed=11 + websocket, patience_s=20)


@pytest.mark.slow
@pytest.mark.timeout(7200)
async def test_every_opportunity_is_handled_in_blocks_of_four_seconds(
    crowd: Path, tmp_path: Path, size: TestSize
) -> None:
    """Over HTTP and over WebSocket at the same time: two chains, mostly waiting."""
    blocks = size.pick(quick=6, prove=200)

    async def day(name: str, *, websocket: bool, seed: int) -> None:
        async with open_stage(crowd, tmp_path / name, anvil=SLOW, websocket=websocket) as stage:
            await live_through(stage, blocks=blocks, seed=seed, patience_s=40)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(day("http", websocket=False, seed=21), name="http")
        tasks.create_task(day("websocket", websocket=True, seed=22), name="websocket")


# --- one large jump ---------------------------------------------------------------------------------------------------


async def survive_jump(stage: Stage, *, patience_s: float) -> int:
    """From a calm start let three feeds jump in one block; return how many accounts were liquidated for that."""
    assert (await stage.keeper.json("estimate"))["plans"] == []
    await asyncio.sleep(1.1)  # the bound on requests holds for each process by itself
    since = len(stage.proxy.seen)
    async with stage.keeper.daemon("--live") as running:
        await stage.world.shock(JUMP)
        await worked_off(stage, running, patience_s=patience_s)
        most = stage.proxy.most_in_window(1.0, since=since)
        # While it still runs: debts grow with every block, and may make one more pay at any time.
        await stage.handled(within_s=patience_s, running=running)
    bound = stage.settings.requests_per_second
    assert bound is None or most <= bound
    entries = await stage.check_ledger()
    assert [each for each in entries if each["expected_raw"] != each["realised_raw"]] == []
    return len({entry["account"] for entry in entries})


async def worked_off(stage: Stage, running: Running, *, patience_s: float) -> None:
    """Wait until nothing was mined for some blocks, without asking anything through the proxy."""
    seen, still_s, waited_s = 0, 0.0, 0.0
    quiet_s = 2.5 if stage.world.anvil.options.block_time_s is None else 9.0
    while still_s < quiet_s or not seen:
        await asyncio.sleep(0.5)
        mined = await stage.sent()
        still_s = 0.0 if mined != seen else still_s + 0.5
        seen, waited_s = mined, waited_s + 0.5
        assert waited_s < patience_s, running.err()[-3000:]


async def test_a_jump_is_worked_off_on_a_chain_that_mines_at_once(crowd: Path, tmp_path: Path) -> None:
    async with open_stage(crowd, tmp_path) as stage:
        assert await survive_jump(stage, patience_s=60) >= 30


async def test_a_jump_is_worked_off_in_blocks_of_four_seconds_within_twenty_requests_a_second(
    crowd: Path, tmp_path: Path
) -> None:
    settings = SettingsOptions(requests_per_second=20)
    async with open_stage(crowd, tmp_path, anvil=SLOW, settings=settings, websocket=True) as stage:
        await stage.world.anvil.set_block_interval(None)  # block times as the clock has them: no two steps alike
        assert await survive_jump(stage, patience_s=60) >= 30


@pytest.mark.parametrize("websocket", [False, True], ids=["http", "websocket"])
async def test_no_second_holds_more_requests_than_allowed(bundled_state: Path, tmp_path: Path, websocket: bool) -> None:
    settings = SettingsOptions(requests_per_second=20)
    async with open_stage(bundled_state, tmp_path, settings=settings, websocket=websocket) as stage:
        async with stage.keeper.daemon("--live") as running:
            await stage.world.shock({"WETH": -9, "WBTC": -9})
            await worked_off(stage, running, patience_s=60)
            most = stage.proxy.most_in_window(1.0)
            await stage.handled(within_s=60, running=running)  # asks through the proxy too, with a bound of its own
        assert 10 <= most <= 20  # the bound was felt, and kept
        assert await stage.sent() >= 3


# --- dry run ----------------------------------------------------------------------------------------------------------


def expected_by_token(entries: list[dict[str, object]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for entry in entries:
        token = str(entry["profit_token"])
        total[token] = total.get(token, 0) + int(str(entry["expected_raw"]))
    return total


async def worth_usd(stage: Stage, by_token: dict[str, int]) -> Decimal:
    prices = await stage.world.prices()
    assets = {asset.token: asset for asset in stage.world.market.assets}
    return sum(
        (
            Decimal(raw).scaleb(-assets[token].spec.decimals) * prices[assets[token].symbol]
            for token, raw in by_token.items()
        ),
        Decimal(0),
    )


async def test_a_dry_run_sends_nothing_and_books_what_a_live_run_then_earns(crowd: Path, tmp_path: Path) -> None:
    async with open_stage(crowd, tmp_path) as stage:
        await stage.world.shock(JUMP)
        first = await stage.keeper.json("run", "--once", "--dry-run")
        second = await stage.keeper.json("run", "--once")
        assert len(first["entries"]) >= 30
        assert {entry["status"] for entry in first["entries"]} == {"dry-run"}
        assert [figures(entry) for entry in second["entries"]] == [figures(entry) for entry in first["entries"]]

        booked = (await stage.keeper.json("pnl"))["entries"]
        assert [figures(entry) for entry in booked] == [figures(entry) for entry in first["entries"]]
        async with stage.keeper.daemon() as running:
            await until(lambda: running.err().count('"dry run"') >= len(booked), running=running)
            for _ in range(3):
                await stage.world.anvil.mine()
                await asyncio.sleep(1.0)
        stopped = await running.end()
        now_booked = (await stage.keeper.json("pnl"))["entries"]
        assert len(first["entries"]) <= len(now_booked) <= len(first["entries"]) + 2  # debts grow with each block
        assert len(stopped.log("dry run")) == len(now_booked)  # each once, not once a block
        assert stage.proxy.count("eth_sendRawTransaction") == 0
        assert await stage.sent() == 0

        dry_usd = await worth_usd(stage, expected_by_token(first["entries"]))
        live = await stage.keeper.json("run", "--live", "--once", timeout_s=120)
        live_usd = await worth_usd(stage, await stage.gained())
        assert {entry["status"] for entry in live["entries"]} == {"success"}
        assert abs(live_usd - dry_usd) < dry_usd / 50, (dry_usd, live_usd)
        await stage.check_ledger()


def figures(entry: dict[str, object]) -> tuple[object, ...]:
    return tuple(entry[key] for key in ("market", "account", "profit_token", "expected_raw"))
