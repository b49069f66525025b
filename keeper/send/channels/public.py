"""The public mempool: bytes go to the chain's nodes as they are."""

from __future__ import annotations

from keeper.domain.errors import RpcError, Transient
from keeper.ports import Chain
from keeper.send.dialects import Answer, Broadcast, read_answer


class PublicChannel:
    """Broadcasts through the node. What goes in may be seen by anybody, and may land even where it reverts."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    async def broadcast(self, raw: bytes, transaction: str) -> Broadcast:
        """Hand over signed bytes whose hash is `transaction`. Never raises for what a node or the network did."""
        try:
            answered = await self._chain.send_raw(raw)
        except RpcError as error:
            return Broadcast(answer=read_answer(error.message, transaction), words=error.message)
        except Transient as error:
            return Broadcast(answer=Answer.AMBIGUOUS, words=str(error))
        if answered.lower() != transaction.lower():
            return Broadcast(answer=Answer.AMBIGUOUS, words=f"the node answered another hash: {answered}")
        return Broadcast(answer=Answer.ACCEPTED, words="")
