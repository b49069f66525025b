"""`keeper wallet`: keystores. Options, folder and variables are those of Foundry's `cast wallet`."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from keeper.cli.common import JsonOption, VerboseOption, emit, execute
from keeper.domain.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="Make, bring in and list keystores.")

AccountOption = Annotated[
    str | None, typer.Option("--account", help="Name of a keystore in ~/.foundry/keystores (ETH_KEYSTORE_ACCOUNT).")
]
KeystoreOption = Annotated[
    Path | None, typer.Option("--keystore", help="Path of a keystore (ETH_KEYSTORE).", show_default=False)
]
PasswordOption = Annotated[
    Path | None,
    typer.Option("--password-file", help="File with the password, chmod 600 (ETH_PASSWORD).", show_default=False),
]


@app.callback()
def wallet() -> None:
    """Make, bring in and list keystores."""


@app.command("new")
def new(
    account: AccountOption = None,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Make a key and write it into a new keystore; the key itself is never shown."""
    from keeper import wallets

    report = execute(
        lambda: wallets.new(account, keystore, lambda: _password(password_file, again=True)),
        as_json=as_json,
        verbose=verbose,
    )
    _print(report, as_json=as_json)


@app.command("import")
def bring_in(
    account: AccountOption = None,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Write a key into a new keystore; the key is read from standard input, never from the command line."""
    from keeper import wallets

    report = execute(
        lambda: wallets.bring_in(account, keystore, _key, lambda: _password(password_file, again=True)),
        as_json=as_json,
        verbose=verbose,
    )
    _print(report, as_json=as_json)


@app.command("list")
def list_all(as_json: JsonOption = False, verbose: VerboseOption = False) -> None:
    """List the keystores in Foundry's folder with the addresses they claim."""
    from keeper import wallets

    report = execute(wallets.list_all, as_json=as_json, verbose=verbose)
    if as_json:
        emit(report)
        return
    for each in report["keystores"]:
        print(f"{each['account']:24} {each['address'] or '(no address in it)'}")
    if not report["keystores"]:
        print("There are no keystores.")


@app.command("address")
def address(
    account: AccountOption = None,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Open a keystore and print the address of its key."""
    from keeper import wallets

    report = execute(
        lambda: wallets.address(account, keystore, lambda: _password(password_file, again=False)),
        as_json=as_json,
        verbose=verbose,
    )
    _print(report, as_json=as_json)


def _print(report: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        emit(report)
    else:
        print(report["address"])
        print(f"in {report['keystore']}", file=sys.stderr)


def _password(file: Path | None, *, again: bool) -> str:
    """Return the password from the file that is named, else typed in. Raises ConfigError."""
    from keeper.config.keys import find_password_file
    from keeper.config.load import read_password

    named = find_password_file(file)
    if named is not None:
        return read_password(named).get_secret_value()
    if not sys.stdin.isatty():
        raise ConfigError("there is no terminal to type a password in; give --password-file")
    typed = getpass.getpass("Password: ")
    if again and getpass.getpass("The same again: ") != typed:
        raise ConfigError("the two passwords differ; try again")
    return typed


def _key() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("Private key: ")
    return sys.stdin.readline().strip()
