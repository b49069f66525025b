"""Local chains: processes that end, worlds that are what they say, states that survive."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import importlib.util
import os
import tomllib
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest
from eth_account import Account

from keeper.devnet import binary, moves
from keeper.devnet.accounts import OPERATOR, STRANGER
from keeper.devnet.anvil import Anvil, AnvilOptions
from keeper.devnet.builder import Builder, Contract
from keeper.devnet.layout import DEFAULT_ASSETS, Layout
from keeper.devnet.pricing import sqrt_price_x96, tick_near
from keeper.devnet.settings import SettingsOptions
from keeper.devnet.tokens import TOKEN, deploy_own, own_interface
from keeper.devnet.uniswap import V2_PAIR, v3_pool_price
from keeper.devnet.world import World, WorldOptions, load_world, open_world
from keeper.domain.errors import Failed
from keeper.domain.units import to_address

WAD = 10**18
FALL = {"WETH": -10, "WBTC": -10, "LINK": -10}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# --- the process ------------------------------------------------------------------------------------------------------


async def test_anvil_ends_with_its_context() -> None:
    async with Anvil(AnvilOptions(chain_id=1337)) as node:
        pid = node.pid
        assert await node.chain_id() == 1337
        assert alive(pid)
    assert not alive(pid)


async def test_anvil_ends_when_the_body_raises() -> None:
    pids = []

    async def fail_inside() -> None:
        async with Anvil() as node:
            pids.append(node.pid)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_inside()
    assert [alive(pid) for pid in pids] == [False]


async def test_two_anvils_do_not_meet() -> None:
    async with Anvil() as one, Anvil() as other:
        await one.mine(3)
        assert one.http_url != other.http_url
        assert (await one.block_number(), await other.block_number()) == (3, 0)


async def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    missing = tmp_path / "nothing.json"
    with pytest.raises(Failed, match="anvil ended before it listened"):
        async with Anvil(AnvilOptions(load_state=missing)):
            pass


def fake_anvil(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "anvil"
    program.write_text(text)
    program.chmod(0o755)
    return program


def test_a_broken_anvil_first_on_path_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEEPER_ANVIL", raising=False)
    good = binary.find_anvil()
    fake_anvil(tmp_path / "broken", "#!/bin/sh\nexit 1\n")
    fake_anvil(tmp_path / "launcher", "#!/usr/bin/env node\nconsole.log('anvil 1.7.1')\n")
    folders = [str(tmp_path / "broken"), str(tmp_path / "launcher"), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(folders))
    assert binary.find_anvil() == good


def test_a_broken_anvil_that_was_asked_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = fake_anvil(tmp_path, "#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("KEEPER_ANVIL", str(program))
    with pytest.raises(Failed, match=r"KEEPER_ANVIL=.*not a native binary"):
        binary.find_anvil()


def load_script(name: str) -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_download_with_another_digest_is_refused(tmp_path: Path) -> None:
    fetch_tools = load_script("fetch_tools")
    archive = tmp_path / "anvil.tgz"
    archive.write_bytes(b"not what was pinned")
    with pytest.raises(fetch_tools.FetchError, match="not the pinned"):
        fetch_tools.verify(archive, fetch_tools.PINS["anvil"]["linux-amd64"])
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    fetch_tools.verify(archive, digest)


def test_without_npm_the_fetch_fails_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch_tools = load_script("fetch_tools")
    monkeypatch.setattr(fetch_tools, "TOOLS_DIR", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert fetch_tools.main(["anvil"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("fetch_tools: ")


# --- transactions -----------------------------------------------------------------------------------------------------


async def test_a_failed_transaction_is_named(anvil: Anvil) -> None:
    await anvil.impersonate_all()
    builder = Builder(anvil, to_address((await anvil.accounts())[0]))
    await builder.prepare([STRANGER.address])
    token = deploy_own(builder, "TestToken", "Token", "TOK", 6)
    await builder.flush()
    builder.send(token, "transfer", STRANGER.address, 1)
    with pytest.raises(Failed, match=r"transfer.*failed"):
        await builder.flush()


def test_known_accounts_have_the_keys_they_say() -> None:
    for account in (OPERATOR, STRANGER):
        assert Account.from_key(account.private_key).address == account.address


# --- worlds -----------------------------------------------------------------------------------------------------------


def test_default_assets_span_the_decimals() -> None:
    assert len(DEFAULT_ASSETS) >= 4
    assert {spec.decimals for spec in DEFAULT_ASSETS} == {6, 8, 18}


async def test_falls_make_the_promised_shares_liquidatable(aave_state: Path) -> None:
    for percent, least in ((10, 15), (30, 40)):
        async with load_world(aave_state) as world:
            assert await world.unhealthy() == []
            await world.shock(dict.fromkeys(FALL, -percent))
            assert len(await world.unhealthy()) >= least


async def test_positions_have_one_to_three_collaterals_and_one_or_two_debts(aave_world: World) -> None:
    rows = await aave_world.account_data()
    assert len(rows) == 100
    assert all(row.debt_base > 0 for row in rows)
    configuration = own_interface("LendingPool")
    pool = Contract(address=aave_world.market.pool, interface=configuration)
    masks = await aave_world.builder.read_many([(pool, "getUserConfiguration", (row.account,)) for row in rows])
    debts = [(mask & int("01" * 64, 2)).bit_count() for mask in masks]
    collaterals = [(mask & int("10" * 64, 2)).bit_count() for mask in masks]
    assert set(debts) == {1, 2}
    assert set(collaterals) == {1, 2, 3}


async def test_the_same_seed_builds_the_same_world() -> None:
    seen = []
    for _ in range(2):
        async with open_world(WorldOptions(borrowers=10, seed=7)) as world:
            rows = await world.account_data()
            seen.append([(row.account, row.collateral_base) for row in rows])
    assert seen[0] == seen[1]


async def test_a_shock_moves_the_bundled_feeds_and_pools(bundled_world: World) -> None:
    await assert_shock_moves(bundled_world)


async def test_a_shock_moves_the_feeds_and_pools_beside_aave(aave_world: World) -> None:
    await assert_shock_moves(aave_world)


async def assert_shock_moves(world: World) -> None:
    before = await world.prices()
    height = await world.anvil.block_number()
    block = await world.shock(FALL)
    after = await world.prices()
    assert block == height + 1 == await world.anvil.block_number(), "all feeds in one block"
    assert all(after[symbol] == before[symbol] * Decimal("0.9") for symbol in FALL)
    assert after["USDC"] == before["USDC"]
    await assert_pools_follow(world)


async def assert_pools_follow(world: World) -> None:
    """Each pool's price stands within one percent of the feeds'."""
    answers = await moves.read_answers(world.builder, world.layout)
    assets = {asset.token: asset for asset in world.market.assets}
    for venue in world.venues:
        assert venue.pools
        for pool in venue.pools:
            first, second = assets[pool.token0], assets[pool.token1]
            wanted = sqrt_price_x96(
                answers[first.symbol], first.spec.decimals, answers[second.symbol], second.spec.decimals
            )
            if venue.protocol == "uniswap-v3":
                actual = await v3_pool_price(world.builder, pool)
            else:
                contract = Contract(address=pool.address, interface=V2_PAIR)
                reserve0, reserve1, _ = await world.builder.read(contract, "getReserves")
                actual = int((reserve1 / reserve0) ** 0.5 * 2**96)
            assert abs(actual / wanted - 1) < 0.005, (venue.protocol, first.symbol, second.symbol)


def test_ticks_match_their_prices() -> None:
    for tick in (-200_000, -1, 0, 1, 60, 199_999):
        sqrt_price = int((1.0001**tick) ** 0.5 * 2**96)
        assert abs(tick_near(sqrt_price) - tick) <= 1


async def test_policies_switch_the_revision(bundled_world: World) -> None:
    pool = Contract(address=bundled_world.market.pool, interface=own_interface("LendingPool"))
    for policy in (0, 1, 2, 3):
        await bundled_world.set_policy(policy)
        assert await bundled_world.builder.read(pool, "POOL_REVISION") == 1000 + policy


async def test_automine_comes_back(bundled_world: World) -> None:
    await bundled_world.shock({"WETH": -1})
    height = await bundled_world.anvil.block_number()
    call = {"from": OPERATOR.address, "to": STRANGER.address, "value": "0x1"}
    await bundled_world.anvil.rpc.call("eth_sendTransaction", call)
    for _ in range(100):
        if await bundled_world.anvil.block_number() == height + 1:
            return
        await asyncio.sleep(0.02)
    pytest.fail("the transaction was not mined at once")


# --- states -----------------------------------------------------------------------------------------------------------


async def test_a_loaded_world_goes_on_where_it_was_saved(bundled_world: World, tmp_path: Path) -> None:
    await bundled_world.shock(FALL)
    await bundled_world.save(tmp_path)
    head = await bundled_world.anvil.block()
    sick = await bundled_world.unhealthy()
    async with load_world(tmp_path) as loaded:
        assert await loaded.anvil.block() == head
        assert await loaded.unhealthy() == sick
        assert loaded.layout == bundled_world.layout
        await loaded.anvil.mine()
        later = await loaded.anvil.timestamp() - int(head["timestamp"], 16)
        assert later == 12, "saved time goes on; it does not jump to today"


async def test_a_fork_is_the_same_world_and_leaves_the_first_alone(aave_world: World) -> None:
    await aave_world.shock(FALL)
    sick = await aave_world.unhealthy()
    head = await aave_world.anvil.block()
    async with aave_world.fork() as fork:
        assert await fork.unhealthy() == sick
        await fork.shock({"WETH": -20})
        assert len(await fork.unhealthy()) > len(sick)
        later = await fork.anvil.timestamp() - int(head["timestamp"], 16)
        assert later == 12
    assert await aave_world.anvil.block() == head


async def test_layouts_survive_json(bundled_world: World, tmp_path: Path) -> None:
    await bundled_world.save(tmp_path)
    async with load_world(tmp_path) as again:
        assert isinstance(again.layout, Layout)
        assert again.layout.executor == bundled_world.layout.executor is not None
        token = Contract(address=again.tokens["WETH"], interface=TOKEN)
        assert await again.builder.read(token, "balanceOf", again.layout.deployer) >= 0


async def test_the_configuration_points_at_the_world(aave_world: World) -> None:
    text = aave_world.config_toml(SettingsOptions(requests_per_second=20, heartbeat_s=3600, state_path=Path("x")))
    read = tomllib.loads(text)
    assert read["chain"]["id"] == aave_world.layout.chain_id
    assert read["chain"]["rpc_urls"] == [aave_world.anvil.http_url]
    assert read["markets"][0]["addresses_provider"] == aave_world.market.addresses_provider
    assert {venue["protocol"] for venue in read["venues"]} == {"uniswap-v2", "uniswap-v3"}
    assert read["executor"]["address"] == aave_world.layout.executor
    assert len(read["feeds"]) == len(aave_world.market.assets)


async def test_chain_time_is_not_wall_clock_time(bundled_world: World) -> None:
    assert await bundled_world.anvil.timestamp() < 1_760_000_000
    rows = await bundled_world.account_data()
    assert min(row.health_factor_wad for row in rows) > WAD
