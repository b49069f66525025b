"""How long an endpoint may take and how much it may say."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp


@dataclass(slots=True)
class Limits:
    """Bounds of every exchange; `total_s` counts from the first byte sent to the last byte read."""

    connect_s: float = 3.0
    total_s: float = 15.0
    reply_bytes: int = 64 * 2**20

    @property
    def http_timeout(self) -> aiohttp.ClientTimeout:
        """The same, as the HTTP client wants it."""
        return aiohttp.ClientTimeout(total=self.total_s, sock_connect=self.connect_s)


LIMITS = Limits()
