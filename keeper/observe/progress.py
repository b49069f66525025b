"""How far a long reading of history has come: a bar on a terminal, a log line every ten seconds elsewhere."""

from __future__ import annotations

import sys
from typing import Final, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from keeper.domain.clock import SystemClock
from keeper.observe import metrics
from keeper.observe.logs import get_logger

_LINE_EVERY_S: Final = 10.0
_WORTH_A_BAR_S: Final = 0.5


class BackfillProgress:
    """Called with blocks done, blocks in all and blocks per second; shows what takes longer than a moment."""

    def __init__(self, market: str, stream: TextIO | None = None) -> None:
        """Report about `market` on `stream` (standard error)."""
        self._market = market
        self._stream = sys.stderr if stream is None else stream
        self._clock = SystemClock()
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._first_s: float | None = None
        self._line_s = 0.0

    def __call__(self, done: int, total: int, blocks_per_s: float) -> None:
        """Show that `done` of `total` blocks are read."""
        metrics.BACKFILL_BLOCK.labels(scope=self._market).set(done)
        now_s = self._clock.monotonic_s()
        if self._first_s is None:
            self._first_s = self._line_s = now_s
        if self._stream.isatty():
            self._draw(done, total, blocks_per_s, now_s)
        elif now_s - self._line_s >= _LINE_EVERY_S:
            self._line_s = now_s
            left_s = round((total - done) / max(blocks_per_s, 1e-9))
            get_logger().info(
                "reading history",
                market=self._market,
                blocks_done=done,
                blocks_total=total,
                blocks_per_s=round(blocks_per_s),
                seconds_left=left_s,
            )
        if done >= total:
            self._first_s = None

    def _draw(self, done: int, total: int, blocks_per_s: float, now_s: float) -> None:
        if self._bar is None:
            if done >= total or self._first_s is None or now_s - self._first_s < _WORTH_A_BAR_S:
                return
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("blocks, {task.fields[rate]}/s"),
                TimeRemainingColumn(),
                console=Console(file=self._stream),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(f"{self._market}: reading history", total=total, rate="-")
        self._bar.update(self._task, completed=done, rate=f"{blocks_per_s:,.0f}")
        if done >= total:
            self._bar.stop()
            self._bar = None
