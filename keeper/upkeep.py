"""What operators do to a state file: halt, resume, audit. Part of the composition root; none of it needs a chain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak

from keeper.config.load import load_settings, state_file
from keeper.domain.errors import ConfigError, Failed
from keeper.store import Store, open_store
from keeper.store.records import Mode


async def halt(config: Path, *, drain: bool, reason: str) -> dict[str, Any]:
    """Take no new work; return the mode as it is now in the file. What is halted is not eased to draining."""
    with _store(config) as store:
        if drain and store.mode().mode == "halted":
            return _report(store)
        return _change(store, "drain" if drain else "halted", reason)


async def resume(config: Path) -> dict[str, Any]:
    """Take new work again. Raises Failed while the halt file is there."""
    halt_file = load_settings(config).guards.halt_file
    if halt_file is not None and halt_file.exists():
        raise Failed(f"the halt file {halt_file} is there; remove it first")
    with _store(config) as store:
        return _change(store, "active", "resumed by the operator")


async def audit(config: Path) -> dict[str, Any]:
    """Return what a replay of the state file found. Raises ConfigError when there is none."""
    path = state_file(load_settings(config), config)
    if not path.exists():
        raise ConfigError(f"[state] path {path}: no such file; nothing was ever sent with this configuration")
    with _store(config) as store:
        return store.audit(lambda raw: "0x" + keccak(raw).hex())


@contextmanager
def _store(config: Path) -> Iterator[Store]:
    store = open_store(state_file(load_settings(config), config))
    try:
        yield store
    finally:
        store.close()


def _change(store: Store, mode: Mode, reason: str) -> dict[str, Any]:
    store.set_mode(mode, reason)
    return _report(store)


def _report(store: Store) -> dict[str, Any]:
    live = sum(each.state in {"reserved", "signed", "sent"} for each in store.attempts())
    now = store.mode()
    return {"mode": now.mode, "reason": now.reason, "in_flight": live}
