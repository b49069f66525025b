"""Puts the commands together."""

from __future__ import annotations

import typer

from keeper.cli import demo, deploy, estimate, pnl, run, scan

app = typer.Typer(
    name="keeper",
    help="Watches lending markets, sizes partial liquidations, sends them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
app.command("scan")(scan.scan)
app.command("estimate")(estimate.estimate)
app.command("run")(run.run)
app.command("pnl")(pnl.pnl)
app.command("demo")(demo.demo)
app.add_typer(deploy.app, name="deploy")


def main() -> None:
    """Run the command line."""
    app()
