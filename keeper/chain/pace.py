"""How often to look for a new block. Pure: times are handed in."""

from __future__ import annotations

_FIRST_PAUSE_S = 0.25
_SHORTEST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_LOOKS_PER_BLOCK = 8
# Where blocks come like a clock, the looks gather round the time one is due; in between, a few for what no clock tells.
_LOOKS_BETWEEN = 3
_LOOKS_WHEN_DUE = 40
_MOST_SPREAD = 0.1
_LEAST_MARGIN = 0.02
_LONGEST_REST_S = 4.0
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
        self._spread_s = float("inf")
        self._last: tuple[int, float] | None = None

    def note(self, number: int, now_s: float) -> None:
        """Learn that block `number` was first seen at `now_s`."""
        if self._last is not None and number > self._last[0]:
            seen_s = (now_s - self._last[1]) / (number - self._last[0])
            if self._interval_s is None:
                self._interval_s = self._spread_s = seen_s
            else:
                self._spread_s = 0.7 * self._spread_s + 0.3 * abs(seen_s - self._interval_s)
                self._interval_s = 0.7 * self._interval_s + 0.3 * seen_s
        self._last = (number, now_s)

    def pause_s(self, now_s: float) -> float:
        """Return how long to wait before looking again: longer on slow and on silent chains, and between due times."""
        if self._interval_s is None or self._last is None:
            return max(self._shortest_s, _FIRST_PAUSE_S)
        waited_s = now_s - self._last[1]
        if self._spread_s <= _MOST_SPREAD * self._interval_s:
            margin_s = max(2 * self._spread_s, _LEAST_MARGIN * self._interval_s)
            early_s = self._interval_s - margin_s - waited_s
            if early_s > 0:
                return max(self._shortest_s, min(early_s, self._interval_s / _LOOKS_BETWEEN, _LONGEST_REST_S))
            if waited_s < self._interval_s + 2 * margin_s:
                return max(self._shortest_s, min(self._interval_s / _LOOKS_WHEN_DUE, _LONGEST_PAUSE_S))
        wanted_s = max(self._interval_s, waited_s) / _LOOKS_PER_BLOCK
        return max(self._shortest_s, min(wanted_s, _LONGEST_PAUSE_S))

    def silence_s(self) -> float:
        """Return after how long without a block a subscription is doubted."""
        if self._interval_s is None:
            return _FIRST_SILENCE_S
        return max(min(_SILENT_BLOCKS * self._interval_s, _LONGEST_SILENCE_S), _SHORTEST_SILENCE_S, self._shortest_s)
