"""Hours of chain time with one of three nodes faulty: the same liquidations as without, in the same memory."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from keeper.devnet.settings import SettingsOptions
from keeper.devnet.world import World, load_world
from tests.conftest import TestSize
from tests.support.canaries import with_access_key
from tests.support.cli import Keeper, Running, until
from tests.support.proxy import Fault, RpcProxy

pytestmark = [pytest.mark.anvil, pytest.mark.slow]

SEED = 6
BLOCK_S = 12
BLOCKS_A_DAY = 7_200
BLOCKS_A_MOVE = 30
MOST_BEHIND = 3
PAUSE_S = 0.3
VOLATILE = ("WETH", "WBTC", "LINK")
FAULTY = [
    Fault(kind="status", status=503),
    Fault(kind="reset"),
    Fault(kind="delay", seconds=0.3),
    Fault(kind="truncate"),
    Fault(kind="body", body=b"<html>bad gateway</html>"),
    Fault(kind="id"),
]
SHARE = 0.2
MOST_GROWTH_PERCENT = 5


@dataclass(slots=True)
class Day:
    """What a run did and what it took."""

    liquidations: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    faults: int = 0
    rss_kib: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)


def sample(day: Day, pid: int) -> None:
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    day.rss_kib.append(int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1]))
    day.descriptors.append(len(list(Path(f"/proc/{pid}/fd").iterdir())))


def newest_head(running: Running) -> int:
    """The newest block the daemon has taken up: with it, its work on all earlier ones is done."""
    found = re.findall(r'^{"block": (\d+), "hash"', running.err()[-20_000:], re.MULTILINE)
    return int(found[-1]) if found else 0


async def mine(world: World, running: Running, *, behind: int) -> None:
    """Mine a block and wait until the daemon is at most so many blocks `behind`, however long it takes.

    A plan lands within ten blocks of the one it was made for or not at all; a busy machine must not decide that.
    """
    await world.anvil.mine()
    number = await world.anvil.block_number()
    await until(lambda: newest_head(running) >= number - behind, running=running)


async def worked_off(world: World, running: Running) -> None:
    """Mine until nothing was sent for two whole heads, however long the daemon takes for them."""
    quiet, before = 0, -1
    for _ in range(100):
        await mine(world, running, behind=0)
        await asyncio.sleep(PAUSE_S)  # a block mined too soon would come between a plan and its transaction
        sent = running.err().count('"sent"')
        quiet, before = quiet + 1 if sent == before else 0, sent
        if quiet == 2:
            return
    raise AssertionError(f"never quiet: {running.err()[-3000:]}")


async def live(world: World, keeper: Keeper, day: Day, blocks: int) -> None:
    """Mine block after block, and now and then move the prices in a way the seed decides."""
    dice = random.Random(SEED)
    async with keeper.daemon("--live", "--verbose") as running:
        for number in range(blocks):
            await mine(world, running, behind=MOST_BEHIND)
            if number % BLOCKS_A_MOVE == BLOCKS_A_MOVE - 1:
                moved = dice.sample(VOLATILE, dice.randint(1, 3))
                await world.shock({symbol: dice.choice((-6, -4, -3, 3, 6)) for symbol in moved})
                await worked_off(world, running)
                sample(day, running.process.pid)
            else:
                await asyncio.sleep(0.02)
    for entry in (await keeper.json("pnl"))["entries"]:
        day.liquidations[entry["account"], entry["profit_token"], entry["status"]] += 1


async def run_day(state: Path, folder: Path, *, blocks: int, faulty: bool) -> Day:
    day = Day()
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(load_world(state))
        await world.anvil.set_block_interval(BLOCK_S)
        proxies = [await stack.enter_async_context(RpcProxy(world.anvil.http_url)) for _ in range(3)]
        weather = proxies[1].break_some(FAULTY, share=SHARE, seed=SEED) if faulty else None
        urls = [with_access_key(proxy.http_url) for proxy in proxies]
        keeper = Keeper.at(folder, world.config_toml(SettingsOptions(rpc_urls=urls)))
        await live(world, keeper, day, blocks)
        day.faults = weather.hits if weather is not None else 0
    return day


def growth_a_day_percent(kib: Sequence[int], blocks: int) -> float:
    """Return the growth of the second half against the quarter before it, in percent for each simulated day."""
    quarter = len(kib) // 4
    early, late = sorted(kib[quarter : 2 * quarter]), sorted(kib[-quarter:])
    middle = late[len(late) // 2] - early[len(early) // 2]
    return 100 * middle / early[len(early) // 2] * BLOCKS_A_DAY / (blocks / 2)


@pytest.mark.timeout(86_400)
async def test_row_39_hours_with_one_of_three_nodes_faulty_miss_nothing_and_leak_nothing(
    bundled_state: Path, tmp_path: Path, size: TestSize
) -> None:
    blocks = size.pick(quick=90, prove=1_800, soak=21_600)
    calm = await run_day(bundled_state, tmp_path / "calm", blocks=blocks, faulty=False)
    rough = await run_day(bundled_state, tmp_path / "rough", blocks=blocks, faulty=True)
    print(
        f"seed {SEED}: {blocks} blocks, {rough.faults} faults, {sum(calm.liquidations.values())} liquidations;"
        f" memory in KiB {rough.rss_kib}; descriptors {min(rough.descriptors)} to {max(rough.descriptors)}"
    )
    assert rough.faults > 0
    assert rough.liquidations == calm.liquidations
    assert sum(calm.liquidations.values()) > 0
    half = len(rough.descriptors) // 2
    assert max(rough.descriptors[half:]) <= max(rough.descriptors[:half]) + 3
    if size.name != "quick":
        growth = growth_a_day_percent(rough.rss_kib, blocks)
        print(f"memory grows by {growth:+.1f} % a day")
        assert growth < MOST_GROWTH_PERCENT
