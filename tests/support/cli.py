"""The command line as a child process: what it printed, how it ended, how long it took."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from keeper.devnet.accounts import OPERATOR

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended. `seconds` is how long it took from its start, or from the signal that ended it."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on standard output; fails when there is anything else."""
        found: dict[str, Any] = orjson.loads(self.out)
        return found

    @property
    def last_line(self) -> str:
        """The last line of standard error."""
        return self.err.strip().splitlines()[-1] if self.err.strip() else ""

    def log(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        lines = [orjson.loads(line) for line in self.err.splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == event]


@dataclass(slots=True)
class Running:
    """A command that was started."""

    process: asyncio.subprocess.Process
    folder: Path
    name: str
    started_s: float = field(default_factory=time.monotonic)

    def signal(self, which: signal.Signals) -> None:
        """Send a signal; the time until the end is counted from now on."""
        self.started_s = time.monotonic()
        self.process.send_signal(which)

    def err(self) -> str:
        """What it wrote on standard error so far."""
        return (self.folder / f"{self.name}.err").read_text(encoding="utf-8")

    async def end(self, timeout_s: float = 60.0) -> Ended:
        """Wait for the end; kill it and fail when that takes too long."""
        try:
            code = await asyncio.wait_for(self.process.wait(), timeout_s)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            raise AssertionError(f"{self.name} did not end within {timeout_s} s: {self.err()[-2000:]}") from None
        out = (self.folder / f"{self.name}.out").read_text(encoding="utf-8")
        return Ended(code=code, out=out, err=self.err(), seconds=time.monotonic() - self.started_s)


@dataclass(slots=True, kw_only=True)
class Keeper:
    """`keeper` with one configuration file, in one folder. `key` None leaves the environment without a key."""

    folder: Path
    config: Path | None = None
    key: str | None = field(default=OPERATOR.private_key, repr=False)
    count: int = 0

    @classmethod
    def at(cls, folder: Path, toml: str) -> Keeper:
        """Write `toml` into `folder` and return the command that uses it."""
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "keeper.toml"
        config.write_text(toml, encoding="utf-8")
        return cls(folder=folder, config=config)

    async def start(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Running:
        """Start a command, its standard output and error going to files."""
        self.count += 1
        name = f"{self.count:02d}-{'-'.join(part for part in arguments[:1])}"
        env = {name: value for name, value in os.environ.items() if not name.startswith("KEEPER_")}
        env |= {"PYTHONPATH": str(ROOT), **(environment or {})}
        if self.key is not None:
            env["KEEPER_PRIVATE_KEY"] = self.key
        given = () if self.config is None else ("--config", str(self.config))
        with (self.folder / f"{name}.out").open("wb") as out, (self.folder / f"{name}.err").open("wb") as err:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "keeper", *arguments, *given),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=env,
                cwd=self.folder,
                start_new_session=True,
            )
        return Running(process, self.folder, name)

    async def run(
        self, *arguments: str, timeout_s: float = 120.0, environment: Mapping[str, str] | None = None
    ) -> Ended:
        """Run a command to its end."""
        return await (await self.start(*arguments, environment=environment)).end(timeout_s)

    async def json(self, *arguments: str, timeout_s: float = 120.0) -> dict[str, Any]:
        """Run a command that has to succeed and return its document."""
        ended = await self.run(*arguments, "--json", timeout_s=timeout_s)
        assert ended.code == 0, ended.err[-2000:]
        return ended.document

    @asynccontextmanager
    async def daemon(self, *options: str) -> AsyncIterator[Running]:
        """Run `keeper run` inside the context, started up; SIGTERM ends it, and it has to end well."""
        running = await self.start("run", *options)
        try:
            await until(lambda: '"event":"started"' in running.err().replace(" ", ""), running=running)
            yield running
        except BaseException:
            if running.process.returncode is None:
                running.process.kill()
                await running.process.wait()
            raise
        running.signal(signal.SIGTERM)
        ended = await running.end(10.0)
        assert ended.code == 0, ended.err[-3000:]
        assert ended.seconds < 5


async def until(check: Any, *, timeout_s: float = 60.0, running: Running | None = None) -> None:
    """Wait until `check` (a function, or one that returns an awaitable) says so; fail when it takes too long."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        answer = check()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return
        words = running.err()[-3000:] if running else ""
        assert time.monotonic() < deadline_s, f"waited {timeout_s} s in vain {words}"
        assert running is None or running.process.returncode is None, f"it ended: {words}"
        await asyncio.sleep(0.1)


def reasons(document: Mapping[str, Any]) -> Sequence[str]:
    """The reasons of an estimate's rejections, without repeats."""
    return sorted({each["reason"] for each in document["rejected"]})
