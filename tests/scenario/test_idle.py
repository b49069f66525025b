"""Doing nothing costs next to nothing: a calm market of many accounts, block after block."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from keeper.devnet.anvil import AnvilOptions
from keeper.devnet.world import WorldOptions, open_world
from tests.conftest import TestSize
from tests.support.cli import until
from tests.support.stage import open_stage

pytestmark = pytest.mark.anvil

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


def _cpu_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _memory_kb(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE_KB


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_idle_daemon_costs_little(tmp_path: Path, size: TestSize) -> None:
    """Ten minutes over ten thousand accounts at full size; in blocks of 4 s, so three times as many as on Ethereum."""
    accounts, minutes = size.pick(quick=300, prove=10_000), size.pick(quick=0, prove=10)
    seconds = 60 * minutes or 30
    saved = tmp_path / "world"
    async with open_world(WorldOptions(borrowers=accounts, seed=7)) as world:
        await world.deploy_executor()
        await world.save(saved)
    anvil = AnvilOptions(block_time_s=4)
    async with open_stage(saved, tmp_path / "keeper", anvil=anvil, websocket=True) as stage:
        async with stage.keeper.daemon("--live") as running:
            await until(lambda: stage.proxy.count("eth_subscribe") >= 3, timeout_s=300, running=running)
            await asyncio.sleep(12)
            first, requests = await stage.world.anvil.block_number(), len(stage.proxy.seen)
            cpu_s, memory_kb = _cpu_s(running.process.pid), _memory_kb(running.process.pid)
            await asyncio.sleep(seconds)
            blocks = await stage.world.anvil.block_number() - first
            used = (_cpu_s(running.process.pid) - cpu_s) / seconds
            grown_kb = _memory_kb(running.process.pid) - memory_kb
            per_block = (len(stage.proxy.seen) - requests) / (blocks + 1)  # one more may have its work done in here
            assert not re.search(r'"(plan|sent|step failed)"', running.err())
    load = f"{100 * used:.2f} % of a core, {per_block:.2f} requests a block"
    print(f"{accounts} accounts, {blocks} blocks: {load}, {grown_kb:+} kB")
    assert used < 0.05
    assert per_block < 5
    assert grown_kb < 4_096 + memory_kb // 50
