"""What `keeper wallet` does. Part of the composition root."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from keeper.chain.keystore import keystore_address, new_key, read_keystore, write_keystore
from keeper.chain.signer import KeySigner
from keeper.config.keys import find_keystore, keystore_folder
from keeper.domain.errors import ConfigError
from keeper.domain.units import to_address
from keeper.observe.logs import register_secret

_SHORTEST_PASSWORD = 8


async def new(account: str | None, keystore: Path | None, password: Callable[[], str]) -> dict[str, Any]:
    """Make a key, write its keystore, and return address and path. Raises ConfigError."""
    return _write(find_keystore(account, keystore), new_key(), password)


async def bring_in(
    account: str | None, keystore: Path | None, key: Callable[[], str], password: Callable[[], str]
) -> dict[str, Any]:
    """Write the keystore of a key that is given as hexadecimal text. Raises ConfigError."""
    path = find_keystore(account, keystore)
    text = key()
    register_secret(text)
    KeySigner.from_hex(text)  # says what is wrong with it
    return _write(path, bytes.fromhex(text.strip().removeprefix("0x")), password)


async def list_all() -> dict[str, Any]:
    """Return the keystores of Foundry's folder; files that are none are left out."""
    found = []
    folder = keystore_folder()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            claimed = keystore_address(read_keystore(path))
            found.append({"account": path.name, "address": None if claimed is None else to_address(claimed)})
        except (ConfigError, ValueError):
            continue
    return {"folder": str(folder), "keystores": found}


async def address(account: str | None, keystore: Path | None, password: Callable[[], str]) -> dict[str, Any]:
    """Open a keystore and return the address of its key. Raises ConfigError."""
    path = find_keystore(account, keystore)
    read_keystore(path)  # before a password is asked for
    secret = password()
    register_secret(secret)
    return {"address": KeySigner.from_keystore(path, secret).address, "keystore": str(path)}


def _write(path: Path, key: bytes, password: Callable[[], str]) -> dict[str, Any]:
    if path.exists():
        raise ConfigError(f"{path} is there already; a keystore is never overwritten: choose another name")
    secret = password()
    register_secret(secret)
    if len(secret) < _SHORTEST_PASSWORD:
        raise ConfigError(f"the password is shorter than {_SHORTEST_PASSWORD} characters; take a longer one")
    write_keystore(path, key, secret)
    return {"address": KeySigner(key).address, "keystore": str(path)}
