"""Secrets planted in the tests' own configurations, and the search for them in everything a test run leaves behind.

The operator's key is in the environment of every `keeper` a test starts, the access key in the address of every node
it is given, the password in the files of keystores. None may turn up anywhere else.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from keeper.devnet.accounts import OPERATOR

ACCESS_KEY: Final = "canary5e0d7b1f9a3c4e6d8f02"
PASSWORD: Final = 'canary pass\u00e9 "word" 7f3a'
SECRETS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "the operator's key": OPERATOR.private_key.removeprefix("0x"),
        "the access key of a node": ACCESS_KEY,
        "the password of a keystore": PASSWORD,
    }
)
_WRITTEN_BY_TESTS: Final = frozenset({".toml", ".py"})
"""Where the secrets are planted, beside files called `password`; copies of the package hold the devnet's keys."""


def with_access_key(url: str) -> str:
    """Return a node's address with the planted access key in its path."""
    return f"{url}/v2/{ACCESS_KEY}"


def _spellings(secret: str) -> list[bytes]:
    plain = secret.encode()
    found = [plain, plain.upper(), base64.b64encode(plain).rstrip(b"=")]
    try:
        raw = bytes.fromhex(secret)
    except ValueError:
        return found
    return [*found, raw, base64.b64encode(raw).rstrip(b"="), str(int(secret, 16)).encode(), repr(raw).encode()]


_SPELLINGS: Final = {name: _spellings(secret) for name, secret in SECRETS.items()}


def secrets_in(content: bytes) -> list[str]:
    """Name the planted secrets that `content` holds, in any of the usual spellings."""
    return [name for name, spellings in _SPELLINGS.items() if any(each in content for each in spellings)]


def sweep(folder: Path) -> Iterator[str]:
    """Yield a line per file below `folder` that holds a secret, those apart into which tests write secrets."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in _WRITTEN_BY_TESTS or path.name == "password" or path.is_symlink() or not path.is_file():
            continue
        for name in secrets_in(path.read_bytes()):
            yield f"{path}: {name}"
