"""V3 keystores: made with the work others advise, opened with any bearable one."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any, Final

from keeper.domain.errors import ConfigError

SCRYPT_N: Final = 2**18
_BLOCK = 8
# scrypt works over n * r blocks; 2**18 with r = 8 is what wallets write, 16 times that takes seconds.
_MOST_SCRYPT_WORK = SCRYPT_N * _BLOCK * 16
_LEAST_SCRYPT_WORK = SCRYPT_N * _BLOCK
_MOST_PBKDF2_ROUNDS = 20_000_000
_LEAST_PBKDF2_ROUNDS = 262_144
_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def new_key() -> bytes:
    """Return 32 random bytes that are a private key."""
    while True:
        key = secrets.token_bytes(32)
        if 0 < int.from_bytes(key, "big") < _ORDER:
            return key


def write_keystore(path: Path, key: bytes, password: str) -> None:
    """Write a keystore only its owner can read. Raises ConfigError when there is a file already."""
    from eth_account import Account  # noqa: PLC0415 - a second to import, and only keystores need it

    content = Account.encrypt(key, password, kdf="scrypt", iterations=SCRYPT_N)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise ConfigError(f"{path} is there already; a keystore is never overwritten: choose another name") from None
    except OSError as error:
        raise ConfigError(f"the keystore {path} cannot be written: {error.strerror}") from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())


def read_keystore(path: Path) -> dict[str, Any]:
    """Return the content of a V3 keystore. Raises ConfigError for anything else, and for absurd key derivation."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"the keystore {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{path} is not a keystore: no JSON") from None
    crypto = _crypto(content)
    if crypto is None or content.get("version") != 3:
        raise ConfigError(f"{path} is not a version 3 keystore")
    if not _is_bearable(crypto.get("kdfparams")):
        raise ConfigError(f"the keystore {path} asks for an unreasonable key derivation; write it again with n = 2**18")
    return dict(content)


def open_keystore(content: dict[str, Any], path: Path, password: str) -> bytes:
    """Return the key in a keystore. Takes about half a second: the format wants it. Raises ConfigError."""
    from eth_account import Account  # noqa: PLC0415 - a second to import, and only keystores need it

    try:
        return bytes(Account.decrypt(content, password))
    except (ValueError, TypeError, KeyError, NotImplementedError):
        # the library's text is not passed on: it may quote what it was given
        raise ConfigError(f"the keystore {path} does not open with this password") from None


def keystore_address(content: dict[str, Any]) -> str | None:
    """Return the address a keystore says it is for, without a check; None when it does not say."""
    claimed = content.get("address")
    return claimed if isinstance(claimed, str) and claimed else None


def weak_work(content: dict[str, Any]) -> int | None:
    """Return the work of a key derivation that is easier to guess at than what is written here, None when it is not."""
    crypto = _crypto(content) or {}
    parameters = crypto.get("kdfparams", {})
    if crypto.get("kdf") == "scrypt":
        work = parameters.get("n", 1) * parameters.get("r", 1) * parameters.get("p", 1)
        return int(work) if work < _LEAST_SCRYPT_WORK else None
    rounds = parameters.get("c", 1)
    return int(rounds) if rounds < _LEAST_PBKDF2_ROUNDS else None


def _crypto(content: object) -> dict[str, Any] | None:
    crypto = content.get("crypto", content.get("Crypto")) if isinstance(content, dict) else None
    return crypto if isinstance(crypto, dict) else None


def _is_bearable(parameters: object) -> bool:
    if not isinstance(parameters, dict):
        return False
    numbers = [parameters.get(name, 1) for name in ("n", "r", "p", "c")]
    wanted = [number for number in numbers if type(number) is int and number > 0]
    if len(wanted) != len(numbers):
        return False
    n, r, p, rounds = wanted
    return n * r * p <= _MOST_SCRYPT_WORK and rounds <= _MOST_PBKDF2_ROUNDS
