"""Whether the blocks our transactions were mined in are still the chain's."""

from __future__ import annotations

from keeper.domain.chain import Head
from keeper.domain.errors import HistoryMissing
from keeper.observe import events
from keeper.ports import Chain
from keeper.store.journal import Journal
from keeper.store.records import Slot


class ReorgWatch:
    """Reopens slots whose block left the chain. Costs no request while heads follow one another by parent hash."""

    def __init__(self, chain: Chain, journal: Journal, *, depth: int) -> None:
        self._chain = chain
        self._journal = journal
        self._depth = depth
        self._last: Head | None = None
        self.reopened: dict[int, int] = {}
        """Slots whose transaction a reorg took back, and at which head's number that was seen."""

    async def check(self, head: Head) -> None:
        """Compare the blocks of recently mined slots, newest first, with the chain that ends in `head`.

        The first block found canonical ends the search: its ancestors are canonical with it.
        """
        last = self._last
        linked = last is not None and last.hash in {head.hash, head.parent_hash}
        checked: dict[int, str | None] = {}
        for slot in self._journal.mined_since(head.number - self._depth):
            if linked and last is not None and (slot.block or 0) <= last.number:
                break
            if await self._canonical_hash(slot, head, checked) == slot.block_hash:
                break
            self._reopen(slot, checked)
            self.reopened[slot.slot_id] = head.number
        self._last = head

    async def _canonical_hash(self, slot: Slot, head: Head, checked: dict[int, str | None]) -> str | None:
        """Return the hash at the slot's height now, None when the chain is not that long any more."""
        number = slot.block or 0
        if number not in checked:
            try:
                checked[number] = head.hash if number == head.number else (await self._chain.block(number)).hash
            except HistoryMissing:
                checked[number] = None
        return checked[number]

    def _reopen(self, slot: Slot, checked: dict[int, str | None]) -> None:
        self._journal.reopen(slot)
        events.reorg_seen(
            block=slot.block or 0, old_hash=slot.block_hash or "", new_hash=checked.get(slot.block or 0) or ""
        )
        events.entry_withdrawn(nonce=slot.nonce, transaction=slot.transaction, block=slot.block)
