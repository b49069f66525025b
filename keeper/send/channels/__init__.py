"""Ways out of the process. Nothing else broadcasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from keeper.send.dialects import Broadcast
from keeper.store.records import AttemptKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What a channel may want to know about the bytes it carries.

    `waited_blocks` is for how long the nonce has been on its way, `last_block` the last that may include it (None:
    any).
    """

    kind: AttemptKind
    waited_blocks: int = 0
    last_block: int | None = None


class Channel(Protocol):
    """One way out."""

    @property
    def reverts_can_land(self) -> bool:
        """Return whether a transaction that reverts may be mined, and paid for."""

    async def broadcast(self, raw: bytes, transaction: str, errand: Errand) -> Broadcast:
        """Hand over signed bytes whose hash is `transaction`. Never raises for what a node or the network did."""
