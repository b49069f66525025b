"""A private way to the block builders, and when to leave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from keeper.domain.errors import RpcError, Transient
from keeper.send.channels import Channel, Errand
from keeper.send.channels.public import combine, read_reply
from keeper.send.dialects import Broadcast

Fallback = Literal["never", "after_blocks"]


class Relay(Protocol):
    """A private submit address."""

    async def submit_raw(self, raw: bytes, last_block: int | None) -> str:
        """Submit signed bytes; return the hash the relay answers. Raises RpcError, Transient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackPolicy:
    """When the bytes also go to the public mempool: never, or once they have waited `blocks`."""

    kind: Fallback = "never"
    blocks: int = 0


class PrivateChannel:
    """Submits to a relay, and to the public mempool as far as the policy says.

    A cancellation always goes both ways: it gives nothing away, and the nonce has to be freed wherever the plan is.
    """

    def __init__(self, relay: Relay, public: Channel, policy: FallbackPolicy) -> None:
        self._relay = relay
        self._public = public
        self._policy = policy

    @property
    def reverts_can_land(self) -> bool:
        """Whether a transaction that reverts may be mined: not before it is public."""
        return self._policy.kind != "never"

    async def broadcast(self, raw: bytes, transaction: str, errand: Errand) -> Broadcast:
        """Hand over signed bytes whose hash is `transaction`. Never raises for what a node or the network did."""
        replies = [await self._submit(raw, transaction, errand)]
        if self._goes_public(errand):
            replies.append(await self._public.broadcast(raw, transaction, errand))
        return combine(replies)

    async def _submit(self, raw: bytes, transaction: str, errand: Errand) -> Broadcast:
        try:
            answered: str | RpcError | Transient = await self._relay.submit_raw(raw, errand.last_block)
        except (RpcError, Transient) as error:
            answered = error
        return read_reply(answered, transaction)

    def _goes_public(self, errand: Errand) -> bool:
        if errand.kind == "cancel":
            return True
        return self._policy.kind == "after_blocks" and errand.waited_blocks >= self._policy.blocks
