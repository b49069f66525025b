"""`keeper halt` and `keeper resume`: the brake."""

from __future__ import annotations

from typing import Annotated

import typer

from keeper.cli.common import ConfigOption, JsonOption, VerboseOption, emit, execute


def halt(
    config: ConfigOption,
    drain: Annotated[bool, typer.Option("--drain", help="Let what is in flight finish; take nothing new.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Kept in the journal.")] = "asked for by the operator",
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Send nothing new, and take back what is in flight; a running daemon obeys at once."""
    from keeper import upkeep

    report = execute(lambda: upkeep.halt(config, drain=drain, reason=reason), as_json=as_json, verbose=verbose)
    _print(report, as_json=as_json)


def resume(config: ConfigOption, as_json: JsonOption = False, verbose: VerboseOption = False) -> None:
    """Take new work again; the breakers count from here."""
    from keeper import upkeep

    report = execute(lambda: upkeep.resume(config), as_json=as_json, verbose=verbose)
    _print(report, as_json=as_json)


def _print(report: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        emit(report)
        return
    print(f"mode {report['mode']}: {report['reason']}; {report['in_flight']} in flight")
