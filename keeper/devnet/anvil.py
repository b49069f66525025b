"""One anvil process of our own, and the controls of its chain."""

import asyncio
import contextlib
import gzip
import os
import re
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from keeper.devnet.binary import find_anvil
from keeper.devnet.rpc import JsonRpc
from keeper.domain.errors import Failed
from keeper.domain.units import Address

_LISTENING = re.compile(r"Listening on ([0-9.]+):(\d+)")
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnvilOptions:
    """How to start a chain. Times are in seconds; what is None is left to anvil."""

    chain_id: int = 31337
    port: int = 0
    block_time_s: float | None = None
    no_mining: bool = False
    mixed_mining: bool = False
    fork_url: str | None = None
    fork_block: int | None = None
    load_state: Path | None = None
    timestamp: int | None = None
    accounts: int = 10
    hardfork: str | None = None
    base_fee_wei: int | None = None
    gas_limit: int | None = None
    slots_in_an_epoch: int | None = None
    preserve_history: bool = False
    extra: tuple[str, ...] = field(default=())

    def arguments(self) -> list[str]:
        """Return anvil's command line, without the program."""
        args = ["--host", "127.0.0.1", "--port", str(self.port), "--no-request-size-limit", "--order", "fees"]
        if self.fork_url is None:  # a fork takes the chain id of what it forks
            args += ["--chain-id", str(self.chain_id)]
        else:
            # Without this flag state is cached under the home folder by chain id and number, whatever chain it was.
            args += ["--fork-url", self.fork_url, "--no-storage-caching", "--no-rate-limit"]
        valued = {
            "--block-time": self.block_time_s,
            "--fork-block-number": self.fork_block,
            "--load-state": self.load_state,
            "--timestamp": self.timestamp,
            "--accounts": self.accounts,
            "--hardfork": self.hardfork,
            "--block-base-fee-per-gas": self.base_fee_wei,
            "--gas-limit": self.gas_limit,
            "--slots-in-an-epoch": self.slots_in_an_epoch,
        }
        for name, value in valued.items():
            if value is not None:
                args += [name, str(value)]
        flags = {
            "--no-mining": self.no_mining,
            "--mixed-mining": self.mixed_mining,
            "--preserve-historical-states": self.preserve_history,
        }
        return args + [name for name, wanted in flags.items() if wanted] + list(self.extra)


class Anvil:
    """A running anvil: an async context manager that ends its own process and nothing else.

    `rpc` speaks to it; `http_url` and `ws_url` are for others. Leaving the context stops the whole process group, so
    no child stays behind even when the body raises.
    """

    def __init__(self, options: AnvilOptions | None = None, *, binary: Path | None = None) -> None:
        self.options = options or AnvilOptions()
        self._binary = binary
        self._process: asyncio.subprocess.Process | None = None
        self._drain: asyncio.Task[None] | None = None
        self._rpc: JsonRpc | None = None
        self._tail: list[str] = []

    @property
    def rpc(self) -> JsonRpc:
        """The client of this node; raises Failed before the start."""
        if self._rpc is None:
            raise Failed("anvil is not started")
        return self._rpc

    @property
    def http_url(self) -> str:
        """Return http://127.0.0.1:port."""
        return self.rpc.url

    @property
    def ws_url(self) -> str:
        """Return ws://127.0.0.1:port."""
        return "ws" + self.rpc.url.removeprefix("http")

    @property
    def pid(self) -> int:
        """Return the process id (also the process group's)."""
        if self._process is None:
            raise Failed("anvil is not started")
        return self._process.pid

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the process and wait until it answers; raises Failed with anvil's last words when it does not."""
        binary = self._binary or await asyncio.to_thread(find_anvil)
        self._process = await asyncio.create_subprocess_exec(
            str(binary),
            *self.options.arguments(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            process_group=0,
            limit=1 << 24,
        )
        try:
            url = await asyncio.wait_for(self._read_url(), _START_TIMEOUT_S)
            self._rpc = JsonRpc(url)
            self._drain = asyncio.create_task(self._discard_output(), name="drain-anvil")
            await self._check_chain()
        except BaseException as error:
            await self.stop()
            if isinstance(error, TimeoutError):
                raise Failed(f"anvil did not start within {_START_TIMEOUT_S:.0f} s") from error
            raise

    async def stop(self) -> None:
        """End the process group, gently first; returns when it is gone. Does nothing when it is not running."""
        if self._rpc is not None:
            await self._rpc.close()
        if self._process is not None and self._process.returncode is None:
            _signal_group(self._process.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), _STOP_TIMEOUT_S)
            except TimeoutError:
                _signal_group(self._process.pid, signal.SIGKILL)
                await self._process.wait()
        if self._drain is not None:
            await self._drain
            self._drain = None

    async def _read_url(self) -> str:
        assert self._process is not None and self._process.stdout is not None  # noqa: S101, PT018 - narrows for mypy
        async for line in self._process.stdout:
            text = line.decode(errors="replace").rstrip()
            self._tail = [*self._tail[-20:], text]
            found = _LISTENING.search(text)
            if found:
                return f"http://{found[1]}:{found[2]}"
        words = [text for text in self._tail if text.strip()]
        raise Failed(f"anvil ended before it listened: {words[-1] if words else 'no output'}")

    async def _discard_output(self) -> None:
        """Keep the pipe empty; a full one would stop anvil."""
        assert self._process is not None and self._process.stdout is not None  # noqa: S101, PT018 - narrows for mypy
        while await self._process.stdout.read(1 << 16):
            pass

    async def _check_chain(self) -> None:
        """Make sure it is our process that answers: a busy port would show somebody else's chain."""
        chain_id = await self.chain_id()
        if self.options.fork_url is None and chain_id != self.options.chain_id:
            raise Failed(f"{self.http_url} answers with chain id {chain_id}, not {self.options.chain_id}")

    # --- controls ------------------------------------------------------------------------------------------------

    async def chain_id(self) -> int:
        """Return the chain id."""
        return int(await self.rpc.call("eth_chainId"), 16)

    async def block_number(self) -> int:
        """Return the newest block's number."""
        return int(await self.rpc.call("eth_blockNumber"), 16)

    async def block(self, tag: int | str = "latest") -> dict[str, Any]:
        """Return a block without its transactions' bodies."""
        name = hex(tag) if isinstance(tag, int) else tag
        found: dict[str, Any] = await self.rpc.call("eth_getBlockByNumber", name, False)
        return found

    async def timestamp(self, tag: int | str = "latest") -> int:
        """Return a block's time."""
        return int((await self.block(tag))["timestamp"], 16)

    async def mine(self, blocks: int = 1) -> None:
        """Mine `blocks` blocks, in pieces small enough never to time out."""
        while blocks > 0:
            piece = min(blocks, 1000)
            await self.rpc.call("anvil_mine", hex(piece))
            blocks -= piece

    async def set_automine(self, on: bool) -> None:  # noqa: FBT001 - a switch
        """Mine at each transaction, or only when told to."""
        await self.rpc.call("evm_setAutomine", on)

    async def set_interval_mining(self, seconds: int) -> None:
        """Mine a block every `seconds`; 0 ends it."""
        await self.rpc.call("evm_setIntervalMining", seconds)

    async def set_next_timestamp(self, timestamp: int) -> None:
        """Fix the time of the next block; it must be later than the newest one's."""
        await self.rpc.call("evm_setNextBlockTimestamp", timestamp)

    async def set_block_interval(self, seconds: int | None) -> None:
        """Give each block the time of its parent plus `seconds`, whatever the wall clock; None undoes it."""
        if seconds is None:
            await self.rpc.call("anvil_removeBlockTimestampInterval")
        else:
            await self.rpc.call("anvil_setBlockTimestampInterval", seconds)

    async def set_balance(self, account: Address, wei: int) -> None:
        """Set an account's native balance."""
        await self.rpc.call("anvil_setBalance", account, hex(wei))

    async def set_code(self, account: Address, code: bytes) -> None:
        """Put `code` at an address."""
        await self.rpc.call("anvil_setCode", account, "0x" + code.hex())

    async def set_next_base_fee(self, wei: int) -> None:
        """Fix the next block's base fee."""
        await self.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(wei))

    async def impersonate_all(self, on: bool = True) -> None:  # noqa: FBT001, FBT002 - a switch
        """Let `eth_sendTransaction` speak for any account."""
        await self.rpc.call("anvil_autoImpersonateAccount", on)

    async def snapshot(self) -> str:
        """Return the id of a snapshot; a revert uses it up."""
        return str(await self.rpc.call("evm_snapshot"))

    async def revert(self, snapshot: str) -> None:
        """Go back to a snapshot."""
        if await self.rpc.call("evm_revert", snapshot) is not True:
            raise Failed(f"anvil does not know snapshot {snapshot}")

    async def dump_state(self) -> bytes:
        """Return the chain (state, blocks, receipts) as the JSON that `--load-state` reads."""
        return gzip.decompress(bytes.fromhex((await self.rpc.call("anvil_dumpState"))[2:]))

    async def accounts(self) -> Sequence[Address]:
        """Return the unlocked accounts the node started with."""
        return [Address(account) for account in await self.rpc.call("eth_accounts")]


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder that goes away with its context."""
    return tempfile.TemporaryDirectory(prefix="keeper-devnet-")


def _signal_group(group: int, which: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended by itself
        os.killpg(group, which)
