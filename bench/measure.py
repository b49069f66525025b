"""What the benchmarks share: alternating rounds, medians, and the line each one leaves."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ROUNDS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One benchmark in the terms of its target. `theirs_s` is None where there is no other side."""

    name: str
    ours_s: float
    theirs_s: float | None
    target: str
    met: bool
    note: str = ""
    ours: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times faster ours is."""
        return None if self.theirs_s is None else self.theirs_s / self.ours_s

    def line(self) -> dict[str, Any]:
        """Return the line for results.jsonl."""
        return {
            "name": self.name,
            "ours_s": self.ours_s,
            "theirs_s": self.theirs_s,
            "ratio": self.ratio,
            "target": self.target,
            "met": self.met,
            "note": self.note,
        }


def timed(work: Callable[[], Any], times: int = 1) -> float:
    """Return the seconds `work` takes, on average over so many times."""
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times


def alternate(ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int = ROUNDS) -> tuple[float, float]:
    """Return the median seconds of both, measured in turn so that a busy moment hits both.

    Each turn lasts about as long for both: what is short is repeated.
    """
    mine: list[float] = []
    others: list[float] = []
    times = max(1, round(timed(theirs) / max(timed(ours), 1e-9)))
    for _ in range(rounds):
        mine.append(timed(ours, times))
        others.append(timed(theirs))
    return statistics.median(mine), statistics.median(others)
