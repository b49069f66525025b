"""What the loader takes, and what it says about a file that is wrong."""

from __future__ import annotations

import os
import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from keeper.config.load import environment_key, load_settings, read_password, state_file
from keeper.domain.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]
ADDRESS = "0x" + "ab" * 20
CHECKSUMMED = "0xABaBaBaBABabABabAbAbABAbABabababaBaBABaB"
CHAIN = '[chain]\nid = 31337\nrpc_urls = ["http://127.0.0.1:8545"]\n'
MARKET = f'[[markets]]\nname = "main"\nprotocol = "aave-v3"\naddresses_provider = "{ADDRESS}"\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "keeper.toml"
    path.write_text(CHAIN + MARKET)
    return path


def refusal(path: Path, text: str) -> str:
    """Write `text`, load it, and return the one line it is refused with."""
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    line = str(caught.value)
    assert "\n" not in line
    assert caught.value.exit_code == 3
    return line


def test_the_least_there_may_be(config: Path) -> None:
    settings = load_settings(config)
    assert settings.chain.confirmations == 1
    assert settings.markets[0].addresses_provider == CHECKSUMMED
    assert settings.policy.min_profit_usd == 1
    assert (settings.signer, settings.executor, settings.state, settings.venues, settings.feeds) == (
        None, None, None, (), (),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        (CHAIN + "confirmation = 3\n" + MARKET, "chain.confirmation; did you mean confirmations?"),
        (CHAIN + MARKET + "[polic]\nsizing = 'max'\n", "polic; did you mean policy?"),
        (CHAIN + MARKET + "start_blok = 4\n", "markets.0.start_blok; did you mean start_block?"),
        (CHAIN + MARKET + f"[[venues]]\nprotocol = 'uniswap-v2'\nfactry = '{ADDRESS}'\n", "did you mean factory?"),
        (CHAIN + MARKET + f"[funding]\nmorfo = '{ADDRESS}'\n", "funding.morfo; did you mean morpho?"),
        (CHAIN + MARKET + "[policy]\nminimum_profit_usd = 1\n", "did you mean min_profit_usd?"),
    ],
)
def test_an_unknown_key_names_the_nearest_right_one(config: Path, wrong: str, meant: str) -> None:
    assert meant in refusal(config, wrong)


def test_a_key_like_no_other_lists_what_is_known(config: Path) -> None:
    line = refusal(config, CHAIN + MARKET + "[state]\nzzzz = 1\n")
    assert "unknown key state.zzzz; known here: path" in line


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        (CHAIN.replace("31337", "0") + MARKET, "chain.id", "0"),
        (CHAIN + MARKET.replace(ADDRESS, "0x12"), "markets.0.addresses_provider", "'0x12'"),
        (CHAIN + MARKET.replace("aave-v3", "aave-v2"), "markets.0.protocol", "'aave-v2'"),
        (CHAIN + MARKET + "[policy]\nmin_profit_usd = -1\n", "policy.min_profit_usd", "-1"),
        (CHAIN + MARKET + "[policy]\nmin_profit_usd = 'much'\n", "policy.min_profit_usd", "'much'"),
        (CHAIN + MARKET + "[policy]\nmin_profit_usd = true\n", "policy.min_profit_usd", "true"),
        (CHAIN + MARKET + "[policy]\nmin_profit_usd = nan\n", "policy.min_profit_usd", "NaN"),
        (CHAIN + MARKET + "[policy]\ntarget_health = 0.99\n", "policy.target_health", "0.99"),
        (CHAIN + MARKET + "[policy]\nsizing = 'most'\n", "policy.sizing", "'most'"),
        (CHAIN + MARKET + "[funding]\nmorpho = '0x12'\n", "funding.morpho", "'0x12'"),
        (CHAIN + MARKET + "[policy]\ntip_percentile = 100\n", "policy.tip_percentile", "100"),
        (CHAIN + MARKET + "[policy]\nmin_tip_gwei = -1\n", "policy.min_tip_gwei", "-1"),
        (CHAIN + "l1_fee = 'optimism'\n" + MARKET, "chain.l1_fee", "'optimism'"),
        (CHAIN + "requests_per_second = 0\n" + MARKET, "chain.requests_per_second", "0"),
        (CHAIN + "confirmations = 0\n" + MARKET, "chain.confirmations", "0"),
        (CHAIN + MARKET + f"[[feeds]]\ntoken = '{ADDRESS}'\nheartbeat_s = 0\n", "feeds.0.heartbeat_s", "0"),
    ],
)
def test_a_bad_value_is_named_with_its_key(config: Path, text: str, key: str, value: str) -> None:
    line = refusal(config, text)
    assert f"{config}: {key}" in line
    assert f"(it is {value})" in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CHAIN.replace("31337", "'one'") + MARKET, "chain.id: must be a whole number (it is 'one')"),
        (CHAIN.replace("31337", "true") + MARKET, "chain.id: must not be true or false (it is true)"),
        (CHAIN + "confirmations = 1001\n" + MARKET, "chain.confirmations: must be at most 1000"),
        (CHAIN + "requests_per_second = -1\n" + MARKET, "chain.requests_per_second: must be above 0 (it is -1)"),
        (CHAIN + "requests_per_second = inf\n" + MARKET, "must be a finite number (it is Infinity)"),
        (CHAIN + "l1_fee = 'optimism'\n" + MARKET, "must be 'none', 'op-stack' or 'arbitrum'"),
        (CHAIN + f"wrapped_native = '{CHECKSUMMED.replace('B', 'b', 1)}'\n" + MARKET, "has a wrong checksum"),
        (CHAIN.replace('["http://127.0.0.1:8545"]', "[]") + MARKET, "chain.rpc_urls: must have at least one entry"),
        (CHAIN + "ws_url = 'http://127.0.0.1:8545'\n" + MARKET, "chain.ws_url: must start with ws:// or wss://"),
        (CHAIN + MARKET.replace('"main"', '""'), "markets.0.name: must not be empty"),
        (CHAIN + MARKET.replace('"main"', "5"), "markets.0.name: must be a text, in quotes (it is 5)"),
        (CHAIN + MARKET + "armed = 2\n", "markets.0.armed: must be true or false (it is 2)"),
        (CHAIN + MARKET + "[signer]\naccount = 'keys/mine'\n", "must be the name of a keystore, not its path"),
        (CHAIN + MARKET + "[policy]\nhub_tokens = 'WETH'\n", "must be a list, in square brackets (it is 'WETH')"),
        (CHAIN + MARKET + "[policy]\ntip_profit_share = 1\n", "must be at most 0.9 (it is 1)"),
        (CHAIN + MARKET + "[guards]\nday = 5\n", "guards.day: must be a table"),
        (CHAIN + MARKET + "[guards]\nhalt_file = ''\n", "guards.halt_file: must not be empty"),
        (CHAIN + MARKET + "[state]\npath = 5\n", "state.path: must be a path, in quotes (it is 5)"),
        (CHAIN + MARKET + "[send]\nprivate_url = 'ws://relay'\n", "must start with http:// or https://"),
        (CHAIN + MARKET + f"[[venues]]\nprotocol = 'uniswap-v2'\nfactory = '{ADDRESS}'\nfee_tiers = [1, 2]\n",
         "venues.0: fee_tiers has one fee"),
        (CHAIN + MARKET + f"[[feeds]]\ntoken = '{ADDRESS}'\njump_blocks = 3\n", "feeds.0: second_source and jump_"),
    ],
)  # fmt: skip
def test_what_a_value_has_to_be_is_said_in_plain_words(config: Path, text: str, words: str) -> None:
    line = refusal(config, text)
    assert words in line
    assert "nput" not in line
    assert "{" not in line


def test_bounds_of_the_tip_do_not_cross(config: Path) -> None:
    line = refusal(config, CHAIN + MARKET + "[policy]\nmin_tip_gwei = 2\nmax_tip_gwei = 1\n")
    assert "max_tip_gwei is below min_tip_gwei" in line


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        (MARKET, "chain is missing"),
        (CHAIN, "markets is missing"),
        (CHAIN.replace("id = 31337\n", "") + MARKET, "chain.id is missing"),
    ],
)
def test_what_is_missing_is_named(config: Path, text: str, missing: str) -> None:
    assert missing in refusal(config, text)


@pytest.mark.parametrize("line", ['rpc_urls = ["ftp://node/sesame"]', 'rpc_urls = "sesame"', "rpc_urls = ['sesame']"])
def test_addresses_of_nodes_are_never_shown(config: Path, line: str) -> None:
    text = CHAIN.replace('rpc_urls = ["http://127.0.0.1:8545"]', line) + MARKET
    message = refusal(config, text)
    assert "chain.rpc_urls" in message
    assert "sesame" not in message


@pytest.mark.parametrize(
    "text",
    [
        '[[chain]]\nid = 1\nrpc_urls = ["https://node/sesame"]\n',
        'chain = "https://node/sesame"\n',
        'chain = ["https://node/sesame"]\n',
        CHAIN + 'confirmations = "https://node/sesame"\n' + MARKET,
    ],
)
def test_addresses_in_the_wrong_place_are_not_shown(config: Path, text: str) -> None:
    message = refusal(config, text)
    assert "chain" in message
    assert "sesame" not in message


def test_true_is_no_number_in_a_list_either(config: Path) -> None:
    venue = '[[venues]]\nprotocol = "uniswap-v3"\nfactory = "0x' + "1" * 40 + '"\nfee_tiers = [true]\n'
    assert "must not be true or false" in refusal(config, CHAIN + MARKET + venue)


def test_a_bad_websocket_address_is_not_shown_either(config: Path) -> None:
    assert "sesame" not in refusal(config, CHAIN + "ws_url = 'tcp://node/sesame'\n" + MARKET)


@pytest.mark.parametrize(
    ("text", "words"),
    [("[chain\n", "not valid TOML"), (CHAIN + MARKET + MARKET, "'main' is used twice")],
)
def test_files_that_are_wrong_as_a_whole(config: Path, text: str, words: str) -> None:
    assert words in refusal(config, text)


def test_a_missing_file_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such file; name one with --config or KEEPER_CONFIG"):
        load_settings(tmp_path / "nowhere.toml")


def test_a_file_that_is_no_text(config: Path) -> None:
    config.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(config)


@pytest.mark.parametrize(("text", "amount"), [("0.1", "0.1"), ("'0.1'", "0.1"), ("0", "0"), ("25", "25")])
def test_amounts_are_exact(config: Path, text: str, amount: str) -> None:
    config.write_text(CHAIN + MARKET + f"[policy]\nmin_profit_usd = {text}\n")
    assert load_settings(config).policy.min_profit_usd == Decimal(amount)


def test_relative_paths_start_at_the_files_folder(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text(
        CHAIN + MARKET + "[signer]\nkeystore = 'keys/one'\npassword_file = '~/secret'\n[state]\npath = 'state'\n"
    )
    monkeypatch.setenv("HOME", "/nobody")
    monkeypatch.chdir("/")
    settings = load_settings(config)
    assert settings.signer is not None
    assert settings.signer.keystore == config.parent / "keys" / "one"
    assert settings.signer.password_file == Path("/nobody/secret")
    assert state_file(settings, config) == config.parent / "state" / "keeper.sqlite"


@pytest.mark.parametrize(
    ("line", "name"),
    [("", "keeper.state.sqlite"), ("path = 'j.db'", "j.db"), ("path = 'a/b.sqlite3'", "a/b.sqlite3"),
     ("path = 'folder'", "folder/keeper.sqlite")],
)  # fmt: skip
def test_where_the_journal_lies(config: Path, line: str, name: str) -> None:
    config.write_text(CHAIN + MARKET + (f"[state]\n{line}\n" if line else ""))
    assert state_file(load_settings(config), config) == config.parent / name


def test_a_folder_named_like_a_database_is_a_folder(config: Path) -> None:
    (config.parent / "odd.db").mkdir()
    config.write_text(CHAIN + MARKET + "[state]\npath = 'odd.db'\n")
    assert state_file(load_settings(config), config) == config.parent / "odd.db" / "keeper.sqlite"


# --- secrets --------------------------------------------------------------------------------------------------------


def test_the_password_is_the_file_without_its_line_end(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text(" with spaces \n")
    path.chmod(0o600)
    assert read_password(path).get_secret_value() == " with spaces "
    assert "spaces" not in repr(read_password(path))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_password_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "password"
    path.write_text("sesame")
    path.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        read_password(path)
    assert "sesame" not in str(caught.value)


def test_a_missing_password_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"password_file .*none: cannot be read"):
        read_password(tmp_path / "none")


@pytest.mark.parametrize(("value", "found"), [(None, None), ("", None), ("  ", None), (" 0xab ", "0xab")])
def test_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch, value: str | None, found: str | None) -> None:
    monkeypatch.delenv("KEEPER_PRIVATE_KEY", raising=False)
    if value is not None:
        monkeypatch.setitem(os.environ, "KEEPER_PRIVATE_KEY", value)
    key = environment_key()
    assert (None if key is None else key.get_secret_value()) == found


# --- the example ----------------------------------------------------------------------------------------------------


def uncommented(text: str) -> str:
    """Return the example with every setting in it switched on: `#key = value` is one, `# Words` are none."""
    return re.sub(r"^#(?=[\[a-z])", "", text, flags=re.MULTILINE)


def keys_of(table: Any, place: str = "") -> set[str]:
    """Return the dotted names of all keys, tables of one list taken together."""
    if isinstance(table, list):
        return {key for each in table for key in keys_of(each, place)}
    if not isinstance(table, dict):
        return {place}
    return {key for name, value in table.items() for key in keys_of(value, f"{place}.{name}".lstrip("."))}


def test_the_example_shows_every_key_and_loads_with_all_of_them(tmp_path: Path) -> None:
    text = uncommented((ROOT / "keeper.example.toml").read_text()).replace('"0x..."', f'"{ADDRESS}"')
    path = tmp_path / "keeper.toml"
    path.write_text(text)
    settings = load_settings(path)
    shown = keys_of(tomllib.loads(text))
    known = keys_of(settings.model_dump(mode="json"))
    assert shown == known


def test_the_example_as_it_stands_needs_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEEPER_PRIVATE_KEY", raising=False)
    settings = load_settings(ROOT / "keeper.example.toml")
    assert settings.chain.id == 31337
    assert settings.policy.min_profit_usd == 1
