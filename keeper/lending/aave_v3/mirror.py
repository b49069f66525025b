"""Keeps the book of one market true from logs alone: forwards, backwards, and from the saved file on."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from types import MappingProxyType
from typing import Final, Protocol

from keeper.domain.chain import Head, Log
from keeper.domain.clock import SystemClock
from keeper.domain.errors import HistoryMissing, Stale
from keeper.domain.units import ZERO_ADDRESS, Address, to_address
from keeper.lending.aave_v3.positions import BookPositions
from keeper.lending.aave_v3.replay import Replay, Replayed, wanted_topics
from keeper.lending.aave_v3.snapshot import AccountReading, Layout, ask_account
from keeper.lending.aave_v3.state import Reserve, StableDebt
from keeper.lending.batch import Batch
from keeper.lending.book.book import BLOCKS_KEPT, Book, Version
from keeper.lending.book.saved import BookFile, UnreadableBookError, dump_book
from keeper.observe import events
from keeper.ports import Chain

OnProgress = Callable[..., None]
"""Called with blocks done, blocks in all, and blocks per second (for people: not a whole number)."""

_READ_AT_ONCE: Final = 256
# A file that lags by this many blocks costs one page of logs at the next start.
_BLOCKS_PER_SAVE: Final = 50
_SECONDS_PER_SAVE_S: Final = 5.0
_DRAFTS_HELD: Final = 50_000
_YOUNG_OBJECTS: Final = 500_000


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


class _History:
    """Logs too old to be undone, gathered over many pages before they are written."""

    def __init__(self, replay: Replay, *, recent: int) -> None:
        """Gather what stands in blocks up to `recent`."""
        self.replay = replay
        self.recent = recent
        self.anew = not replay.knows_anybody
        self.reached: tuple[int, str] | None = None
        """Block and hash up to which everything is gathered."""

    def take(self, logs: Sequence[Log], page: Page) -> None:
        """Gather the old logs of a page."""
        self.replay.take(logs)
        if page.last <= self.recent:
            self.reached = page.last, page.last_hash
        elif logs:
            self.reached = _block_of(logs[-1])


class Mirror:
    """The book of one pool. One task at a time calls it."""

    def __init__(
        self,
        chain: Chain,
        backfill: Backfill,
        *,
        market: str,
        start_block: int,
        file: BookFile | None,
        on_progress: OnProgress | None,
        blocks_kept: int = BLOCKS_KEPT,
    ) -> None:
        self._blocks_kept = blocks_kept
        self._chain = chain
        self._backfill = backfill
        self._market = market
        self._start_block = start_block
        self._file = file
        self._on_progress = on_progress
        self._clock = SystemClock()
        self._pool = ZERO_ADDRESS
        self._scope = ""
        self._saved_block = -1
        self._saved_s = 0.0
        self._stable: Mapping[Address, tuple[StableDebt, ...]] = MappingProxyType({})
        self.restored = False
        """Whether the book came from the file and not from the first block on."""
        self.book = self._empty_book()
        self.unsure: set[int] = set()
        """Accounts to be read from the chain before the next view."""
        self._proven: Version | None = None
        self._is_distrusted = False

    def positions(self) -> BookPositions:
        """Return the positions as they are now."""
        return BookPositions(self.book, self.book.now, self._stable)

    async def follow(self, layout: Layout, at: Head, logs: Sequence[Log] | None, since: Head | None) -> None:
        """Bring the book to `at` by `logs`, all of the market's after `since` (None: after the book's block).

        Without logs, or when the book never was at `since`, it finds its own way from the newest
        block it shares with the chain. Raises Stale when the chain changes meanwhile.
        """
        if self._pool != layout.pool:
            await self._open(layout)
        if self._is_distrusted:
            self._return_to_proven()
            logs = None
        if logs is None or not self._go_back_to(since):
            await self._catch_up(layout, at)
            return
        now = self.book.now
        if at.number > now.block or at.hash != now.block_hash:
            fresh = [log for log in logs if log.block_number > now.block]
            self.book.begin(at.number, at.hash)
            self._note(Replay(self.book, layout).apply(fresh), anew=False)
        await self._save(at.number, due=at.number - self._saved_block >= _BLOCKS_PER_SAVE)

    async def read_anew(self, layout: Layout, at: Head) -> None:
        """Repeat the last step with a new layout: another pool, more tokens, or other rules.

        What the old rules wrote in that step is read from the chain.
        """
        if self._pool != layout.pool:
            await self._open(layout)
        elif len(self.book.versions) > 1:
            touched = set(self.book.versions[-2].before)
            self._return_to(self.book.versions[-2])
            self.unsure |= touched
        await self._catch_up(layout, at)

    async def read_unsure(self, layout: Layout, reserves: Sequence[Reserve], at: Head) -> None:
        """Read from the chain whatever the logs did not settle. Raises Transient; what was read stays read."""
        while self.unsure:
            numbers = sorted(self.unsure)[:_READ_AT_ONCE]
            for number, reading in (await self.read_accounts(layout, reserves, numbers, at)).items():
                self._settle(number, reading)

    async def read_accounts(
        self, layout: Layout, reserves: Sequence[Reserve], numbers: Iterable[int], at: Head
    ) -> dict[int, AccountReading]:
        """Return what the contracts say of these accounts at `at`."""
        batch = Batch()
        asked = {number: ask_account(batch, layout, reserves, self.address(number)) for number in numbers}
        await batch.run(self._chain, at)
        return {number: build() for number, build in asked.items()}

    def address(self, number: int) -> Address:
        """Return an account's address."""
        return to_address(self.book.addresses.address(number))

    def note_proven(self) -> None:
        """The book as it is now agrees with the chain's own totals."""
        self._proven = self.book.now

    def distrust(self) -> None:
        """Have all logs since the book last agreed with the chain's totals fetched again before the next view."""
        self._is_distrusted = True

    def doubt_all(self) -> None:
        """Have every account read again before the next view."""
        self.unsure.update(range(len(self.book.addresses)))

    # --- finding the way ------------------------------------------------------------------------------------------

    async def _open(self, layout: Layout) -> None:
        """Start over for a pool, from the file where it is this pool's."""
        self._pool = layout.pool
        self._scope = f"{await self._chain.chain_id()}:{layout.pool}:{self._start_block}"
        self.book, self.unsure, self.restored = self._empty_book(), set(), False
        self._stable = MappingProxyType({})
        if self._file is None:
            return
        try:
            saved = await self._file.load(blocks_kept=self._blocks_kept)
        except UnreadableBookError as error:
            events.book_unreadable(market=self._market, path=str(self._file.path), error=str(error))
            return
        if saved is not None and saved.scope == self._scope:
            self.book, self.unsure, self.restored = saved.book, set(saved.unsure), True
            self._saved_block = self.book.now.block

    def _empty_book(self) -> Book:
        return Book(self._start_block - 1, "", blocks_kept=self._blocks_kept)

    def _go_back_to(self, since: Head | None) -> bool:
        """Make the version at `since` live; return whether there is one."""
        if since is None:
            return True
        for version in reversed(self.book.versions):
            if version.block == since.number and version.block_hash == since.hash:
                self._return_to(version)
                return True
        return False

    def _return_to_proven(self) -> None:
        """Go back to before the logs that are in doubt; to nothing where that is too long ago."""
        self._is_distrusted = False
        proven = self._proven
        if proven is not None and proven in self.book.versions:
            self._return_to(proven)
        else:
            self.book, self.unsure, self._proven = self._empty_book(), set(), None
            self._stable = MappingProxyType({})

    def _return_to(self, version: Version) -> None:
        self.unsure |= self.book.go_back(version)

    async def _catch_up(self, layout: Layout, at: Head) -> None:
        """Go on from the newest version that is still on the chain, else from the first block."""
        common = await self._common(at)
        if common is not None:
            self._return_to(common)
            self.restored = self.restored and bool(common.block_hash)  # without a hash it is the empty beginning
        else:
            events.book_rebuilt(market=self._market, block=self.book.now.block, first=self._start_block)
            if self.book.now.block > at.number:
                self._file = None  # a look at history must not replace the newer book
            self.book, self.unsure, self.restored = self._empty_book(), set(), False
            self._stable = MappingProxyType({})
        first = self.book.now.block + 1
        if first <= at.number:
            await self._fetch(layout, first, at)
        elif self.book.now.block_hash != at.hash:
            self.book.begin(at.number, at.hash)  # the market begins later than this block
        await self._save(at.number, due=self.book.now.block != self._saved_block)

    async def _common(self, at: Head) -> Version | None:
        for version in reversed(self.book.versions):
            if version.block <= at.number and await self._stands(version, at):
                return version
        return None

    async def _stands(self, version: Version, at: Head) -> bool:
        if not version.block_hash or version.block == at.number:
            return version.block_hash in ("", at.hash)
        try:
            return (await self._chain.block(version.block)).hash == version.block_hash
        except HistoryMissing:
            return False

    async def _fetch(self, layout: Layout, first: int, at: Head) -> None:
        stables = (token for token in layout.stable_tokens.values() if token != ZERO_ADDRESS)
        addresses = [layout.pool, *layout.a_tokens.values(), *layout.debt_tokens.values(), *stables]
        history = _History(Replay(self.book, layout), recent=at.number - self._blocks_kept)

        async def take(page: Page) -> None:
            await self._take_page(layout, page, history)

        with _collecting_seldom():
            await self._backfill(
                self._chain,
                addresses,
                wanted_topics(layout.revision),
                first,
                at.number,
                on_page=take,
                on_progress=self._on_progress,
            )
        if self.book.now.block_hash != at.hash:
            raise Stale(f"block {at.number} was replaced while the logs up to it were read")

    async def _take_page(self, layout: Layout, page: Page, history: _History) -> None:
        """Apply a page: in large steps what is too old to go back to, block by block what is not."""
        save = self._file is not None and self._clock.monotonic_s() - self._saved_s >= _SECONDS_PER_SAVE_S
        old = [log for log in page.logs if log.block_number <= history.recent]
        history.take(old, page)
        if page.last < history.recent:
            if save or len(history.replay) > _DRAFTS_HELD:
                self._write(history)
                await self._save(page.last, due=save)
            return
        self._write(history)
        for (block, block_hash), logs in groupby(page.logs[len(old) :], _block_of):
            self.book.begin(block, block_hash)
            self._note(Replay(self.book, layout).apply(logs), anew=history.anew)
        if self.book.now.block < page.last:
            self.book.begin(page.last, page.last_hash)
        elif self.book.now.block_hash != page.last_hash:
            raise Stale(f"block {page.last} was replaced while its logs were read")
        await self._save(page.last, due=save)

    def _write(self, history: _History) -> None:
        if history.reached is not None and history.reached[0] > self.book.now.block:
            self.book.begin(*history.reached)
            self._note(history.replay.write(), anew=history.anew)

    def _note(self, replayed: Replayed, *, anew: bool) -> None:
        """Note what a replay left open; an upgrade leaves what its rules touched unsure."""
        self.unsure |= replayed.unsure
        if replayed.upgraded:
            # In a first reading nobody knows which rules earlier logs were written by.
            self.unsure.update(range(len(self.book.addresses)) if anew else replayed.touched)

    def _settle(self, number: int, reading: AccountReading) -> None:
        self.book.put(number, reading.row)
        self.book.now.unsure.add(number)
        account = self.address(number)
        if reading.stable or account in self._stable:
            rest = {other: debts for other, debts in self._stable.items() if other != account}
            self._stable = MappingProxyType({**rest, account: reading.stable} if reading.stable else rest)
        self.unsure.discard(number)

    # --- keeping it -----------------------------------------------------------------------------------------------

    async def _save(self, block: int, *, due: bool) -> None:
        if self._file is None or not due:
            return
        # Stable debts are not in the file: whoever has one is read again after a restart.
        stable = {self.book.addresses.find(bytes.fromhex(account[2:])) for account in self._stable}
        unsure = frozenset(self.unsure) | {number for number in stable if number is not None}
        try:
            await self._file.save(dump_book(self.book, scope=self._scope, unsure=unsure))
        except OSError as error:
            events.book_not_saved(market=self._market, path=str(self._file.path), error=str(error))
        self._saved_block, self._saved_s = block, self._clock.monotonic_s()


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """Look for cyclic garbage less often: a page is a hundred thousand young objects, none of them in a cycle.

    With the usual thresholds more than half of the time of reading history goes into looking.
    """
    usual = gc.get_threshold()
    gc.set_threshold(_YOUNG_OBJECTS, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _block_of(log: Log) -> tuple[int, str]:
    return log.block_number, log.block_hash
