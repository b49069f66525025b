"""The SQLite connection: durable, private to its owner, and of a version this program knows."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from keeper.domain.errors import ConfigError, Failed
from keeper.store.schema import APPLICATION_ID, FIRST_TABLES, STEPS, VERSION

_BUSY_TIMEOUT_MS = 5_000
_PRIVATE = 0o600


class Database:
    """One connection, used from one thread. Reads are plain; each write is one transaction, on disk when it returns."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection = connection
        self._name = name

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Return all rows of a query. Raises Failed when the file cannot be read."""
        try:
            return self._connection.execute(sql, tuple(values)).fetchall()
        except sqlite3.Error as error:
            raise Failed(f"cannot read the state file {self._name}: {error}") from error

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Open the writing transaction; commit on a normal end, roll back on any error.

        Raises Failed when the file cannot be written: then nothing of the transaction happened.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise Failed(f"cannot write the state file {self._name}: {error}; nothing was sent for it") from error
        except BaseException:
            self._roll_back()
            raise

    def close(self) -> None:
        """Close the file; everything committed stays."""
        self._connection.close()

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def open_database(path: Path | None) -> Database:
    """Open or create the state file; None gives one in memory that ends with the process.

    The file is readable by its owner alone. Raises ConfigError when it is not ours, comes from a newer version, or
    cannot be created.
    """
    name = ":memory:" if path is None else str(path)
    if path is not None:
        _make_private(path)
    try:
        connection = sqlite3.connect(name, isolation_level=None, timeout=_BUSY_TIMEOUT_MS / 1000)
    except sqlite3.Error as error:
        raise ConfigError(f"[state] path {name}: cannot be opened: {error}") from error
    try:
        connection.row_factory = sqlite3.Row
        _adopt(connection, name)
        connection.execute("PRAGMA foreign_keys = ON")  # after a migration, which replaces tables
        # FULL in WAL mode: a commit is on the disk before it returns, which is what "journalled before sent" rests on.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error as error:
        connection.close()
        raise ConfigError(f"[state] path {name}: {_explain(error)}") from error
    except ConfigError:
        connection.close()
        raise
    return Database(connection, name)


def _make_private(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE))
        if path.stat().st_mode & 0o077:
            path.chmod(_PRIVATE)
    except OSError as error:
        raise ConfigError(f"[state] path {path}: cannot be created or written: {error.strerror}") from error


def _adopt(connection: sqlite3.Connection, name: str) -> None:
    """Create the tables in an empty file, or check that the file is one this version can read."""
    version = _version(connection)
    owner = int(connection.execute("PRAGMA application_id").fetchone()[0])
    if version == 0 and owner == 0 and not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        _create(connection)
        return
    if owner != APPLICATION_ID:
        raise ConfigError(f"[state] path {name}: is a database of another program; name another file")
    if version > VERSION:
        raise ConfigError(
            f"[state] path {name}: was written by a newer keeper (format {version}, this one knows {VERSION}); "
            f"update the keeper or name another file"
        )
    if version < VERSION:
        _bring_up(connection, name)


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    # Another process may have created them while we waited for the lock.
    if _version(connection) == 0:
        for table in FIRST_TABLES:
            connection.execute(table)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        _step_up(connection, 1)
    connection.execute("COMMIT")


def _bring_up(connection: sqlite3.Connection, name: str) -> None:
    """Migrate an older file in one transaction: it is either as it was or as this version wants it."""
    connection.execute("BEGIN IMMEDIATE")
    version = _version(connection)
    if version not in {*STEPS, VERSION}:
        connection.execute("ROLLBACK")
        raise ConfigError(f"[state] path {name}: has format {version}, which this keeper cannot read; name another")
    _step_up(connection, version)
    broken = connection.execute("PRAGMA foreign_key_check").fetchone()
    if broken is not None:
        connection.execute("ROLLBACK")
        raise ConfigError(f"[state] path {name}: is damaged: a row of {broken[0]} refers to nothing; name another")
    connection.execute("COMMIT")


def _step_up(connection: sqlite3.Connection, version: int) -> None:
    for step in range(version, VERSION):
        for statement in STEPS[step]:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _explain(error: sqlite3.Error) -> str:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
        return "is not a state file; name another"
    return f"cannot be used: {error}"
