"""Runs the benchmarks named on the command line, or all, and leaves `bench/results.jsonl`."""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.measure import Result

_FOLDER = Path(__file__).parent
_NO_BENCHMARKS = {"__main__", "measure", "synthetic"}


def main() -> int:
    """Run, print a table, and return 1 when a target is missed."""
    names = sys.argv[1:] or sorted(each.name for each in pkgutil.iter_modules([str(_FOLDER)]))
    results: list[Result] = []
    with (_FOLDER / "results.jsonl").open("w", encoding="utf-8") as file:
        for name in names:
            run = None if name in _NO_BENCHMARKS else getattr(importlib.import_module(f"bench.{name}"), "run", None)
            for result in run() if run is not None else ():
                results.append(result)
                file.write(json.dumps(result.line()) + "\n")
                file.flush()
                print(f"{result.name}: {_figure(result.ours_s)}", file=sys.stderr)
    Console().print(_table(results))
    return 0 if all(result.met for result in results) else 1


def _table(results: list[Result]) -> Table:
    table = Table("benchmark", "ours", "theirs", "ratio", "target", "met")
    for result in results:
        theirs = "-" if result.theirs_s is None else _figure(result.theirs_s)
        ratio = "-" if result.ratio is None else f"{result.ratio:,.1f}x"
        table.add_row(result.name, _figure(result.ours_s), theirs, ratio, result.target, "yes" if result.met else "NO")
    return table


def _figure(value: float) -> str:
    """Return a time in fitting units; a plain number where it can be no time."""
    if value >= 60:
        return f"{value:,.0f}"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e6:.3g} us"


if __name__ == "__main__":
    sys.exit(main())
