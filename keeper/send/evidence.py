"""What is asked of the chain to judge a transaction."""

from __future__ import annotations

import asyncio

from keeper.domain.chain import Head, Receipt
from keeper.domain.errors import HistoryMissing, RpcError
from keeper.ports import Chain
from keeper.store.records import Slot

_PAUSE_S = 0.2


async def read_receipts(chain: Chain, slot: Slot, *, tries: int = 1) -> dict[str, Receipt]:
    """Ask for the receipts of every transaction of the slot, by hash; none found is an empty answer.

    A node's receipts can lag behind its nonces: `tries` asks again, with a pause.
    """
    for turn in range(tries):
        if turn:
            await asyncio.sleep(_PAUSE_S)
        found = {}
        for attempt in slot.attempts:
            receipt = await chain.receipt(attempt.transaction)
            if receipt is not None:
                found[attempt.transaction] = receipt
        if found:
            return found
    return {}


async def read_block_time_s(chain: Chain, receipt: Receipt, head: Head) -> int:
    """Return the time of the block that holds `receipt`."""
    if receipt.block_hash == head.hash:
        return head.timestamp_s
    return (await chain.block(receipt.block_number)).timestamp_s


async def read_genesis_hash(chain: Chain) -> str | None:
    """Return the first block's hash, None where the node does not keep it."""
    try:
        return (await chain.block(0)).hash
    except (HistoryMissing, RpcError):
        return None
