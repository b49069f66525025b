"""Signed bytes that land when nobody expects them any more, and plans whose ground moved: they cost gas and no more."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keeper.devnet.anvil import AnvilOptions
from tests.support.cli import until
from tests.support.stage import Stage, open_stage

pytestmark = pytest.mark.anvil

FALL = {"WETH": -9, "WBTC": -9, "LINK": -9}
RISE = {"WETH": 12, "WBTC": 12, "LINK": 12}
SEND = "eth_sendRawTransaction"


@pytest.fixture
async def still(bundled_state: Path, tmp_path: Path) -> AsyncIterator[Stage]:
    """A market with unhealthy accounts on a chain that mines nothing until it is told to."""
    async with open_stage(bundled_state, tmp_path, anvil=AnvilOptions(no_mining=True)) as stage:
        await stage.world.shock(FALL)
        yield stage


async def send_and_end(stage: Stage) -> list[str]:
    """Let the keeper send, and end it; return the bytes that left."""
    running = await stage.keeper.start("run", "--live", "--json")
    await until(lambda: running.err().count('"sent"') >= 2, running=running)
    running.signal(signal.SIGTERM)
    assert (await running.end(15)).code == 0
    return [seen.params[0] for seen in stage.proxy.seen if seen.method == SEND]


async def statuses(stage: Stage, hashes: list[str]) -> set[str]:
    receipts = [await stage.world.anvil.rpc.call("eth_getTransactionReceipt", each) for each in hashes]
    return {receipt["status"] for receipt in receipts}


async def test_row_14_bytes_that_land_fifty_blocks_late_revert_and_cost_gas_only(still: Stage) -> None:
    sent = await send_and_end(still)
    anvil = still.world.anvil
    for pending in (await anvil.rpc.call("txpool_content"))["pending"].values():
        for transaction in pending.values():
            await anvil.rpc.call("anvil_dropTransaction", transaction["hash"])
    await anvil.mine(50)
    hashes = [await anvil.rpc.call("eth_sendRawTransaction", raw) for raw in sent]
    await anvil.mine()
    assert await statuses(still, hashes) == {"0x0"}
    assert await still.gained() == {}
    ended = await still.keeper.run("run", "--live", "--once", "--timeout", "1", "--json")
    booked = {entry["transaction"]: entry for entry in (await still.keeper.json("pnl"))["entries"]}
    assert ended.code in {0, 1}
    assert {booked[each]["status"] for each in hashes} == {"reverted"}
    assert {booked[each]["realised_raw"] for each in hashes} == {"0"}


async def test_row_33_prices_that_moved_before_inclusion_revert_and_are_not_tried_again(still: Stage) -> None:
    sent = await send_and_end(still)
    anvil = still.world.anvil
    held = [(each["from"], each) for group in (await anvil.rpc.call("txpool_content"))["pending"].values()
            for each in group.values()]  # fmt: skip
    for _, transaction in held:
        await anvil.rpc.call("anvil_dropTransaction", transaction["hash"])
    await still.world.shock(RISE)
    hashes = [await anvil.rpc.call("eth_sendRawTransaction", raw) for raw in sent]
    await anvil.mine()
    assert await statuses(still, hashes) == {"0x0"}
    assert await still.gained() == {}
    before = still.proxy.count(SEND)
    ended = await still.keeper.run("run", "--live", "--once", "--json")
    assert ended.code == 0
    assert {entry["status"] for entry in ended.document["entries"]} == {"reverted"}
    assert still.proxy.count(SEND) == before  # the account is healthy: no loop
