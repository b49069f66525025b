"""`keeper scan`: which positions are liquidatable, and what the pool would take and give."""

from __future__ import annotations

from typing import Annotated

import typer

from keeper.cli.common import ConfigOption, JsonOption, VerboseOption, emit, execute


def scan(
    config: ConfigOption,
    as_json: JsonOption = False,
    block: Annotated[
        int | None, typer.Option("--block", min=0, help="Answer as of this block.")
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """List every liquidatable account, exactly as the protocol sees it."""
    from keeper import app
    from keeper.cli import tables

    report = execute(lambda: app.scan(config, block), as_json=as_json, verbose=verbose)
    if as_json:
        emit(report)
    else:
        tables.print_scan(report)
