"""`keeper journal audit`: replays the state file."""

from __future__ import annotations

import typer

from keeper.cli.common import ConfigOption, JsonOption, VerboseOption, emit, execute
from keeper.domain.errors import CheckFailed

app = typer.Typer(no_args_is_help=True, help="Look into the journal.")


@app.callback()
def journal() -> None:
    """Look into the journal."""


@app.command("audit")
def audit(config: ConfigOption, as_json: JsonOption = False, verbose: VerboseOption = False) -> None:
    """Replay the journal offline and check every promise it can show; needs no chain and no key."""
    from keeper import upkeep

    report = execute(lambda: upkeep.audit(config), as_json=as_json, verbose=verbose)
    if as_json:
        emit(report)
    else:
        print(f"{report['slots']} nonces, {report['attempts']} transactions, {report['events']} events replayed")
        for each in report["findings"]:
            print(f"{each['invariant']}: {each['what']}")
        if not report["findings"]:
            print("nothing is off")
    if report["findings"]:
        raise typer.Exit(CheckFailed.exit_code)
