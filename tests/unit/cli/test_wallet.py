"""`keeper wallet`: keystores others can open, and keys nobody gets to see."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from tests.support.canaries import PASSWORD

ROOT = Path(__file__).resolve().parents[3]
KEY = "4c" * 32


class Home:
    """A home of its own for each test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.keystores = path / ".foundry" / "keystores"
        self.password_file = path / "password"
        self.password_file.write_text(PASSWORD + "\n")
        self.password_file.chmod(0o600)

    def run(self, *words: str, given: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ETH_", "KEEPER_"))}
        return subprocess.run(
            [sys.executable, "-m", "keeper", "wallet", *words],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={**kept, "HOME": str(self.path), **variables},
        )

    def json(self, *words: str, given: str = "", **variables: str) -> Any:
        ended = self.run(*words, "--json", given=given, **variables)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_new_keystore_is_private_strong_and_opens_elsewhere(home: Home) -> None:
    made = home.json("new", "--account", "ops", "--password-file", str(home.password_file))
    path = home.keystores / "ops"
    assert made["keystore"] == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = json.loads(path.read_text())
    assert (content["version"], content["crypto"]["kdf"], content["crypto"]["kdfparams"]["n"]) == (3, "scrypt", 2**18)
    assert Account.from_key(Account.decrypt(content, PASSWORD)).address == made["address"]
    shown = home.json("address", ETH_KEYSTORE_ACCOUNT="ops", ETH_PASSWORD=str(home.password_file))
    assert shown["address"] == made["address"]
    assert home.json("list")["keystores"] == [{"account": "ops", "address": made["address"]}]
    again = home.run("new", "--account", "ops", "--password-file", str(home.password_file))
    assert again.returncode == 3
    assert "never overwritten" in again.stderr


def test_a_key_comes_in_from_standard_input_and_is_never_shown(home: Home) -> None:
    path = home.path / "elsewhere.json"
    words = ("import", "--keystore", str(path), "--password-file", str(home.password_file), "--json")
    ended = home.run(*words, given=f"0x{KEY}\n")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["address"] == Account.from_key(KEY).address
    for text in (ended.stdout, ended.stderr, path.read_text()):
        assert KEY not in text
        assert PASSWORD not in text


@pytest.mark.parametrize(
    ("words", "given", "complaint"),
    [
        (("new",), "", "no keystore is named"),
        (("new", "--account", "a", "--keystore", "b"), "", "named twice"),
        (("new", "--account", "a"), "", "no terminal"),
        (("import", "--account", "a", "--password-file", "{password}"), "12", "32 bytes"),
        (("import", "--account", "a", "--password-file", "{password}"), "xyz", "hexadecimal"),
        (("address", "--account", "none", "--password-file", "{password}"), "", "cannot be read"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_3(
    home: Home, words: tuple[str, ...], given: str, complaint: str
) -> None:
    ended = home.run(*(word.format(password=home.password_file) for word in words), given=given)
    assert ended.returncode == 3
    assert complaint in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_an_open_password_file_is_refused_and_a_weak_keystore_warned_about(home: Home) -> None:
    path = home.path / "weak.json"
    path.write_text(json.dumps(Account.encrypt(KEY, PASSWORD, kdf="scrypt", iterations=2**13)))
    words = ("address", "--keystore", str(path), "--password-file", str(home.password_file))
    ended = home.run(*words)
    assert ended.stdout.strip() == Account.from_key(KEY).address
    assert "weak keystore" in ended.stderr
    home.password_file.chmod(0o644)
    refused = home.run(*words)
    assert refused.returncode == 3
    assert "chmod 600" in refused.stderr
