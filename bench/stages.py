"""B2b: the whole way from a new block to a sent transaction, stage by stage, as `keeper run --live --once` reports it.

The daemon itself on a local chain: market read, screen, exact sizes on the pools' curves, simulation, journal on disk,
signature, broadcast. A stage's time counts from the stage before; inclusion counts from sending.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import orjson

from bench.measure import Result
from keeper.devnet.accounts import OPERATOR
from keeper.devnet.settings import SettingsOptions
from keeper.devnet.world import WorldOptions, open_world

_BORROWERS = 200
_FALL = {"WETH": -12, "LINK": -10}


async def _measure(folder: Path) -> dict[str, Any]:
    async with open_world(WorldOptions(borrowers=_BORROWERS, seed=11)) as world:
        await world.deploy_executor()
        await world.shock(_FALL)
        config = folder / "keeper.toml"
        config.write_text(world.config_toml(SettingsOptions(ws_url=world.anvil.ws_url)), encoding="utf-8")
        command = [sys.executable, "-m", "keeper", "run", "--live", "--once", "--json", "--config", str(config)]
        environment = {**os.environ, "KEEPER_PRIVATE_KEY": OPERATOR.private_key}
        process = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, cwd=folder
        )
        answer, _ = await process.communicate()
    report: dict[str, Any] = orjson.loads(answer)
    return report


def run() -> list[Result]:
    """Return a line for each stage; there is no other side and no target, the figures are for reading."""
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(_measure(Path(folder)))
    return [
        Result(
            name=f"B2b {stage}",
            ours_s=figures["p50"] / 1000,
            theirs_s=None,
            target="reported",
            met=True,
            note=f"p95 {figures['p95']} ms of {figures['count']}; {len(report['entries'])} liquidations",
        )
        for stage, figures in report["latency_ms"].items()
    ]
