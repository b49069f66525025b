"""`keeper pnl`: the ledger."""

from __future__ import annotations

from keeper.cli.common import ConfigOption, JsonOption, VerboseOption, emit, execute


def pnl(config: ConfigOption, as_json: JsonOption = False, verbose: VerboseOption = False) -> None:
    """Print what each transaction was expected to earn, earned, and cost."""
    from keeper import app
    from keeper.cli import tables

    report = execute(lambda: app.pnl(config), as_json=as_json, verbose=verbose)
    if as_json:
        emit(report)
    else:
        tables.print_pnl(report)
