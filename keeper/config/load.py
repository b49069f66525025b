"""Reads the TOML file and the environment; the only module that does."""

from __future__ import annotations

import os
import stat
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from keeper.config.explain import explain
from keeper.config.keys import with_keystore
from keeper.config.model import Settings
from keeper.domain.errors import ConfigError

PRIVATE_KEY_VARIABLE = "KEEPER_PRIVATE_KEY"
_DATABASE_SUFFIXES = {".db", ".sqlite", ".sqlite3"}


def load_settings(path: Path) -> Settings:
    """Return the settings in `path`; relative paths in it start at its own folder.

    Raises ConfigError, one line: the file, the key, what is wrong with it and the remedy.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; name one with --config or KEEPER_CONFIG") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error)}") from None
    _check_names(settings, path)
    return _anchored(settings, path.resolve().parent)


def state_file(settings: Settings, config: Path) -> Path:
    """Return the journal's file: in `[state] path`, else beside the configuration file."""
    if settings.state is None:
        resolved = config.resolve()
        return resolved.with_name(f"{resolved.stem}.state.sqlite")
    path = settings.state.path
    if path.suffix in _DATABASE_SUFFIXES and not path.is_dir():
        return path
    return path / "keeper.sqlite"


def environment_key() -> SecretStr | None:
    """Return the private key in KEEPER_PRIVATE_KEY, None when it is unset or empty."""
    value = os.environ.get(PRIVATE_KEY_VARIABLE, "").strip()
    return SecretStr(value) if value else None


def read_password(path: Path) -> SecretStr:
    """Return the first line of a password file that only its owner can read.

    Raises ConfigError when it is missing, readable by others, or somebody else's.
    """
    try:
        info = path.stat()
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"[signer] password_file {path}: cannot be read: {error}") from None
    if stat.S_IMODE(info.st_mode) & 0o077:
        raise ConfigError(f"[signer] password_file {path}: others can read it; run chmod 600 {path}")
    if info.st_uid not in {os.geteuid(), 0}:
        raise ConfigError(f"[signer] password_file {path}: belongs to another user")
    return SecretStr(text.removesuffix("\n").removesuffix("\r"))


def _check_names(settings: Settings, path: Path) -> None:
    names = [market.name for market in settings.markets]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{path}: markets.name: {name!r} is used twice; names must differ")
    guards = settings.guards
    for name in (*(guards.allow_markets or ()), *guards.deny_markets):
        if name not in names:
            raise ConfigError(f"{path}: guards: there is no market {name!r}; the markets are {', '.join(names)}")


def _anchored(settings: Settings, folder: Path) -> Settings:
    def fix(value: Path | None) -> Path | None:
        return None if value is None else folder / value.expanduser()

    changes: dict[str, Any] = {}
    if settings.signer is not None:
        paths = {key: fix(getattr(settings.signer, key)) for key in ("keystore", "password_file")}
        changes["signer"] = with_keystore(settings.signer.model_copy(update=paths))
    changes["guards"] = settings.guards.model_copy(update={"halt_file": fix(settings.guards.halt_file)})
    if settings.state is not None:
        changes["state"] = settings.state.model_copy(update={"path": fix(settings.state.path)})
    return settings.model_copy(update=changes)
