"""Predicts the time of the block a transaction sent now would land in."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from statistics import median_low

from keeper.domain.chain import Head

_HEADS_REMEMBERED = 8


class BlockTimes:
    """Remembers recent heads and says how far apart blocks come, in chain time only."""

    def __init__(self) -> None:
        self._heads: deque[Head] = deque(maxlen=_HEADS_REMEMBERED)

    def saw(self, head: Head) -> None:
        """Take note of a head; one that does not follow the last starts the record anew."""
        if self._heads and head.number <= self._heads[-1].number:
            self._heads.clear()
        self._heads.append(head)

    def inclusion_s(self, head: Head, pending_s: int | None) -> int:
        """Return the expected time of the block after `head`, later than the head's own.

        The node's own pending time is the best word where there is one. Without it, the low
        median of recent gaps is used: predicting too early is safe, because debts only grow.
        """
        if pending_s is not None and pending_s > head.timestamp_s:
            return pending_s
        return head.timestamp_s + max(1, self._gap_s())

    def _gap_s(self) -> int:
        heads = list(self._heads)
        gaps = [
            (later.timestamp_s - earlier.timestamp_s) // (later.number - earlier.number)
            for earlier, later in pairwise(heads)
        ]
        return median_low(gaps) if gaps else 1
