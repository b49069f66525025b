"""What goes wrong at a desk: each ends in one clear line and the documented exit code, and loses nothing."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from eth_account import Account

from keeper.devnet.accounts import OPERATOR, STRANGER, TREASURY
from keeper.devnet.anvil import AnvilOptions
from keeper.devnet.settings import SettingsOptions
from keeper.devnet.world import WorldOptions, open_world
from tests.support.canaries import PASSWORD
from tests.support.cli import Ended, Keeper
from tests.support.stage import Stage, open_stage

pytestmark = pytest.mark.anvil

NOBODY = "0x000000000000000000000000000000000000dEaD"
FALL = {"WETH": -9, "WBTC": -9, "LINK": -9}
SCAN, ESTIMATE, RUN = ("scan",), ("estimate",), ("run", "--once")
LIVE = ("run", "--live", "--once")


@pytest.fixture(scope="module")
async def stage(bundled_state: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A market with some unhealthy accounts. The tests here only break configurations, never the chain."""
    async with open_stage(bundled_state, tmp_path_factory.mktemp("stage")) as opened:
        await opened.world.shock(FALL)
        yield opened


def edited(stage: Stage, folder: Path, *changes: tuple[str, str], key: str | None = OPERATOR.private_key) -> Keeper:
    """Return a keeper whose configuration is the stage's with some text replaced."""
    assert stage.keeper.config is not None
    toml = stage.keeper.config.read_text()
    for old, new in changes:
        toml, count = re.subn(old, new, toml, flags=re.MULTILINE)
        assert count, old
    keeper = Keeper.at(folder, toml)
    keeper.key = key
    return keeper


async def refused(keeper: Keeper, *arguments: str, code: int, words: str) -> Ended:
    """Run a command that has to end with `code`, one line that holds `words`, and one document that says the same."""
    ended = await keeper.run(*arguments, "--json")
    assert ended.code == code, ended.err
    told = [line for line in ended.err.splitlines() if not line.startswith("{")]  # the rest is the log
    assert len(told) == 1, ended.err
    assert words in told[0], told[0]
    assert ended.document == {"error": {"message": told[0].removeprefix("keeper: "), "exit_code": code}}
    return ended


# --- the configuration ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((r"^min_profit_usd = .*$", "min_profit_us = 1"), "did you mean min_profit_usd?"),
        ((r"^rpc_urls", "rpc_url"), "did you mean rpc_urls?"),
        ((r"^\[policy\]$", "[policyy]"), "did you mean policy?"),
        ((r"^factory", "factry"), "did you mean factory?"),
        ((r"^id = .*$", 'id = "main"'), "chain.id"),
        ((r"^min_profit_usd = .*$", "min_profit_usd = -1"), "min_profit_usd"),
        ((r'^addresses_provider = "0x(.*)..."$', r'addresses_provider = "0x\1"'), "addresses_provider"),
        ((r'^protocol = "aave-v3"$', 'protocol = "aave-v9"'), "protocol"),
        ((r"^\[chain\]$", "[chain"), "TOML"),
        ((r"^id = .*$", "id = 31338"), "31338"),
    ],
)
async def test_a_wrong_configuration_is_named(
    stage: Stage, tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    await refused(edited(stage, tmp_path, change), *SCAN, code=3, words=words)


async def test_no_configuration_at_all(tmp_path: Path) -> None:
    missing = Keeper(folder=tmp_path, config=tmp_path / "nowhere.toml")
    await refused(missing, *SCAN, code=3, words="no such file")
    plain = await missing.run(*SCAN)
    assert (plain.code, plain.out, len(plain.err.splitlines())) == (3, "", 1)


@pytest.mark.parametrize(
    ("change", "command", "words"),
    [
        ((r"^addresses_provider = .*$", f'addresses_provider = "{NOBODY}"'), SCAN, NOBODY),
        ((r"^addresses_provider = .*$", f'addresses_provider = "{NOBODY}"'), RUN, NOBODY),
        ((r"^factory = .*$", f'factory = "{NOBODY}"'), ESTIMATE, NOBODY),
        ((r"^(\[executor\]\n)address = .*$", rf'\1address = "{NOBODY}"'), LIVE, NOBODY),
    ],
)
async def test_an_address_without_code_is_named(
    stage: Stage, tmp_path: Path, change: tuple[str, str], command: tuple[str, ...], words: str
) -> None:
    ended = await refused(edited(stage, tmp_path, change), *command, code=3, words=words)
    assert "without code" in ended.last_line


async def test_a_contract_that_is_something_else_is_named(stage: Stage, tmp_path: Path) -> None:
    token = stage.world.tokens["WETH"]
    provider = edited(stage, tmp_path / "p", (r"^addresses_provider = .*$", f'addresses_provider = "{token}"'))
    await refused(provider, *SCAN, code=3, words=token)
    factory = edited(stage, tmp_path / "f", (r"^factory = .*$", f'factory = "{token}"'))
    await refused(factory, *ESTIMATE, code=3, words=token)
    executor = edited(stage, tmp_path / "e", (r"^(\[executor\]\n)address = .*$", rf'\1address = "{token}"'))
    await refused(executor, *LIVE, code=3, words=token)


@pytest.mark.parametrize(
    ("section", "command", "words"),
    [
        ("venues", ESTIMATE, "venues"),
        ("venues", RUN, "venues"),
        ("signer", LIVE, "signer"),
        ("executor", LIVE, "deploy"),
    ],
)
async def test_what_a_command_needs_is_asked_for(
    stage: Stage, tmp_path: Path, section: str, command: tuple[str, ...], words: str
) -> None:
    keeper = edited(stage, tmp_path, (rf"^\[+{section}\]+\n(?:[a-z_]+ = .*\n)+", ""))
    await refused(keeper, *command, code=3, words=words)
    assert (await keeper.json("scan"))["liquidatable"]  # which does not need it


# --- the chain --------------------------------------------------------------------------------------------------------


async def test_a_dead_endpoint(stage: Stage, tmp_path: Path) -> None:
    with socket.socket() as bound:  # bound and not listening: nobody else gets the port, nobody answers
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        keeper = edited(stage, tmp_path, (r"^rpc_urls = .*$", f'rpc_urls = ["{url}"]'))
        for command in (SCAN, ESTIMATE, RUN, LIVE, ("run",)):
            await refused(keeper, *command, code=4, words="127.0.0.1")
        assert (await keeper.json("pnl"))["entries"] == []  # needs no chain


async def test_a_block_that_is_not_there(stage: Stage) -> None:
    await refused(stage.keeper, "scan", "--block", "99999999", code=4, words="99999999")


async def test_a_block_whose_state_is_gone(stage: Stage) -> None:
    """A chain loaded from a file has its old blocks, and not their state."""
    await refused(stage.keeper, "scan", "--block", "3", code=4, words="3")


# --- usage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("scan", "--blok", "3"), "--blok"),
        (("scan", "--block", "many"), "--block"),
        (("scan", "--block", "-1"), "--block"),
        (("sacn",), "sacn"),
        (("run", "--timeout", "soon"), "--timeout"),
        (("run", "--live", "--dry-run"), "--dry-run"),
        (("deploy", "executor"), "--treasury"),
        (("deploy", "exekutor"), "exekutor"),
    ],
)
async def test_bad_usage(stage: Stage, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    await refused(edited(stage, tmp_path), *arguments, code=2, words=words)


async def test_no_configuration_named(tmp_path: Path) -> None:
    await refused(Keeper(folder=tmp_path), *SCAN, code=2, words="--config")


async def test_an_account_that_is_no_address(stage: Stage) -> None:
    ended = await stage.keeper.run("estimate", "--account", "0x12", "--json")
    assert ended.code == 2
    assert ended.document["error"]["message"] == "--account '0x12' must be an address, 0x and 40 hexadecimal digits"


# --- keys, money, confirmation ----------------------------------------------------------------------------------------


def with_keystore(stage: Stage, folder: Path, *, password: str) -> Keeper:
    folder.mkdir(parents=True, exist_ok=True)
    keystore = Account.encrypt(OPERATOR.private_key, PASSWORD, kdf="pbkdf2", iterations=2)
    (folder / "key.json").write_text(orjson.dumps(keystore).decode())
    (folder / "password").write_text(f"{password}\n")
    (folder / "password").chmod(0o600)
    lines = 'keystore = "key.json"\npassword_file = "password"'
    return edited(stage, folder, (r"^allow_env_key = true$", lines), key=None)


async def test_a_wrong_password(stage: Stage, tmp_path: Path) -> None:
    keeper = with_keystore(stage, tmp_path, password="a guess")
    ended = await refused(keeper, *LIVE, code=3, words="password")
    assert "a guess" not in ended.err


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [("password", None, "password"), ("key.json", None, "key.json"), ("key.json", "{}", "key.json")],
)
async def test_a_keystore_that_cannot_be_used(
    stage: Stage, tmp_path: Path, file: str, content: str | None, words: str
) -> None:
    keeper = with_keystore(stage, tmp_path, password=PASSWORD)
    (tmp_path / file).unlink() if content is None else (tmp_path / file).write_text(content)
    await refused(keeper, *LIVE, code=3, words=words)


async def test_a_password_that_others_can_read(stage: Stage, tmp_path: Path) -> None:
    keeper = with_keystore(stage, tmp_path, password=PASSWORD)
    (tmp_path / "password").chmod(0o644)
    await refused(keeper, *LIVE, code=3, words="chmod 600")


@pytest.mark.parametrize("key", [None, "", "0x12", "not a key", "0x" + "0" * 64])
async def test_an_environment_without_a_usable_key(stage: Stage, tmp_path: Path, key: str | None) -> None:
    ended = await refused(edited(stage, tmp_path, key=key), *LIVE, code=3, words="KEEPER_PRIVATE_KEY")
    assert not key or key not in ended.err


async def test_a_signer_that_may_not_operate(stage: Stage, tmp_path: Path) -> None:
    keeper = edited(stage, tmp_path, key=STRANGER.private_key)
    await refused(keeper, *LIVE, code=3, words="not an operator")


async def test_a_signer_without_money(bundled_state: Path, tmp_path: Path) -> None:
    """None at all, and too little for one transaction: exit 1, nothing sent, nothing booked."""
    async with open_stage(bundled_state, tmp_path) as poor:
        await poor.world.shock(FALL)
        for balance_wei in (0, 10**12):
            await poor.world.anvil.set_balance(OPERATOR.address, balance_wei)
            await refused(poor.keeper, *LIVE, code=1, words="gas")
        assert poor.proxy.count("eth_sendRawTransaction") == 0
        assert (await poor.keeper.json("pnl"))["entries"] == []
        await poor.world.anvil.set_balance(OPERATOR.address, 10**18)
        assert (await poor.keeper.json(*LIVE))["entries"]
        await poor.check_ledger()


async def test_a_chain_that_is_no_devnet_wants_a_confirmation_and_a_keystore(tmp_path: Path) -> None:
    async with open_world(WorldOptions(borrowers=30, seed=1), AnvilOptions(chain_id=1)) as world:
        await world.deploy_executor()
        await world.shock(FALL)
        keeper = Keeper.at(tmp_path, world.config_toml())
        await refused(keeper, *LIVE, code=3, words="--yes")
        await refused(keeper, "run", "--live", code=3, words="chain 1")
        await refused(keeper, *LIVE, "--yes", code=3, words="allow_env_key")
        keystore = Account.encrypt(OPERATOR.private_key, "word", kdf="pbkdf2", iterations=2)
        (tmp_path / "key.json").write_text(orjson.dumps(keystore).decode())
        (tmp_path / "password").write_text("word\n")
        (tmp_path / "password").chmod(0o600)
        files = SettingsOptions(keystore=tmp_path / "key.json", password_file=tmp_path / "password")
        real = Keeper.at(tmp_path / "real", world.config_toml(files))
        real.key = None
        await refused(real, *LIVE, code=3, words="--yes")
        await refused(real, "deploy", "executor", "--treasury", TREASURY, code=3, words="--owner")
        document = await real.json(*LIVE, "--yes")
        assert {entry["status"] for entry in document["entries"]} == {"success"}


async def test_a_chain_of_another_id_is_never_sent_to(tmp_path: Path) -> None:
    """The configuration says devnet, the node says mainnet: refused whatever is confirmed."""
    async with open_world(WorldOptions(borrowers=2, seed=1), AnvilOptions(chain_id=1)) as world:
        await world.deploy_executor()
        keeper = Keeper.at(tmp_path, world.config_toml().replace("id = 1\n", "id = 31337\n"))
        await refused(keeper, *LIVE, "--yes", code=3, words="31337")


# --- the state file ---------------------------------------------------------------------------------------------------


async def test_the_state_folder_is_made(stage: Stage, tmp_path: Path) -> None:
    assert stage.keeper.config is not None
    toml = stage.keeper.config.read_text()
    for name, path, made in (
        ("folder", "deep/down", "deep/down/keeper.sqlite"),
        ("file", "else/where.sqlite3", "else/where.sqlite3"),
        ("unset", None, "keeper.state.sqlite"),
    ):
        keeper = Keeper.at(tmp_path / name, toml + (f'\n[state]\npath = "{path}"\n' if path else ""))
        await keeper.json("run", "--once")
        assert (tmp_path / name / made).stat().st_mode & 0o077 == 0
        assert (await keeper.json("pnl"))["entries"]


async def test_a_state_path_that_cannot_be_written(stage: Stage, tmp_path: Path) -> None:
    assert stage.keeper.config is not None
    (tmp_path / "in-the-way").write_text("a file, no folder")
    keeper = Keeper.at(tmp_path, stage.keeper.config.read_text() + '\n[state]\npath = "in-the-way/state"\n')
    await refused(keeper, *RUN, code=3, words="in-the-way")
    other = Keeper.at(tmp_path / "other", stage.keeper.config.read_text() + '\n[state]\npath = "notes.db"\n')
    (tmp_path / "other" / "notes.db").write_text("shopping list, long enough to be no empty file\n" * 100)
    await refused(other, *RUN, code=3, words="notes.db")
    assert (tmp_path / "other" / "notes.db").read_text().startswith("shopping list")


async def test_a_second_sender_is_refused(bundled_state: Path, tmp_path: Path) -> None:
    async with open_stage(bundled_state, tmp_path) as stage:
        async with stage.keeper.daemon("--live") as running:
            await refused(stage.keeper, *LIVE, code=1, words=str(running.process.pid))
            await refused(stage.keeper, "deploy", "executor", "--treasury", TREASURY, code=1, words="another keeper")
            await stage.keeper.json("scan")
            await stage.keeper.json("run", "--once")
            await stage.keeper.json("pnl")
        await stage.keeper.json(*LIVE)


# --- prices that cannot be used ---------------------------------------------------------------------------------------


async def test_a_stale_feed_stops_estimate_and_run_and_not_scan(bundled_state: Path, tmp_path: Path) -> None:
    settings = SettingsOptions(heartbeat_s=3600)
    async with open_stage(bundled_state, tmp_path, settings=settings) as stage:
        await stage.world.shock(FALL)
        await stage.world.refresh_feeds()
        fresh = await stage.keeper.json("scan")
        assert fresh["liquidatable"]
        assert not any(account["stale"] for account in fresh["liquidatable"])
        assert (await stage.keeper.json("estimate"))["plans"]
        await stage.world.anvil.set_next_timestamp(await stage.world.anvil.timestamp() + 3 * 3600)
        await stage.world.anvil.mine()
        await check_nothing_is_done(stage, reason="feed_stale")
        scan = await stage.keeper.json("scan")
        assert scan["liquidatable"]
        assert all(account["stale"] for account in scan["liquidatable"])


async def test_a_market_whose_oracle_reverts(bundled_state: Path, tmp_path: Path) -> None:
    async with open_stage(bundled_state, tmp_path) as stage:
        await stage.world.shock(FALL)
        await stage.world.anvil.set_code(stage.world.market.oracle, bytes.fromhex("60006000fd"))
        await check_nothing_is_done(stage, reason="oracle_reverted")
        scan = await stage.keeper.json("scan")
        assert scan["liquidatable"] == []
        assert scan["markets"][0]["unpriced_accounts"] == scan["markets"][0]["accounts"] > 0


async def test_one_feed_that_reverts(bundled_state: Path, tmp_path: Path) -> None:
    """Whoever holds the token cannot be judged; the others can."""
    async with open_stage(bundled_state, tmp_path) as stage:
        await stage.world.shock(FALL)
        await stage.world.anvil.set_code(stage.world.feeds["LINK"], bytes.fromhex("60006000fd"))
        estimate = await stage.keeper.json("estimate")
        assert estimate["rejected"]
        assert {each["reason"] for each in estimate["rejected"]} <= {"price_missing", "oracle_reverted"}
        scan = await stage.keeper.json("scan")
        assert 0 < scan["markets"][0]["unpriced_accounts"] < scan["markets"][0]["accounts"]
        assert (await stage.keeper.json(*LIVE))["entries"]
        await stage.check_ledger()


async def check_nothing_is_done(stage: Stage, *, reason: str) -> None:
    """Estimate and both kinds of run end well, do nothing, and say why."""
    estimate = await stage.keeper.json("estimate")
    assert estimate["plans"] == []
    assert {each["reason"] for each in estimate["rejected"]} == {reason}
    assert all(each["detail"] and each["market"] == "bundled" for each in estimate["rejected"])
    for command in (RUN, LIVE):
        ended = await stage.keeper.run(*command, "--json")
        assert (ended.code, ended.document["attempts"], ended.document["entries"]) == (0, [], [])
        assert {line["reason"] for line in ended.log("rejected")} == {reason}
    async with stage.keeper.daemon("--live"):
        await asyncio.sleep(1.5)
    assert stage.proxy.count("eth_sendRawTransaction") == 0
