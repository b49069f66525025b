"""Who has ever borrowed: found from Borrow events, kept between runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from keeper.domain.chain import Head, Log
from keeper.domain.errors import HistoryMissing
from keeper.domain.units import Address, to_address
from keeper.lending.aave_v3.calls import BORROW_TOPIC
from keeper.ports import Chain, Discoveries

OnProgress = Callable[..., None]
"""Called with blocks done, blocks in all, and blocks per second (for people: not a whole number)."""

# Heads remembered to find the fork point of a reorganisation without starting over.
_HEADS_KEPT = 128
# A cursor that lags by this many blocks costs one page at the next start; saving each costs a disk sync.
_BLOCKS_PER_SAVE = 50


class Page(Protocol):
    """Logs of a closed range of blocks; `last_hash` is the hash of block `last`."""

    @property
    def last(self) -> int:
        """The last block of the range."""

    @property
    def last_hash(self) -> str:
        """That block's hash."""

    @property
    def logs(self) -> Sequence[Log]:
        """All matching logs of the range, in order."""


class Backfill(Protocol):
    """Hands every log of a range to `on_page`, in order, page by page."""

    def __call__(
        self,
        chain: Chain,
        addresses: Sequence[Address],
        topics: Sequence[bytes],
        first: int,
        last: int,
        *,
        on_page: Callable[[Page], Awaitable[None]],
        on_progress: OnProgress | None = None,
    ) -> Awaitable[None]:
        """Return once everything from `first` to `last` has been handed over."""


class Borrowers:
    """All accounts that ever borrowed from one pool, complete up to a cursor on the chain."""

    def __init__(
        self,
        chain: Chain,
        discoveries: Discoveries,
        backfill: Backfill,
        *,
        scope: str,
        pool: Address,
        start_block: int,
        on_progress: OnProgress | None,
    ) -> None:
        self._chain = chain
        self._discoveries = discoveries
        self._backfill = backfill
        self._scope = scope
        self._pool = pool
        self._start_block = start_block
        self._on_progress = on_progress
        self._saved_block = start_block - 1
        self._heads: list[tuple[int, str]] = []
        self.accounts: set[Address] = set()

    def load(self) -> None:
        """Take up what an earlier run kept."""
        kept = self._discoveries.load_accounts(self._scope)
        if kept is not None:
            accounts, last_block, block_hash = kept
            self.accounts |= accounts
            self._heads = [(last_block, block_hash)]
            self._saved_block = last_block

    async def catch_up(self, at: Head) -> None:
        """Find everybody who borrowed up to `at`, from the newest block that is still on the chain."""
        first = await self._first_unread_block(at)
        if first <= at.number:
            await self._backfill(
                self._chain,
                [self._pool],
                [BORROW_TOPIC],
                first,
                at.number,
                on_page=self._take_page,
                on_progress=self._on_progress,
            )
        self._remember(at.number, at.hash)

    def take(self, logs: Iterable[Log], at: Head) -> list[Address]:
        """Take in all logs since the last head; return the accounts that are new."""
        new = self._new_accounts(logs)
        self.accounts.update(new)
        self._remember(at.number, at.hash)
        if new or at.number - self._saved_block >= _BLOCKS_PER_SAVE:
            self._save(new, at.number, at.hash)
        return new

    def _new_accounts(self, logs: Iterable[Log]) -> list[Address]:
        found = {
            to_address(log.topics[2])
            for log in logs
            if log.address == self._pool and len(log.topics) > 2 and log.topics[0] == BORROW_TOPIC
        }
        return sorted(found - self.accounts)

    async def _take_page(self, page: Page) -> None:
        new = self._new_accounts(page.logs)
        self.accounts.update(new)
        self._remember(page.last, page.last_hash)
        self._save(new, page.last, page.last_hash)

    def _save(self, new: Sequence[Address], block: int, block_hash: str) -> None:
        self._discoveries.save_accounts(self._scope, new, block, block_hash)
        self._saved_block = block

    def _remember(self, block: int, block_hash: str) -> None:
        # A cursor above belongs to a later time of this chain (a look at history) or to an
        # abandoned branch; `_first_unread_block` tells which by the hash.
        self._heads.append((block, block_hash))
        self._heads.sort()
        del self._heads[:-_HEADS_KEPT]

    async def _first_unread_block(self, at: Head) -> int:
        while self._heads:
            block, block_hash = self._heads[-1]
            if await self._stands(block, block_hash, at):
                return block + 1
            self._heads.pop()
        return self._start_block

    async def _stands(self, block: int, block_hash: str, at: Head) -> bool:
        if block == at.number:
            return block_hash == at.hash
        try:
            return (await self._chain.block(block)).hash == block_hash
        except HistoryMissing:
            return False
