"""A market on a local chain, a counting proxy before it, and `keeper` as a child process behind that."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eth_account.typed_transactions import TypedTransaction
from hexbytes import HexBytes

from keeper.devnet.accounts import OPERATOR, TREASURY
from keeper.devnet.anvil import AnvilOptions
from keeper.devnet.settings import SettingsOptions
from keeper.devnet.tokens import token_of
from keeper.devnet.world import World, load_world
from tests.support import documents
from tests.support.canaries import with_access_key
from tests.support.cli import Keeper, Running
from tests.support.proxy import RpcProxy


@dataclass(slots=True, kw_only=True)
class Stage:
    """One world with its keeper. `gained` and `sent` count from the moment the stage was set."""

    world: World
    proxy: RpcProxy
    keeper: Keeper
    settings: SettingsOptions
    balances: dict[str, int]
    nonce: int

    async def gained(self) -> dict[str, int]:
        """Return what the treasury gained, by token address, leaving away what did not change."""
        now = await treasury(self.world)
        return {token: now[token] - raw for token, raw in self.balances.items() if now[token] != raw}

    def calls_sent(self) -> set[tuple[int, bytes]]:
        """(nonce, calldata) of everything offered; other bytes for the same are dearer by an eighth on both fields."""
        dearest: dict[tuple[int, bytes], tuple[int, int]] = {}
        raws = [seen.params[0] for seen in self.proxy.seen if seen.method == "eth_sendRawTransaction"]
        for raw in dict.fromkeys(raws):
            sent = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
            call = sent["nonce"], bytes(sent["data"])
            fees = sent["maxFeePerGas"], sent["maxPriorityFeePerGas"]
            before = dearest.get(call, (0, 0))
            assert all(8 * now >= 9 * then for now, then in zip(fees, before, strict=True)), (call, before, fees)
            dearest[call] = fees
        return set(dearest)

    async def sent(self) -> int:
        """Return how many transactions of the operator were mined."""
        return await operator_nonce(self.world) - self.nonce

    async def handled(self, *, within_s: float, running: Running | None = None) -> float:
        """Wait until `keeper estimate` finds nothing worth doing; return how long that took, fail when too long."""
        started_s = time.monotonic()
        while True:
            estimate = await self.keeper.json("estimate")
            waited_s = time.monotonic() - started_s
            if not estimate["plans"]:
                return waited_s
            words = running.err()[-3000:] if running else ""
            assert waited_s < within_s, f"{len(estimate['plans'])} plans are left after {waited_s:.0f} s {words}"

    async def check_ledger(self) -> list[dict[str, Any]]:
        """Check every transaction against ledger, chain and treasury; return the ledger's entries."""
        entries: list[dict[str, Any]] = (await self.keeper.json("pnl"))["entries"]
        mined = [entry for entry in entries if entry["status"] != "dry-run"]
        assert len(mined) == await self.sent()
        refused = [error for error in self.proxy.refused if "already" not in error["message"]]  # bytes handed out again
        assert not refused, refused
        for entry in mined:
            receipt = await self.world.anvil.rpc.call("eth_getTransactionReceipt", entry["transaction"])
            assert int(receipt["status"], 16) == 1, entry
            assert (entry["status"], entry["block"]) == ("success", int(receipt["blockNumber"], 16))
            paid_wei = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
            assert entry["gas_cost_wei"] == str(paid_wei)
        assert documents.received(mined) == await self.gained()
        return mined


async def treasury(world: World) -> dict[str, int]:
    """Return the treasury's balances by token address."""
    assets = world.market.assets
    raw = await world.builder.read_many([(token_of(asset), "balanceOf", (TREASURY,)) for asset in assets])
    return {asset.token: amount for asset, amount in zip(assets, raw, strict=True)}


async def operator_nonce(world: World) -> int:
    """Return how many transactions of the operator are mined."""
    return int(await world.anvil.rpc.call("eth_getTransactionCount", OPERATOR.address, "latest"), 16)


@asynccontextmanager
async def open_stage(
    state: Path,
    folder: Path,
    *,
    anvil: AnvilOptions | None = None,
    settings: SettingsOptions | None = None,
    websocket: bool = False,
) -> AsyncIterator[Stage]:
    """Load the world saved in `state` and write a configuration into `folder` that reaches it through the proxy."""
    async with load_world(state, anvil) as world, RpcProxy(world.anvil.http_url) as proxy:
        wanted = replace(
            settings or SettingsOptions(),
            rpc_urls=[with_access_key(proxy.http_url)],
            ws_url=with_access_key(proxy.ws_url) if websocket else None,
        )
        yield Stage(
            world=world,
            proxy=proxy,
            keeper=Keeper.at(folder, world.config_toml(wanted)),
            settings=wanted,
            balances=await treasury(world),
            nonce=await operator_nonce(world),
        )
