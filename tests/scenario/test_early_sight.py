"""A price still in the mempool: the plan is ready before the block, nothing is sent before the price is mined."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from keeper.devnet.anvil import AnvilOptions
from keeper.devnet.world import WorldOptions, open_world
from tests.support.cli import Running, until
from tests.support.ocr import OcrPrice
from tests.support.stage import Stage, open_stage

pytestmark = pytest.mark.anvil

SEND = "eth_sendRawTransaction"
FALL_BPS = 8_300


@pytest.fixture(scope="module")
async def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a saved bundled market of 60 borrowers."""
    folder = tmp_path_factory.mktemp("early")
    async with open_world(WorldOptions(borrowers=60, seed=5)) as world:
        await world.deploy_executor()
        await world.save(folder)
    return folder


@asynccontextmanager
async def _live(
    crowd: Path, folder: Path, *, forwarded: bool = False
) -> AsyncIterator[tuple[Stage, OcrPrice, Running]]:
    """The daemon, live, on a chain that mines when told to, with WETH priced by reports."""
    async with open_stage(crowd, folder, anvil=AnvilOptions(no_mining=True), websocket=True) as stage:
        price = await OcrPrice.install(stage.world, "WETH", forwarded=forwarded)
        async with stage.keeper.daemon("--live") as running:
            await until(lambda: stage.proxy.count("eth_subscribe") >= 3, running=running)
            await stage.world.anvil.mine()
            await asyncio.sleep(0.5)
            yield stage, price, running


def _said(running: Running, event: str) -> int:
    return running.err().count(f'"event":"{event}"') + running.err().count(f'"event": "{event}"')


@pytest.mark.parametrize("forwarded", [False, True], ids=["direct", "forwarded"])
async def test_plan_is_ready_before_the_block_and_lands_right_behind_it(
    crowd: Path, tmp_path: Path, forwarded: bool
) -> None:
    async with _live(crowd, tmp_path, forwarded=forwarded) as (stage, price, running):
        anvil = stage.world.anvil
        transaction = await price.submit(await price.answer() * FALL_BPS // 10_000)
        await until(lambda: _said(running, "plan ready") > 0, timeout_s=10, running=running)
        assert transaction in running.err()
        await asyncio.sleep(1.0)
        assert stage.proxy.count(SEND) == 0  # ready, and not sent
        await anvil.mine()
        written_in = int((await anvil.rpc.call("eth_getTransactionReceipt", transaction))["blockNumber"], 16)
        await until(lambda: stage.proxy.count(SEND) > 0, timeout_s=10, running=running)
        await anvil.mine()
        await until(lambda: _said(running, "mined") > 0, timeout_s=10, running=running)
    entries = await stage.keeper.json("pnl")
    first = entries["entries"][0]
    assert (first["status"], first["block"]) == ("success", written_in + 1)


async def test_transmission_that_would_revert_prepares_nothing(crowd: Path, tmp_path: Path) -> None:
    """A report of an epoch that was reported already."""
    async with _live(crowd, tmp_path) as (stage, price, running):
        answer = await price.answer()
        await price.submit(answer * FALL_BPS // 10_000, epoch=1)
        await until(lambda: "would-revert" in running.err(), timeout_s=10, running=running)
        for _ in range(3):
            await stage.world.anvil.mine()
            await asyncio.sleep(0.5)
        assert await price.answer() == answer
        assert (_said(running, "plan ready"), stage.proxy.count(SEND)) == (0, 0)


async def test_transmission_that_is_replaced_sends_nothing(crowd: Path, tmp_path: Path) -> None:
    async with _live(crowd, tmp_path) as (stage, price, running):
        answer, nonce = await price.answer(), await price.nonce()
        await price.submit(answer * FALL_BPS // 10_000)
        await until(lambda: _said(running, "plan ready") > 0, timeout_s=10, running=running)
        await price.replace_by_nothing(nonce)
        await until(lambda: '"replaced"' in running.err(), timeout_s=10, running=running)
        for _ in range(3):
            await stage.world.anvil.mine()
            await asyncio.sleep(0.5)
        assert await price.answer() == answer
        assert stage.proxy.count(SEND) == 0


async def test_transmission_that_never_lands_sends_nothing(crowd: Path, tmp_path: Path) -> None:
    async with _live(crowd, tmp_path) as (stage, price, running):
        answer = await price.answer()
        transaction = await price.submit(answer * FALL_BPS // 10_000)
        await until(lambda: _said(running, "plan ready") > 0, timeout_s=10, running=running)
        await stage.world.anvil.rpc.call("anvil_dropTransaction", transaction)
        for _ in range(12):
            await stage.world.anvil.mine()
            await asyncio.sleep(0.2)
        await until(lambda: '"expired"' in running.err(), timeout_s=10, running=running)
        assert await price.answer() == answer
        assert stage.proxy.count(SEND) == 0
