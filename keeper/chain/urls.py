"""Endpoint addresses as they may be shown: access keys travel in paths, queries and user names."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from keeper.domain.errors import ConfigError


def mask_url(url: str) -> str:
    """Return `scheme://host/<8 hex digits>` (`ipc:<8 hex digits>`); the digits tell two addresses of one host apart."""
    digest = sha256(url.encode()).hexdigest()[:8]
    if url.startswith("ipc:"):
        return f"ipc:{digest}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return f"unreadable address/{digest}"
    where = f"{host}:{port}" if port else host
    return f"{parts.scheme}://{where}/{digest}"


def is_socket(url: str) -> bool:
    """Whether messages travel both ways over one connection there, so that the node can push."""
    return url.startswith(("ws:", "wss:", "ipc:"))


def check_url(url: str, schemes: tuple[str, ...]) -> str:
    """Return `url` when it has one of `schemes` and a host; a path becomes `ipc:` and the path.

    Raises ConfigError, without showing the address whole.
    """
    if "ipc" in schemes and url.startswith(("/", "./", "~/", "ipc:")):
        return "ipc:" + str(Path(url.removeprefix("ipc:")).expanduser())
    try:
        parts = urlsplit(url)
        readable = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        readable = False
    if not readable:
        raise ConfigError(f"not an endpoint address (http, https, ws, wss or a path): {mask_url(url)}")
    return url
