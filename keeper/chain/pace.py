"""How often to look for a new block. Pure: times are handed in."""

from __future__ import annotations

_FIRST_PAUSE_S = 0.25
_SHORTEST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_LOOKS_PER_BLOCK = 8
_SILENT_BLOCKS = 2.5
_SHORTEST_SILENCE_S = 1.0
_FIRST_SILENCE_S = 5.0
_LONGEST_SILENCE_S = 30.0
# A tenth of a bounded endpoint's requests may go into looking.
_SHARE_OF_REQUESTS = 10


class BlockPace:
    """Learns the block interval from arrivals, on a monotonic clock."""

    def __init__(self, requests_per_second: float | None) -> None:
        self._shortest_s = _SHORTEST_PAUSE_S
        if requests_per_second:
            self._shortest_s = min(max(_SHORTEST_PAUSE_S, _SHARE_OF_REQUESTS / requests_per_second), 5.0)
        self._interval_s: float | None = None
        self._last: tuple[int, float] | None = None

    def note(self, number: int, now_s: float) -> None:
        """Learn that block `number` was first seen at `now_s`."""
        if self._last is not None and number > self._last[0]:
            seen_s = (now_s - self._last[1]) / (number - self._last[0])
            self._interval_s = seen_s if self._interval_s is None else 0.7 * self._interval_s + 0.3 * seen_s
        self._last = (number, now_s)

    def pause_s(self, now_s: float) -> float:
        """Return how long to wait before looking again: longer on slow chains and on silent ones."""
        if self._interval_s is None or self._last is None:
            wanted_s = _FIRST_PAUSE_S
        else:
            wanted_s = max(self._interval_s, now_s - self._last[1]) / _LOOKS_PER_BLOCK
        return max(self._shortest_s, min(wanted_s, _LONGEST_PAUSE_S))

    def silence_s(self) -> float:
        """Return after how long without a block a subscription is doubted."""
        if self._interval_s is None:
            return _FIRST_SILENCE_S
        return max(min(_SILENT_BLOCKS * self._interval_s, _LONGEST_SILENCE_S), _SHORTEST_SILENCE_S, self._shortest_s)
