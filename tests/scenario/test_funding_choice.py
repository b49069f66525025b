"""What the commands fund runs from: the executor's own tokens, Morpho, a swap pool, or the market."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from keeper.devnet.accounts import OPERATOR, STRANGER, TREASURY
from keeper.devnet.settings import SettingsOptions
from keeper.devnet.tokens import mint, token_of
from keeper.devnet.world import World, WorldOptions, load_world, open_world
from keeper.domain.errors import Failed
from keeper.domain.units import Address, to_address
from keeper.lab.operator import KeeperCommand
from tests.support import documents
from tests.support.stage import treasury

FALL = {"WETH": -20, "WBTC": -20, "LINK": -20}
PLENTY_USD = 1_000_000


@pytest.fixture(scope="module")
async def funded_state(compiled_fixtures: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real Aave 3.0.2 and Uniswap, 30 borrowers, and Morpho with a million dollars of each asset."""
    folder = tmp_path_factory.mktemp("funded")
    async with open_world(WorldOptions(kind="aave-v3", borrowers=30, seed=1, morpho_usd=PLENTY_USD)) as world:
        await world.save(folder)
    return folder


@pytest.fixture
async def world(funded_state: Path) -> AsyncIterator[World]:
    async with load_world(funded_state) as opened:
        yield opened


async def keeper_with(
    world: World, folder: Path, *, morpho: Address | None = None, executor: Address | None = None
) -> tuple[KeeperCommand, Address]:
    """A configuration with `morpho`, or without one, and an executor deployed by the command unless one is given."""
    config = folder / "keeper.toml"

    def text(executor: Address | None) -> str:
        written = world.config_toml(SettingsOptions(executor=executor))
        plain = re.sub(r"^\[funding\]\nmorpho = .*\n", "", written, flags=re.MULTILINE)
        return plain if morpho is None else f'{plain}\n[funding]\nmorpho = "{morpho}"\n'

    keeper = KeeperCommand(config=config, private_key=OPERATOR.private_key, log=folder / "keeper.log")
    if executor is None:
        config.write_text(text(None), encoding="utf-8")
        executor = to_address((await keeper.call("deploy", "executor", "--treasury", TREASURY))["address"])
    config.write_text(text(executor), encoding="utf-8")
    return keeper, executor


async def run_and_check(world: World, keeper: KeeperCommand) -> list[dict[str, Any]]:
    """Liquidate all that pays; return the ledger's entries, each of which earned what was expected."""
    before = await treasury(world)
    await keeper.call("run", "--live", "--once")
    entries = [each for each in (await keeper.call("pnl"))["entries"] if each["kind"] == "liquidation"]
    gained = {token: raw - before[token] for token, raw in (await treasury(world)).items() if raw != before[token]}
    assert len(entries) >= 5
    assert all(each["status"] == "success" and each["expected_raw"] == each["realised_raw"] for each in entries)
    assert documents.received(entries) == gained
    return entries


def sources(entries: list[dict[str, Any]]) -> Counter[str]:
    return Counter(fund["source"] for entry in entries for fund in entry["detail"]["funds"])


async def test_free_loans_come_before_the_markets_own(world: World, tmp_path: Path) -> None:
    keeper, _ = await keeper_with(world, tmp_path, morpho=world.layout.morpho)
    await world.shock(FALL)
    plans = (await keeper.call("estimate"))["plans"]
    used = sources(entries := await run_and_check(world, keeper))
    print(dict(used))
    assert used["morpho-flash"]
    assert set(used) <= {"morpho-flash", "uniswap-v3-flash"}
    assert {fund["premium_raw"] for entry in entries for fund in entry["detail"]["funds"]} == {"0"}
    assert {fund["lender"] for plan in plans for fund in plan["funds"] if fund["source"] == "morpho-flash"} == {
        world.layout.morpho
    }


async def test_without_a_free_lender_the_pools_and_the_market_lend(world: World, tmp_path: Path) -> None:
    keeper, _ = await keeper_with(world, tmp_path)
    await world.shock(FALL)
    used = sources(await run_and_check(world, keeper))
    print(dict(used))
    assert used["uniswap-v3-flash"]
    assert used["aave-flash-loan"]
    assert set(used) == {"uniswap-v3-flash", "aave-flash-loan"}


async def test_ones_own_tokens_come_first_and_are_all_there_afterwards(world: World, tmp_path: Path) -> None:
    keeper, executor = await keeper_with(world, tmp_path, morpho=world.layout.morpho)
    await world.shock(FALL)
    async with world.transactions() as builder:
        for asset in world.market.assets:
            if not asset.spec.volatile:
                mint(builder, world.market, asset, asset.to_raw(200_000), executor)
        await builder.flush()
    balances = [(token_of(asset), "balanceOf", (executor,)) for asset in world.market.assets]
    before = await world.builder.read_many(balances)
    entries = await run_and_check(world, keeper)
    assert await world.builder.read_many(balances) == before
    stables = {asset.token for asset in world.market.assets if not asset.spec.volatile}
    in_stables = [fund for entry in entries for fund in entry["detail"]["funds"] if fund["token"] in stables]
    assert in_stables
    assert {fund["source"] for fund in in_stables} == {"own"}


async def test_a_lender_that_cannot_lend_is_named_at_the_start(world: World, tmp_path: Path) -> None:
    _, executor = await keeper_with(world, tmp_path)
    for command in (("estimate",), ("run", "--once"), ("run", "--live", "--once")):
        for lender, words in (
            (STRANGER.address, "address without code"),
            (world.layout.morpho, "not on the executor's list of flash lenders"),
        ):
            wrong, _ = await keeper_with(world, tmp_path, morpho=lender, executor=executor)
            with pytest.raises(Failed, match=words):
                await wrong.call(*command)
