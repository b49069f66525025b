"""The public mempool: bytes go to all of the chain's nodes as they are."""

from __future__ import annotations

from collections.abc import Sequence

from keeper.domain.errors import RpcError, Transient
from keeper.ports import Chain
from keeper.send.channels import Errand
from keeper.send.dialects import Answer, Broadcast, read_answer


class PublicChannel:
    """Broadcasts through every node. What goes in may be seen by anybody, and may land even where it reverts."""

    reverts_can_land = True

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    async def broadcast(self, raw: bytes, transaction: str, errand: Errand) -> Broadcast:  # noqa: ARG002 - the port's
        """Hand over signed bytes whose hash is `transaction`. Never raises for what a node or the network did.

        One node that has them is enough; only when all surely refuse them are they refused.
        """
        answers = await self._chain.send_raw_to_all(raw)
        return combine([read_reply(answer, transaction) for answer in answers])


def read_reply(answered: str | RpcError | Transient, transaction: str) -> Broadcast:
    """Return what one node's reply to the broadcast of `transaction` means."""
    match answered:
        case RpcError():
            return Broadcast(answer=read_answer(answered.message, transaction), words=answered.message)
        case Transient():
            return Broadcast(answer=Answer.AMBIGUOUS, words=str(answered))
    if answered.lower() != transaction.lower():
        return Broadcast(answer=Answer.AMBIGUOUS, words=f"the node answered another hash: {answered}")
    return Broadcast(answer=Answer.ACCEPTED, words="")


def combine(replies: Sequence[Broadcast]) -> Broadcast:
    """Return what the replies mean together: the best standing, in the words of the first that has it."""
    for standing in ("accepted", "ambiguous", "refused"):
        for reply in replies:
            if reply.standing == standing:
                return reply
    return Broadcast(answer=Answer.AMBIGUOUS, words="no node was asked")
