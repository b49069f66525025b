"""`keeper estimate`: what liquidating each unhealthy position would earn."""

from __future__ import annotations

from typing import Annotated

import typer

from keeper.cli.common import ConfigOption, JsonOption, VerboseOption, emit, execute


def estimate(
    config: ConfigOption,
    as_json: JsonOption = False,
    account: Annotated[str | None, typer.Option("--account", help="Only this borrower.", show_default=False)] = None,
    verbose: VerboseOption = False,
) -> None:
    """Size the best liquidation of each unhealthy account, or say why there is none."""
    from keeper import app
    from keeper.cli import tables

    report = execute(lambda: app.estimate(config, account), as_json=as_json, verbose=verbose)
    if as_json:
        emit(report)
    else:
        tables.print_estimate(report)
