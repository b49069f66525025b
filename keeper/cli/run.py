"""`keeper run`: the daemon."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from keeper.cli.common import ConfigOption, JsonOption, VerboseOption, emit, execute, fail
from keeper.domain.errors import ConfigError


def run(
    config: ConfigOption,
    live: Annotated[bool, typer.Option("--live", help="Send transactions; without it nothing is sent.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing. The default.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Do everything that pays now, then end.")] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, help="With --once: seconds to wait for inclusion.")
    ] = 60.0,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before sending on a chain that is no devnet.")] = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Watch, estimate and send, until stopped; dry run unless --live is given."""
    from keeper import app
    from keeper.cli import tables

    if live and dry_run:
        raise typer.BadParameter("--live and --dry-run exclude each other")
    if live and not yes:
        _confirm(config, as_json=as_json)
    report, code = execute(
        lambda: app.run(config, live=live, once=once, timeout_s=timeout),
        as_json=as_json,
        verbose=verbose,
    )
    if as_json:
        emit(report)
    elif once:
        tables.print_run(report)
    if code:
        raise typer.Exit(code)


def _confirm(config: Path, *, as_json: bool) -> None:
    from keeper import app

    try:
        chain_id = app.chain_needing_confirmation(config)
    except ConfigError as error:
        raise fail(error, as_json=as_json) from None
    if chain_id is None:
        return
    wanted = f"chain {chain_id}"
    if sys.stdin.isatty():
        prompt = f"This sends real transactions on chain {chain_id}. Type '{wanted}' to go on: "
        print(prompt, end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip() == wanted:
            return
    refusal = ConfigError(
        f"--live on chain {chain_id}, which is no devnet, was not confirmed; type '{wanted}' when asked, or pass --yes"
    )
    raise fail(refusal, as_json=as_json)
