"""The brake: persisted first, then obeyed."""

from __future__ import annotations

from pathlib import Path

from keeper.observe import events
from keeper.store.journal import Journal
from keeper.store.records import Mode


class Brake:
    """Watches the mode in the journal and a file an operator may create; whoever pulls it, the journal remembers."""

    def __init__(self, journal: Journal, halt_file: Path | None) -> None:
        self._journal = journal
        self._halt_file = halt_file
        self._last: Mode = "active"

    @property
    def is_halted(self) -> bool:
        """Whether everything was halted when last looked at."""
        return self._last == "halted"

    def check(self) -> None:
        """Look at the file and the journal. Raises Failed when the journal cannot be read or written."""
        mode = self._journal.mode()
        if mode != "halted" and self._halt_file is not None and self._halt_file.exists():
            mode, reason = "halted", f"the file {self._halt_file} exists"
            self._journal.set_mode(mode, reason)
        if mode != self._last:
            self._last = mode
            events.mode_changed(mode=mode, reason=self._journal.mode_reason())
