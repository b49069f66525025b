"""One process per state file, chain and signer."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from keeper.domain.errors import Failed


class InstanceLock:
    """Advisory locks on files of their own; the kernel drops them when the process dies, however it dies."""

    def __init__(self, *paths: Path) -> None:
        self._paths = paths
        self._handles: list[int] = []

    def acquire(self) -> None:
        """Take all locks or raise Failed, naming the process that holds one. Does nothing when already held."""
        if self._handles:
            return
        try:
            for path in self._paths:
                self._handles.append(_lock(path))
        except Failed:
            self.release()
            raise

    def release(self) -> None:
        """Give the locks up. The files stay: removing one would let two processes lock two files of one name."""
        handles, self._handles = self._handles, []
        for handle in handles:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, 0)
            os.close(handle)


def _lock(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Failed(f"cannot create the lock file {path}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise Failed(
            f"another keeper (process {holder}) already sends with this signer or state file; "
            f"stop it or give this one its own signer and [state] path"
        ) from error
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle
