"""What pytest prints of the arguments of a failing test holds none of the secrets that the tests plant."""

from __future__ import annotations

from pathlib import Path

import pytest

from keeper.devnet.accounts import OPERATOR
from keeper.devnet.settings import SettingsOptions
from keeper.lab.operator import KeeperCommand
from tests.support.canaries import secrets_in, with_access_key
from tests.support.cli import Keeper

URL = with_access_key("http://127.0.0.1:8545")


@pytest.mark.parametrize(
    "argument",
    [
        OPERATOR,
        Keeper(folder=Path("f")),
        KeeperCommand(config=Path("c"), private_key=OPERATOR.private_key, log=Path("l")),
        SettingsOptions(rpc_urls=[URL], ws_url=URL),
    ],
    ids=lambda argument: type(argument).__name__,
)
def test_its_arguments_show_no_secret(argument: object) -> None:
    assert secrets_in(repr(argument).encode()) == []
