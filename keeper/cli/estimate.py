"""`keeper estimate`: what liquidating each unhealthy position would earn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from keeper.cli.common import ConfigOption, JsonOption, VerboseOption, emit, execute


def estimate(
    config: ConfigOption,
    as_json: JsonOption = False,
    account: Annotated[str | None, typer.Option("--account", help="Only this borrower.", show_default=False)] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw the account's profit curves as an SVG.", show_default=False)
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Size the best liquidation of each unhealthy account, or say why there is none."""
    from keeper import app
    from keeper.cli import plot as picture
    from keeper.cli import profiles, tables

    wanted = 0 if as_json else profiles.MOST_SHOWN
    if plot is not None:
        wanted = max(wanted, 2)  # the second one shows that it is not clear which to draw

    async def work() -> dict[str, Any]:
        if plot is not None:
            picture.check_ending(plot)
        report = await app.estimate(config, account, profiles=wanted)
        if plot is not None:
            picture.write_plot(plot, report["profiles"], report["tokens"])
        return report

    report = execute(work, as_json=as_json, verbose=verbose)
    shown = report.pop("profiles", [])
    if as_json:
        emit(report)
        return
    tables.print_estimate(report)
    profiles.print_profiles(shown, report["tokens"], left=len(report["plans"]) - len(shown))
