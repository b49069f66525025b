"""Whether the journal takes new work. One mode for the whole state file, changed by operators and by breakers."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import get_args

from keeper.domain.errors import Failed
from keeper.store.database import Database
from keeper.store.records import Mode

_MODE, _REASON, _RESUMED_AFTER = "mode", "mode_reason", "resumed_after_slot"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeState:
    """The mode, and why it is so (empty while nobody changed it)."""

    mode: Mode
    reason: str


def read_mode(database: Database) -> ModeState:
    """Return the present mode. Raises Failed when the file holds none that is known: then nothing may be sent."""
    found = {row["key"]: row["value"] for row in database.rows("SELECT key, value FROM meta WHERE key LIKE 'mode%'")}
    mode = found.get(_MODE, "active")
    if mode not in get_args(Mode):
        raise Failed(f"the state file is damaged: it holds the unknown mode {mode!r}; set one with `keeper halt`")
    return ModeState(mode=mode, reason=found.get(_REASON, ""))


def read_resumed_after(database: Database) -> int:
    """Return the newest slot at the last resume; the breakers count from there."""
    rows = database.rows("SELECT value FROM meta WHERE key = ?", (_RESUMED_AFTER,))
    return int(rows[0]["value"]) if rows else 0


def write_mode(connection: sqlite3.Connection, mode: Mode, reason: str) -> None:
    """Change the mode within the caller's transaction, and note it in the history between the slots' events."""
    for key, value in ((_MODE, mode), (_REASON, reason)):
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
    if mode == "active":
        newest = connection.execute("SELECT coalesce(max(slot_id), 0) FROM slots").fetchone()[0]
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_RESUMED_AFTER, str(newest)))
    connection.execute("INSERT INTO history (slot_id, event, detail) VALUES (0, ?, ?)", (f"mode {mode}", reason))
