"""`keeper demo`: the whole thing on a local chain, no key and no network needed."""

from __future__ import annotations

from typing import Annotated

import typer

from keeper.cli.common import JsonOption, VerboseOption, emit, execute


def demo(
    as_json: JsonOption = False,
    seed: Annotated[int, typer.Option("--seed", help="Chooses the borrowers.")] = 1,
    verbose: VerboseOption = False,
) -> None:
    """Let a lending market fall on a local chain and watch the keeper liquidate it."""
    from keeper.lab.demo import run_demo

    report = execute(lambda: run_demo(seed=seed, quiet=as_json), as_json=as_json, verbose=verbose)
    if as_json:
        emit(report)
