"""A profit curve in one line of text."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

GAP: Final = "·"
LOSS: Final = "_"
BARS: Final = "▁▂▃▄▅▆▇█"
LEGEND: Final = f"{GAP} refused   {LOSS} a loss   ▲ chosen   △ runner-up"

Points = Sequence[tuple[int, Decimal | None]]
"""(repay in raw units, net profit) by repay, ascending; None where the pool or the exchanges refuse."""


def sparkline(points: Points, owed_raw: int, width: int, top: Decimal) -> str:
    """Return the curve from a repay of 0 to `owed_raw` in `width` characters; `top` is as high as the highest bar.

    A character shows the best of the points it covers, so that a lone accepted amount is not lost.
    """
    columns: list[list[Decimal | None]] = [[] for _ in range(width)]
    for repay_raw, net in points:
        columns[column_of(repay_raw, owed_raw, width)].append(net)
    drawn = [_mark(column, top) for column in columns]
    return "".join(mark or _between(drawn, index) for index, mark in enumerate(drawn))


def column_of(repay_raw: int, owed_raw: int, width: int) -> int:
    """Return the column that a repay falls into."""
    return max(0, min(width - 1, repay_raw * width // max(1, owed_raw)))


def pointers(marks: Sequence[tuple[int, str]], owed_raw: int, width: int) -> str:
    """Return a line that points at repays of the line above, empty without any; of two in one place the first is seen.

    `marks` are (repay in raw units, sign).
    """
    line = [" "] * width
    for repay_raw, sign in reversed(marks):
        line[column_of(repay_raw, owed_raw, width)] = sign
    return "".join(line).rstrip()


def _mark(column: Sequence[Decimal | None], top: Decimal) -> str:
    if not column:
        return ""
    accepted = [net for net in column if net is not None]
    if not accepted:
        return GAP
    net = max(accepted)
    if net <= 0 or top <= 0:
        return LOSS
    return BARS[min(len(BARS) - 1, int(net * len(BARS) / top))]


def _between(drawn: Sequence[str], index: int) -> str:
    """Return what stands for a column without points: the one before it, else the first after it."""
    near = [mark for mark in (*reversed(drawn[:index]), *drawn[index:]) if mark]
    return near[0] if near else GAP
