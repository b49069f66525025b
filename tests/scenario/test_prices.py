"""Feeds in trouble, each through the whole command: the right decision, with its reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keeper.devnet.builder import Contract
from keeper.devnet.settings import toml_table
from keeper.devnet.tokens import deploy_own, own_interface
from keeper.devnet.world import World
from keeper.domain.units import Address
from tests.support.cli import Keeper, until
from tests.support.ocr import OcrPrice
from tests.support.stage import Stage, open_stage

FALL = {"WETH": -20, "WBTC": -18}


@pytest.fixture
async def stage(bundled_state: Path, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(bundled_state, tmp_path) as opened:
        yield opened


def _with(stage: Stage, *tables: str, chain: str = "") -> Keeper:
    """The stage's configuration with more tables, and more lines under [chain]."""
    assert stage.keeper.config is not None
    toml = stage.keeper.config.read_text(encoding="utf-8").replace("[chain]\n", f"[chain]\n{chain}\n")
    return Keeper.at(stage.keeper.folder, "\n".join([toml, *tables]))


async def _reasons(keeper: Keeper) -> set[str]:
    estimate = await keeper.json("estimate")
    return {each["reason"] for each in estimate["rejected"]}


def _aggregator(world: World, symbol: str) -> Contract:
    return Contract(address=world.market.asset(symbol).aggregator, interface=own_interface("PriceFeed"))


async def _report(world: World, symbol: str, name: str, *arguments: int) -> None:
    async with world.transactions() as builder:
        builder.send(_aggregator(world, symbol), name, *arguments)
        await builder.flush()


async def _new_feed(world: World, answer: int, decimals: int = 8, at_s: int | None = None) -> Address:
    async with world.transactions() as builder:
        feed = deploy_own(builder, "PriceFeed", decimals, "stand-in", builder.deployer)
        await builder.flush()
        arguments = ("transmit", answer) if at_s is None else ("transmitAt", answer, at_s)
        builder.send(feed, *arguments)
        await builder.flush()
    return feed.address


async def _holders(stage: Stage, symbol: str) -> set[str]:
    """The unhealthy accounts that hold or owe a token."""
    token = stage.world.tokens[symbol]
    scan = await stage.keeper.json("scan")
    return {
        each["account"]
        for each in scan["liquidatable"]
        for pair in each["pairs"]
        if token in (pair["debt"], pair["collateral"])
    }


async def test_stale_zero_and_negative_answers_stop_what_they_price(stage: Stage) -> None:
    world = stage.world
    await world.shock(FALL)
    assert (await stage.keeper.json("estimate"))["plans"]
    now_s = await world.anvil.timestamp()
    for symbol, call, reason in (
        ("WETH", ("transmitAt", int((await world.prices())["WETH"] * 10**8), now_s - 100_000), "feed_stale"),
        ("WETH", ("transmit", 0), None),
        ("WETH", ("transmit", -5), None),
    ):
        await _report(world, symbol, *call)
        estimate = await stage.keeper.json("estimate")
        # the oracle itself refuses a zero or negative answer: then the price is missing, for the pool as well
        wanted = {reason} if reason else {"price_missing", "feed_negative_or_zero"}
        assert {each["reason"] for each in estimate["rejected"]} & wanted, estimate["rejected"]
        token = world.tokens[symbol]
        assert all(token not in (plan["debt"], plan["collateral"]) for plan in estimate["plans"])


async def test_jump_is_held_until_the_second_source_follows(stage: Stage) -> None:
    world = stage.world
    weth = (await world.prices())["WETH"]
    second = await _new_feed(world, int(weth * 10**8))
    keeper = _with(stage, toml_table("[[feeds]]", token=world.tokens["WETH"], max_jump_bps=300, second_source=second))
    await world.shock({"WETH": -20})
    assert "feed_jump_unconfirmed" in await _reasons(keeper)
    holders = await _holders(stage, "WETH")
    estimate = await keeper.json("estimate")
    assert holders
    assert not {plan["account"] for plan in estimate["plans"]} & holders
    ended = await keeper.run("run", "--live", "--once", "--json")
    assert ended.code == 0
    assert await stage.sent() == 0
    async with world.transactions() as builder:
        feed = Contract(address=second, interface=own_interface("PriceFeed"))
        builder.send(feed, "transmit", int((await world.prices())["WETH"] * 10**8))
        await builder.flush()
    assert "feed_jump_unconfirmed" not in await _reasons(keeper)
    assert (await keeper.json("estimate"))["plans"]


async def test_jump_is_believed_after_the_blocks_the_operator_set(stage: Stage) -> None:
    """The daemon remembers from when it stands; a single command has seen nothing before."""
    world = stage.world
    keeper = _with(stage, toml_table("[[feeds]]", token=world.tokens["WETH"], max_jump_bps=300, jump_blocks=6))
    async with keeper.daemon("--live") as running:
        await until(lambda: stage.proxy.count("eth_getLogs") > 0, running=running)
        await world.anvil.mine()
        await asyncio.sleep(1.0)
        await world.shock({"WETH": -20})
        await until(lambda: "feed_jump_unconfirmed" in running.err(), timeout_s=15, running=running)
        assert await stage.sent() == 0
        for _ in range(7):
            await world.anvil.mine()
        await until(stage.sent, timeout_s=20, running=running)


@pytest.mark.parametrize("what", ["down", "grace", "up"])
async def test_sequencer(stage: Stage, what: str) -> None:
    """The uptime feed is a stand-in: an ordinary feed that answers 0 or 1."""
    world = stage.world
    now_s = await world.anvil.timestamp()
    feed = await _new_feed(world, int(what == "down"), 0, now_s - {"down": 10, "grace": 600, "up": 10_000}[what])
    keeper = _with(stage, chain=f'sequencer_feed = "{feed}"')
    await world.shock(FALL)
    estimate = await keeper.json("estimate")
    reasons = {each["reason"] for each in estimate["rejected"]}
    if what == "up":
        assert estimate["plans"]
    else:
        assert not estimate["plans"]
        assert reasons == {f"sequencer_{what}"}
        assert (await keeper.run("run", "--live", "--once", "--json")).code == 0
        assert await stage.sent() == 0


async def test_repointed_proxy_is_followed(bundled_state: Path, tmp_path: Path) -> None:
    """The proxy says nothing about it; prices and events come from the new aggregator from the next block on."""
    async with open_stage(bundled_state, tmp_path, websocket=True) as stage:
        world = stage.world
        async with stage.keeper.daemon("--live") as running:
            await until(lambda: stage.proxy.count("eth_subscribe") >= 3, running=running)
            before = stage.proxy.count("eth_subscribe")
            price = await OcrPrice.install(world, "WETH")
            await until(lambda: "feed repointed" in running.err(), timeout_s=15, running=running)
            await until(lambda: stage.proxy.count("eth_subscribe") > before, timeout_s=15, running=running)
            last = [
                seen.params for seen in stage.proxy.seen if seen.method == "eth_subscribe" and seen.params[0] == "logs"
            ][-1]
            assert price.feed.address in last[1]["address"]
            await price.submit(await price.answer() * 78 // 100)
            await until(stage.sent, timeout_s=20, running=running)
        await stage.check_ledger()
