"""A second client: npm's hardhat, whose pool has replacement rules of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from keeper.devnet.rpc import JsonRpc

ROOT = Path(__file__).resolve().parents[2]
CHAIN_ID = 31337
_LISTENING = re.compile(rb"JSON-RPC server at (http://\S+?)/?\s")
_CONFIG = """module.exports = {
  networks: { hardhat: { chainId: %d, hardfork: "cancun", mining: { auto: false, interval: 0 } } },
};
"""
_START_S = 60.0


@asynccontextmanager
async def open_hardhat() -> AsyncIterator[JsonRpc]:
    """Run a chain that mines nothing by itself, on a port of the kernel's choice; yield a client for it."""
    with tempfile.TemporaryDirectory(prefix="keeper-hardhat-") as name:
        folder = Path(name)
        (folder / "hardhat.config.cjs").write_text(_CONFIG % CHAIN_ID, encoding="utf-8")
        (folder / "node_modules").symlink_to(ROOT / "node_modules")  # it insists on being installed where it runs
        process = await asyncio.create_subprocess_exec(
            *("npx", "--no-install", "hardhat", "--config", "hardhat.config.cjs"),
            *("node", "--hostname", "127.0.0.1", "--port", "0"),
            cwd=folder,
            env={**os.environ, "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true", "NO_COLOR": "1"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            process_group=0,
        )
        assert process.stdout is not None
        drain: asyncio.Task[None] | None = None
        try:
            url = await asyncio.wait_for(_read_url(process.stdout), _START_S)
            drain = asyncio.create_task(_discard(process.stdout), name="drain-hardhat")
            async with JsonRpc(url) as node:
                yield node
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            if drain is not None:
                await drain


async def _read_url(output: asyncio.StreamReader) -> str:
    said = b""
    while part := await output.read(1 << 12):
        said += part
        if found := _LISTENING.search(said):
            return found[1].decode()
    raise AssertionError(f"hardhat ended before it listened: {said[-500:]!r}")


async def _discard(output: asyncio.StreamReader) -> None:
    while await output.read(1 << 16):
        pass
