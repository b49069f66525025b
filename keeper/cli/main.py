"""Puts the commands together."""

from __future__ import annotations

import sys
from typing import Any, Final

import typer

from keeper.cli import demo, deploy, estimate, journal, modes, pnl, run, scan, wallet
from keeper.cli.common import emit

_USAGE: Final = 2
# Typer exports the errors of single parameters only; their base is what every wrong command line raises.
_UsageError: Any = typer.BadParameter.__mro__[1]

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
app.command("halt")(modes.halt)
app.command("resume")(modes.resume)
app.add_typer(deploy.app, name="deploy")
app.add_typer(journal.app, name="journal")
app.add_typer(wallet.app, name="wallet")


def main() -> None:
    """Run the command line; a wrong one is a single line, and a JSON document when one was asked for."""
    try:
        code = app(prog_name="keeper", standalone_mode=False)
    except _UsageError as error:
        code = _refuse(error)
    except typer.Abort:
        print("keeper: interrupted", file=sys.stderr)
        code = 1
    sys.exit(code or 0)


def _refuse(error: Any) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return _USAGE
    place = "keeper" if error.ctx is None else error.ctx.command_path
    message = f"{error.format_message().rstrip('.')}{_value(error)}; see `{place} --help`"
    print(f"keeper: {message}", file=sys.stderr)
    if "--json" in sys.argv:
        emit({"error": {"message": message, "exit_code": _USAGE}})
    return _USAGE


def _value(error: Any) -> str:
    """Return the value that was refused, as it stands on the command line."""
    names = getattr(getattr(error, "param", None), "opts", ())
    for word, following in zip(sys.argv, [*sys.argv[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name in names:
            return f" (it is {(value if equals else following)!r})"
    return ""
