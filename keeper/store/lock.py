"""One process per state file, chain and signer."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from keeper.domain.errors import Failed


class InstanceLock:
    """An advisory lock on a file of its own; the kernel drops it when the process dies, however it dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def acquire(self) -> None:
        """Take the lock or raise Failed, naming the process that holds it. Does nothing when already held."""
        if self._handle is not None:
            return
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Failed(f"cannot create the lock file {self._path}: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise Failed(
                f"another keeper (process {holder}) already sends with this signer and state file; "
                f"stop it or give this one its own signer and [state] path"
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        self._handle = handle

    def release(self) -> None:
        """Give the lock up. The file stays: removing it would let two processes lock two files of one name."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)
        os.close(handle)
