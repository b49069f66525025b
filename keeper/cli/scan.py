"""`keeper scan`: which positions are liquidatable, and what the pool would take and give."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keeper.cli.common import ConfigOption, JsonOption, VerboseOption, emit, execute


def scan(
    config: ConfigOption,
    as_json: JsonOption = False,
    block: Annotated[int | None, typer.Option("--block", min=0, help="Answer as of this block.")] = None,
    shock: Annotated[
        list[str] | None,
        typer.Option("--shock", help="Suppose another price: WETH=-10%, by symbol or address. Repeatable."),
    ] = None,
    horizon: Annotated[
        str | None, typer.Option("--horizon", help="Suppose so much time has passed: 90s, 30m, 12h, 7d.")
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """List every liquidatable account, exactly as the protocol sees it, or would at other prices and times."""
    from keeper import app
    from keeper.cli import tables
    from keeper.watch.forecast import parse_question

    async def work() -> dict[str, Any]:
        return await app.scan(config, block, parse_question(shock or [], horizon))

    report = execute(work, as_json=as_json, verbose=verbose)
    if as_json:
        emit(report)
    else:
        tables.print_scan(report)
