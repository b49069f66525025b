"""One state file with everything the keeper must not forget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keeper.domain.attempts import Attempt, LedgerEntry
from keeper.domain.errors import ConfigError
from keeper.domain.units import Address
from keeper.store import ledger
from keeper.store.audit import HashOf, audit
from keeper.store.database import Database, open_database
from keeper.store.journal import Journal, all_slots, as_attempt
from keeper.store.lock import InstanceLock
from keeper.store.modes import ModeState, read_mode, write_mode
from keeper.store.records import Mode


class Store:
    """Implements the port Ledger, and hands out the journal of a signer.

    Used from one thread. Raises Failed when the file cannot be read or written.
    """

    def __init__(self, database: Database, path: Path | None) -> None:
        self._database = database
        self._path = path

    def journal(self, *, chain_id: int, sender: Address) -> Journal:
        """Return the journal of one signer on one chain."""
        return Journal(self._database, chain_id=chain_id, sender=sender)

    def instance_lock(
        self, *, chain_id: int, sender: Address, shared_folder: Path | None = None
    ) -> InstanceLock | None:
        """Return the lock that lets one process send with this file and signer; None for a store in memory.

        With `shared_folder` (one for all keepers of this user) it also holds for other state files.
        """
        if self._path is None:
            return None
        path = self._path.resolve()
        name = f"{chain_id}-{sender[2:].lower()}.lock"
        paths = [path.with_name(f"{path.name}.{chain_id}-{sender[2:10].lower()}.lock")]
        return InstanceLock(*paths, *([] if shared_folder is None else [shared_folder / name]))

    def genesis_hash(self, chain_id: int) -> str | None:
        """Return the first block's hash of the chain the file was made on, None when it was made on none of that id."""
        found = self._database.rows("SELECT value FROM meta WHERE key = ?", (f"genesis:{chain_id}",))
        return None if not found else str(found[0]["value"])

    def bind_chain(self, chain_id: int, genesis_hash: str) -> None:
        """Remember which chain the file is about. Raises ConfigError when it was about another of the same id."""
        key = f"genesis:{chain_id}"
        with self._database.write() as connection:
            connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, genesis_hash))
        known = self.genesis_hash(chain_id) or ""
        if known != genesis_hash:
            raise ConfigError(
                f"the state file was made on another chain with id {chain_id} (first block {known[:10]}, here "
                f"{genesis_hash[:10]}); name another [state] path for this chain"
            )

    def mode(self) -> ModeState:
        """Return whether new work is taken, and why not."""
        return read_mode(self._database)

    def set_mode(self, mode: Mode, reason: str) -> None:
        """Change the mode for every process that sends with this file; on disk when it returns."""
        with self._database.write() as connection:
            write_mode(connection, mode, reason)

    def entries(self) -> list[LedgerEntry]:
        """Return the ledger in the order it was booked."""
        return ledger.read_entries(self._database)

    def book_dry_run(self, entry: LedgerEntry) -> None:
        """Book what a dry run would have done, in the place of what an earlier one booked for the same intent."""
        ledger.book_dry_run(self._database, entry)

    def note_runner_up(self, intent: str, net_base: int) -> None:
        """Add what an account's next best way would have netted (base units) to the figures of an intent."""
        ledger.note_runner_up(self._database, intent, net_base)

    def audit(self, hash_of: HashOf | None = None) -> dict[str, Any]:
        """Return what a replay of the journal finds; see `keeper.store.audit`."""
        return audit(self._database, hash_of)

    def attempts(self) -> list[Attempt]:
        """Return every nonce ever promised, of all signers, oldest first."""
        return [as_attempt(slot) for slot in all_slots(self._database)]

    def close(self) -> None:
        """Close the file; everything committed stays."""
        self._database.close()


def open_store(path: Path | None) -> Store:
    """Open or create the state file at `path`; None gives one in memory that ends with the process.

    Raises ConfigError when the file is not ours, comes from a newer version, or cannot be created.
    """
    resolved = None if path is None else path.expanduser()
    return Store(open_database(resolved), resolved)


def set_aside(path: Path, *, mark: str) -> Path:
    """Rename a closed state file so that a new one can be begun; return its new name."""
    aside = path.with_name(f"{path.name}.{mark}")
    path.replace(aside)
    return aside
