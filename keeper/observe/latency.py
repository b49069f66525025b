"""How long each stage takes, from a head's arrival to a transaction's inclusion.

`begin` at a head, `mark` when a stage is done: what passed since the mark before is that stage's time.
The stages: the book revalued, the first candidate confirmed by exact integers, a plan sized and
simulated, the transaction signed and journalled, sent. Inclusion counts from the sending.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from keeper.domain.clock import SystemClock
from keeper.observe import metrics

STAGES: Final = ("revalued", "confirmed", "planned", "signed", "sent", "included")
_KEPT: Final = 4096
_CLOCK: Final = SystemClock()
_MS = 1000.0


class StageClock:
    """Times the stages of one piece of work at a time."""

    def __init__(self) -> None:
        self._last_s = _CLOCK.monotonic_s()
        self._samples: dict[str, deque[float]] = {stage: deque(maxlen=_KEPT) for stage in STAGES}

    def begin(self) -> None:
        """A head, or a price, was seen."""
        self._last_s = _CLOCK.monotonic_s()

    def mark(self, stage: str) -> None:
        """`stage` is done."""
        now_s = _CLOCK.monotonic_s()
        self.note(stage, now_s - self._last_s)
        self._last_s = now_s

    def note(self, stage: str, took_s: float) -> None:
        """`stage` took so long, whatever came before."""
        self._samples[stage].append(took_s)
        metrics.STAGE_SECONDS.labels(stage=stage).observe(took_s)

    def report(self) -> dict[str, Any]:
        """Return count, median, 95th percentile and maximum of each stage that was reached, in milliseconds."""
        return {stage: _summary(sorted(samples)) for stage, samples in self._samples.items() if samples}


def _summary(ordered: list[float]) -> dict[str, Any]:
    def at(share_percent: int) -> float:
        return round(_MS * ordered[min(len(ordered) - 1, len(ordered) * share_percent // 100)], 3)

    return {"count": len(ordered), "p50": at(50), "p95": at(95), "max": round(_MS * ordered[-1], 3)}


STAGE_CLOCK: Final = StageClock()
"""The process's own: one daemon works in it."""
