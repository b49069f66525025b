"""A wrong call, file or address is one line with its exit code, and one JSON document when asked for."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from keeper.cli.common import exit_code
from keeper.cli.main import main
from keeper.domain import errors

ADDRESS = "0x" + "ab" * 20
# Nothing listens on the discard port of this machine; the path stands for an access key.
URL = "http://127.0.0.1:9/sesame-key"
BASE = f'[chain]\nid = {{id}}\nrpc_urls = ["{URL}"]\n[[markets]]\nname = "main"\nprotocol = "aave-v3"\n'
BASE += f'addresses_provider = "{ADDRESS}"\n[[venues]]\nprotocol = "uniswap-v2"\nfactory = "{ADDRESS}"\n'
SIGNER = "[signer]\nallow_env_key = true\n"
EXECUTOR = f'[executor]\naddress = "{ADDRESS}"\n'
ALL = ("scan", "estimate", "run --once", "pnl", f"deploy executor --treasury {ADDRESS}")
CHAIN_BOUND = tuple(command for command in ALL if command != "pnl")
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Run the command line in this process; return its exit code, standard output and standard error."""
    monkeypatch.delenv("KEEPER_CONFIG", raising=False)
    monkeypatch.delenv("KEEPER_PRIVATE_KEY", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(command: str, *more: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["keeper", *command.split(), *more])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return int(str(ended.value.code or 0)), out, err

    return run


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., str]:
    def write(*sections: str, chain_id: int = 31337) -> str:
        path = tmp_path / "keeper.toml"
        path.write_text(BASE.format(id=chain_id) + "".join(sections))
        return str(path)

    return write


def one_line(err: str) -> str:
    """Return the only line of `err` that is no log line."""
    (line,) = [line for line in err.splitlines() if not line.startswith("{")]
    assert line.startswith("keeper: ")
    return line.removeprefix("keeper: ")


def in_document(out: str, message: str, code: int) -> None:
    """Check that `out` is one JSON document that says the same."""
    assert json.loads(out) == {"error": {"message": message, "exit_code": code}}


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("scan", "Missing option '--config'"),
        ("scan --block -1 --config x", "(it is '-1')"),
        ("scan --block=many --config x", "(it is 'many')"),
        ("scan --blok 1 --config x", "No such option: --blok"),
        ("run --timeout soon --config x", "(it is 'soon')"),
        ("deploy executor --config x", "Missing option '--treasury'"),
        ("deploy nothing", "No such command 'nothing'"),
        ("scam", "No such command 'scam'"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_wrong_usage(call: Call, command: str, words: str, as_json: bool) -> None:
    code, out, err = call(command, *(["--json"] if as_json else []))
    message = one_line(err)
    assert code == 2
    assert words in message
    if as_json:
        in_document(out, message, 2)
    else:
        assert out == ""


@pytest.mark.parametrize("command", ALL)
@pytest.mark.parametrize("as_json", [False, True])
def test_an_unknown_key(call: Call, config: Callable[..., str], command: str, as_json: bool) -> None:
    path = config("[policy]\nmin_profit = 1\n")
    code, out, err = call(command, "--config", path, *(["--json"] if as_json else []))
    message = one_line(err)
    assert code == 3
    assert message == f"{path}: unknown key policy.min_profit; did you mean min_profit_usd?"
    if as_json:
        in_document(out, message, 3)
    else:
        assert out == ""


@pytest.mark.parametrize("command", CHAIN_BOUND)
def test_nobody_answers(call: Call, config: Callable[..., str], command: str) -> None:
    code, out, err = call(command, "--config", config(SIGNER), "--json")
    message = one_line(err)
    assert code == 4
    assert message.startswith("no endpoint answers: http://127.0.0.1:9/")
    assert "sesame" not in out + err
    in_document(out, message, 4)


def test_the_environment_names_the_file_too(
    call: Call, config: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEEPER_CONFIG", config())
    assert call("pnl")[:2] == (0, "The ledger is empty.\n")


def test_an_empty_ledger_needs_no_chain_and_makes_no_file(
    call: Call, config: Callable[..., str], tmp_path: Path
) -> None:
    code, out, err = call("pnl", "--config", config(), "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["entries"] == []
    assert [path.name for path in tmp_path.iterdir()] == ["keeper.toml"]


@pytest.mark.parametrize(
    ("sections", "words"),
    [((), "--live needs [signer]"), ((SIGNER,), "--live needs [executor] address; deploy one")],
)
def test_live_says_what_it_lacks(call: Call, config: Callable[..., str], sections: tuple[str, ...], words: str) -> None:
    code, _, err = call("run --live", "--config", config(*sections))
    assert code == 3
    assert words in one_line(err)


def test_live_off_a_devnet_has_to_be_confirmed(
    call: Call, config: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(SIGNER, EXECUTOR, chain_id=1)
    code, out, err = call("run --live --once", "--config", path, "--json")
    message = one_line(err)
    assert code == 3
    assert (
        message == "--live on chain 1, which is no devnet, was not confirmed; type 'chain 1' when asked, or pass --yes"
    )
    in_document(out, message, 3)
    code, _, err = call("run --live --once --yes", "--config", path)
    assert code == 4, "confirmed: it goes on to the endpoint, which does not answer"


@pytest.mark.parametrize(
    ("command", "option"),
    [("estimate --account 0x12", "--account"), ("deploy executor --treasury me", "--treasury")],
)
def test_an_argument_that_is_no_address(call: Call, config: Callable[..., str], command: str, option: str) -> None:
    code, _, err = call(command, "--config", config(SIGNER))
    assert code == 2
    assert one_line(err).startswith(f"{option} ")


def test_a_state_file_that_cannot_be(call: Call, config: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("no folder")
    code, _, err = call("run --once", "--config", config("[state]\npath = 'taken/state.db'\n"))
    assert code == 3
    assert "taken" in one_line(err)


def test_a_state_file_of_somebody_else(call: Call, config: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "other.db").write_text("this is no database at all, and long enough to be read as one")
    code, _, err = call("pnl", "--config", config("[state]\npath = 'other.db'\n"))
    assert code == 3
    assert "other.db" in one_line(err)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Failed("x"), 1),
        (errors.ConfigError("x"), 3),
        (errors.ChainUnreachable("x"), 4),
        (errors.HistoryMissing("x"), 4),
        (errors.CheckFailed("x"), 5),
        (errors.Transient("x"), 4),
        (errors.RateLimited("x", retry_after_s=1.0), 4),
        (errors.Stale("x"), 4),
        (errors.RpcError(-32000, "x"), 1),
        (errors.KeeperError("x"), 1),
    ],
)
def test_exit_codes_follow_the_remedy(error: errors.KeeperError, code: int) -> None:
    assert exit_code(error) == code


def test_no_loop_is_left_behind(call: Call, config: Callable[..., str]) -> None:
    """The commands make their own event loop: they can be called from a program that has one, in a thread."""

    def work() -> Any:
        return call("pnl", "--config", config())

    async def inside() -> Any:
        with ThreadPoolExecutor(1) as pool:
            return await asyncio.get_running_loop().run_in_executor(pool, work)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(asyncio.run, inside()).result()[0] == 0
