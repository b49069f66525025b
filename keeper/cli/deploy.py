"""`keeper deploy executor`: puts the executor contract on the chain."""

from __future__ import annotations

from typing import Annotated

import typer

from keeper.cli.common import ConfigOption, JsonOption, VerboseOption, emit, execute

app = typer.Typer(no_args_is_help=True, help="Deploy contracts.")


@app.callback()
def deploy() -> None:
    """Deploy contracts."""


@app.command("executor")
def executor(
    config: ConfigOption,
    treasury: Annotated[str, typer.Option("--treasury", help="Receives every gain; can never be changed.")],
    owner: Annotated[
        str | None,
        typer.Option("--owner", help="Manages the executor. Defaults to the signer on a devnet only."),
    ] = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Deploy KeeperExecutor; the signer becomes its operator."""
    from keeper import app as keeper_app
    from keeper.cli import tables

    report = execute(
        lambda: keeper_app.deploy_executor(config, treasury=treasury, owner=owner),
        as_json=as_json,
        verbose=verbose,
    )
    if as_json:
        emit(report)
    else:
        tables.print_deployment(report)
