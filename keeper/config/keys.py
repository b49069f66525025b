"""Where keystores and locks are. Folder and variables are those of Foundry's tools."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from keeper.config.model import SignerSettings
from keeper.domain.errors import ConfigError

KEYSTORE_VARIABLE = "ETH_KEYSTORE"
ACCOUNT_VARIABLE = "ETH_KEYSTORE_ACCOUNT"
PASSWORD_VARIABLE = "ETH_PASSWORD"  # noqa: S105 - the name of a variable that names a file


def keystore_folder() -> Path:
    """Return the folder of named keystores."""
    return Path.home() / ".foundry" / "keystores"


def find_keystore(account: str | None, keystore: Path | None) -> Path:
    """Return the keystore that is named, by its path or by its name in the folder, else by the environment.

    Raises ConfigError when none is named, or both ways are used at once.
    """
    if account is not None and keystore is not None:
        raise ConfigError("a keystore is named twice, by account and by path; name it once")
    if account is None and keystore is None:
        account = _variable(ACCOUNT_VARIABLE)
        path = _variable(KEYSTORE_VARIABLE)
        keystore = None if path is None or account is not None else Path(path).expanduser()
    if keystore is not None:
        return keystore
    if account is None:
        raise ConfigError("no keystore is named; give --account, --keystore, or set ETH_KEYSTORE")
    return keystore_folder() / account


def find_password_file(path: Path | None) -> Path | None:
    """Return the password file that is named, else the one the environment names, None when there is none."""
    if path is not None:
        return path
    named = _variable(PASSWORD_VARIABLE)
    return None if named is None else Path(named).expanduser()


def with_keystore(signer: SignerSettings) -> SignerSettings:
    """Return the settings with the keystore's path in them, unless the key comes from the environment itself.

    A path that is given stands before a name.
    """
    if signer.account is None and signer.keystore is None and signer.allow_env_key:
        return signer
    if signer.account is None and signer.keystore is None and not _variable(ACCOUNT_VARIABLE, KEYSTORE_VARIABLE):
        return signer
    keystore = signer.keystore or find_keystore(signer.account, None)
    return signer.model_copy(update={"keystore": keystore, "password_file": find_password_file(signer.password_file)})


def lock_folder() -> Path:
    """Return the folder of this user's locks: the same for every process of the user on this machine."""
    user = os.geteuid()
    runtime = Path(f"/run/user/{user}")
    return runtime / "keeper" if runtime.is_dir() else Path(tempfile.gettempdir()) / f"keeper-{user}"


def _variable(*names: str) -> str | None:
    for name in names:
        value = os.environ.get(name, "").strip()
        if value:
            return value
    return None
