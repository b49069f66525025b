"""Runs `keeper` commands as child processes, as a person at a shell would."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from keeper.domain.errors import Failed

_STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperCommand:
    """The command line with one configuration file and one devnet key.

    `log` receives what the children write on standard error.
    """

    config: Path
    private_key: str = field(repr=False)
    log: Path

    async def call(self, *arguments: str) -> dict[str, Any]:
        """Run one command with --json and return its document. Raises Failed with what it said."""
        process = await self._start(*arguments, "--json", stdout=asyncio.subprocess.PIPE)
        try:
            out, _ = await process.communicate()
        finally:
            await _end(process)
        if process.returncode != 0:
            raise Failed(f"keeper {' '.join(arguments)} ended with {process.returncode}: {self._last_words()}")
        document: dict[str, Any] = orjson.loads(out)
        return document

    @asynccontextmanager
    async def daemon(self) -> AsyncIterator[None]:
        """Run `keeper run --live` inside the context; end it with SIGTERM. Raises Failed when it did not end well."""
        process = await self._start("run", "--live", stdout=asyncio.subprocess.DEVNULL)
        try:
            yield
        finally:
            await _end(process)
        if process.returncode != 0:
            raise Failed(f"keeper run ended with {process.returncode}: {self._last_words()}")

    async def _start(self, *arguments: str, stdout: int) -> asyncio.subprocess.Process:
        environment = {**os.environ, "KEEPER_PRIVATE_KEY": self.private_key, "KEEPER_CONFIG": str(self.config)}
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "keeper",
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stdout,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    def _last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


async def _end(process: asyncio.subprocess.Process) -> None:
    """Leave no child behind: ask a running one to stop, and make it after a while."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
