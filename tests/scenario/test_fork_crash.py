"""scripts/fork_crash.py as an operator runs it: on a fork of a local chain that carries the real Aave V3."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from keeper.devnet.world import World
from tests.support import documents

ROOT = Path(__file__).resolve().parents[2]
LONGEST_S = 120.0


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: str
    err: str


class Script:
    """One run of the script, and the processes that come of it, known by a mark in their environment."""

    def __init__(self, world: World, folder: Path) -> None:
        self._mark = uuid.uuid4().hex
        self.config = folder / "keeper.toml"
        self.config.write_text(world.config_toml(), encoding="utf-8")

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, str(ROOT / "scripts" / "fork_crash.py"), "--config", str(self.config), *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT), "FORK_CRASH_MARK": self._mark},
        )

    async def end(self, process: asyncio.subprocess.Process) -> Ended:
        out, err = await asyncio.wait_for(process.communicate(), LONGEST_S)
        return Ended(process.returncode or 0, out.decode(), err.decode())

    async def run(self, *arguments: str) -> Ended:
        return await self.end(await self.start(*arguments))

    def files(self) -> list[str]:
        """What lies beside the configuration, itself included."""
        return sorted(path.name for path in self.config.parent.iterdir())

    def processes(self) -> list[str]:
        """The command lines of everything it started that still runs."""
        if not Path("/proc/self/environ").exists():
            listed = subprocess.run(["ps", "axeww"], capture_output=True, text=True, check=True).stdout
            return [line for line in listed.splitlines() if self._mark in line]
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if self._mark.encode() in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:  # it ended meanwhile, or is not ours
                continue
        return found


async def test_a_crash_on_a_fork_is_liquidated_and_accounted_for(aave_world: World, tmp_path: Path) -> None:
    before = await aave_world.anvil.block()
    script = Script(aave_world, tmp_path)
    link = aave_world.tokens["LINK"]
    ended = await script.run("--fall", "weth=20", "--fall", f"{link}=12.5", "--json")
    assert ended.code == 0, ended.err[-3000:]
    crash = orjson.loads(ended.out)
    assert crash["fork_block"] == int(before["number"], 16)
    pushed = {feed["token"]: (int(feed["before_base"]), int(feed["after_base"])) for feed in crash["feeds"]}
    assert pushed == {
        aave_world.tokens["WETH"]: (2500 * 10**8, 2000 * 10**8),
        link: (15 * 10**8, 15 * 10**8 * 875 // 1000),
    }
    assert crash["liquidatable"] >= 15
    assert len(crash["run"]["entries"]) >= 15
    assert all(attempt["status"] == "success" for attempt in crash["run"]["attempts"])
    for entry in crash["pnl"]["entries"]:
        assert entry["status"] == "success"
        assert entry["expected_raw"] == entry["realised_raw"]
    received = documents.received(crash["pnl"]["entries"])
    assert {token: str(raw) for token, raw in received.items()} == crash["gained_raw"]
    assert await aave_world.anvil.block() == before, "the chain that was forked is left alone"
    assert script.processes() == []
    assert script.files() == ["keeper.toml"]


async def test_what_a_person_reads_and_what_is_refused(
    aave_world: World, tmp_path: Path, unused_tcp_port_of_nobody: int
) -> None:
    script = Script(aave_world, tmp_path)
    told = await script.run("--fall", "WETH=9", "--rpc-url", aave_world.anvil.http_url)
    assert told.code == 0, told.err[-3000:]
    assert "WETH: the oracle's price fell from 250000000000 to 227500000000." in told.out
    assert "The treasury gained" in told.out
    refused = {
        ("--fall", "DOGE=20"): (3, "known: "),
        ("--fall", "WETH=120"): (2, "below 100"),
        ("--fall", "WETH=20", "--rpc-url", f"http://127.0.0.1:{unused_tcp_port_of_nobody}/v2/access-key"): (
            4,
            "nothing to fork",
        ),
    }
    for arguments, (code, words) in refused.items():
        ended = await script.run(*arguments)
        assert (ended.code, ended.out) == (code, ""), ended
        assert words in ended.err.splitlines()[-1]
        assert "access-key" not in ended.err
    script.config.write_text(script.config.read_text(encoding="utf-8") + "\n[venue]\n", encoding="utf-8")
    ended = await script.run("--fall", "WETH=20")
    assert ended.code == 3
    assert "did you mean venues?" in ended.err
    assert script.processes() == []


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
async def test_an_interrupted_rehearsal_leaves_no_process(
    aave_world: World, tmp_path: Path, which: signal.Signals
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, with their children
    script = Script(aave_world, tmp_path)
    process = await script.start("--fall", "WETH=20")
    async with asyncio.timeout(LONGEST_S):
        while not any("keeper run" in line for line in script.processes()):
            assert process.returncode is None
            await asyncio.sleep(0.05)
    assert len(script.processes()) == 3, "the script, its chain, and the keeper"
    process.send_signal(which)
    ended = await script.end(process)
    assert ended.code == 130
    assert script.processes() == []


@pytest.fixture
async def unused_tcp_port_of_nobody() -> int:
    """A port that was free a moment ago."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port
