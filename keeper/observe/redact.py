"""Secrets are removed where text leaves the process, not where it is made: nobody has to remember to."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Final
from urllib.parse import quote, urlsplit

_URL = re.compile(r"\b(?:https?|wss?)://[^\s\"'<>\\,;)\]}]+", re.IGNORECASE)
_LONG_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]{131,}")
"""Longer than a hash, a key or a signature: calldata or a signed transaction."""

_DIGEST = re.compile(r"/[0-9a-f]{8}\Z")
_SHORTEST = 4
_MASK: Final = "[secret]"


class Secrets:
    """The live secrets of this process, each in every spelling a log line may give it."""

    def __init__(self) -> None:
        self._spellings: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, secret: str) -> None:
        """Mask `secret` from now on. Ignores text too short to be one."""
        plain = secret.removeprefix("0x")
        if len(plain) < _SHORTEST:
            return
        json_text = json.dumps(plain)[1:-1]
        self._spellings |= {plain, json_text, json.dumps(json_text)[1:-1], repr(plain)[1:-1], quote(plain, safe="")}
        ordered = sorted(self._spellings, key=len, reverse=True)
        self._pattern = re.compile("|".join(re.escape(text) for text in ordered), re.IGNORECASE)

    def mask(self, text: str) -> str:
        """Return `text` without any secret."""
        return text if self._pattern is None else self._pattern.sub(_MASK, text)


def shorten_url(url: str) -> str:
    """Return scheme://host/<8 hex digits of a digest>: enough to tell endpoints apart, nothing to use them with."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or "?"
        port = parts.port
    except ValueError:
        return "[url]"
    where = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
    bare = not parts.query and not parts.fragment and "@" not in parts.netloc
    if bare and (parts.path in {"", "/"} or _DIGEST.fullmatch(parts.path)):
        return where + parts.path.rstrip("/")
    return f"{where}/{hashlib.sha256(url.encode()).hexdigest()[:8]}"


def redact(text: str, secrets: Secrets) -> str:
    """Return `text` fit for a log: no secret, no key inside a URL, no signed transaction."""
    text = _URL.sub(lambda match: shorten_url(match.group()), text)
    text = secrets.mask(text)
    return _LONG_HEX.sub(_shorten_hex, text)


def _shorten_hex(match: re.Match[str]) -> str:
    digits = match.group().removeprefix("0x")
    return f"0x{digits[:8]}..({len(digits) // 2} bytes)"
