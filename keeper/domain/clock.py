"""The only reader of the wall clock. Chain time comes from block headers, never from here."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """Wall and monotonic time of this machine."""

    def monotonic_s(self) -> float:
        """Return seconds on a clock that never goes back; only differences mean anything."""
        return time.monotonic()

    def utc(self) -> datetime:
        """Return the wall-clock time, for display and file names only."""
        return datetime.now(tz=UTC)
