"""Keeps one Aave-V3-like market true, head by head.

Positions come from the book, which logs alone keep; one question a block reads all reserves and
prices, and the totals the book's sums must equal. Whatever is not certain any more (another pool,
oracle, revision or list of reserves) leads to the market's parts being found anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from keeper.domain.chain import Head, Log
from keeper.domain.errors import ConfigError, Stale, Transient
from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.lending.aave_v3 import calls
from keeper.lending.aave_v3.audit import Auditor
from keeper.lending.aave_v3.mirror import Backfill, Mirror, OnProgress
from keeper.lending.aave_v3.revisions import Revision, revision_for
from keeper.lending.aave_v3.snapshot import (
    Layout,
    ask_emode,
    ask_reserve,
    ask_sentinel,
    decode_emode_words,
    decode_reserve,
)
from keeper.lending.aave_v3.state import EMode, Reserve, Sentinel
from keeper.lending.aave_v3.view import AaveV3View
from keeper.lending.batch import Answer, Batch
from keeper.lending.book.book import BLOCKS_KEPT
from keeper.lending.book.saved import BookFile
from keeper.observe import events
from keeper.ports import Chain

_LAYOUT_TRIES = 3
_SETTLED_AFTER_S = 0.2  # by then a node has taken in the block it was busy with
AUDIT_ACCOUNTS = 2_000
"""So many accounts are compared with the chain at the start."""
_USUAL_BASE_UNIT = 10**8  # stands in while the oracle is silent; nothing is priced in it then


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One block's answers."""

    base_unit: int
    reserves: dict[int, Reserve]
    emodes: dict[int, EMode]
    sentinel: Sentinel | None
    premium_bps: int
    premium_to_protocol_bps: int
    totals: dict[tuple[bool, int], int]


class AaveV3Market:
    """A deployment of Aave V3, or of the bundled market with its surface. See `ports.LendingMarket`."""

    protocol = "aave-v3"

    def __init__(  # noqa: PLR0913 - the settings of one market, all but the chain by keyword
        self,
        chain: Chain,
        *,
        name: str,
        addresses_provider: Address,
        start_block: int,
        backfill: Backfill,
        book_path: Path | None = None,
        audit_accounts: int = AUDIT_ACCOUNTS,
        on_progress: OnProgress | None = None,
        allow_unverified: bool = True,
        undo_blocks: int = BLOCKS_KEPT,
    ) -> None:
        """Make a reader. The book is kept at `book_path`, if given; `audit_accounts` are checked at the start.

        A reorganisation of up to `undo_blocks` is undone; a deeper one has the book built anew.
        """
        self._chain = chain
        self._name = name
        self._provider = addresses_provider
        self._allow_unverified = allow_unverified
        self._mirror = Mirror(
            chain,
            backfill,
            market=name,
            start_block=start_block,
            file=None if book_path is None else BookFile(book_path),
            on_progress=on_progress,
            blocks_kept=undo_blocks,
        )
        self._auditor = Auditor(chain, self._mirror, market=name, at_start=audit_accounts)
        self._layout: Layout | None = None
        self._emode_sources: dict[int, Address] = {}

    @property
    def name(self) -> str:
        """The market's name in the configuration."""
        return self._name

    @property
    def log_addresses(self) -> Sequence[Address]:
        """The contracts whose logs `advance` wants: the pool, all aTokens, all debt tokens."""
        layout = self._layout
        if layout is None:
            return ()
        tokens = (*layout.a_tokens.values(), *layout.debt_tokens.values(), *layout.stable_tokens.values())
        return (layout.pool, *(token for token in tokens if token != ZERO_ADDRESS))

    async def start(self, at: Head) -> None:
        """Check the deployment and find its accounts up to `at`.

        Raises ConfigError for an address without code, for a contract that is no addresses
        provider, and for a pool revision that is not known (or not verified, where that is demanded).
        """
        if not await self._chain.code(self._provider):
            raise ConfigError(
                f"market {self._name!r}: addresses_provider {self._provider} is an address without code on this chain"
            )
        self._layout = await self._read_layout(at)
        await self._mirror.follow(self._layout, at, None, None)

    async def advance(self, at: Head, logs: Sequence[Log] | None, *, since: Head | None = None) -> AaveV3View:
        """Return the market at `at`, given all its logs after `since` (None: after the last view).

        Without logs it finds by itself what it missed. Raises Transient when a part of the market
        cannot be read and Stale when the chain changes meanwhile; nothing is forgotten then.
        """
        if self._layout is None or logs is None:
            self._layout = await self._read_layout(at)
        await self._mirror.follow(self._layout, at, logs, since)
        layout, reading = await self._read_market(at)
        await self._mirror.read_unsure(layout, list(reading.reserves.values()), at)

        async def confirm() -> None:
            await self._confirm(at, layout, reading)

        await self._auditor.check_totals(layout, reading.reserves, reading.totals, at, confirm)
        view = self._view(at, layout, reading)
        if await self._auditor.check_accounts(layout, view, confirm):
            await self._mirror.read_unsure(layout, list(reading.reserves.values()), at)
            view = self._view(at, layout, reading)
        return view

    async def _confirm(self, at: Head, layout: Layout, reading: _Reading) -> None:
        """Read the market once more. Raises Stale when it is not `reading`.

        A node that is just taking in the next block may answer for `at` with that one's state.
        """
        await asyncio.sleep(_SETTLED_AFTER_S)
        if await self._ask_market(at, layout) != reading:
            raise Stale(f"market {self._name!r}: the node answered for block {at.number} with another block's state")

    def _view(self, at: Head, layout: Layout, reading: _Reading) -> AaveV3View:
        return AaveV3View(
            name=self._name,
            deployment=layout.revision,
            pool=layout.pool,
            head=at,
            base_unit=reading.base_unit,
            reserves=MappingProxyType(reading.reserves),
            emodes=MappingProxyType(reading.emodes),
            sentinel=reading.sentinel,
            flash_premium_bps=reading.premium_bps,
            flash_protocol_bps=reading.premium_to_protocol_bps,
            positions=self._mirror.positions(),
            ids=MappingProxyType({reserve.token: reserve.id for reserve in reading.reserves.values()}),
            oracle=layout.oracle,
        )

    async def _read_layout(self, at: Head) -> Layout:
        """Find the parts of the market, from the provider down."""
        batch = Batch()
        pool = batch.ask_if_any(self._provider, calls.GET_POOL, calls.decode_address)
        oracle = batch.ask_if_any(self._provider, calls.GET_PRICE_ORACLE, calls.decode_address)
        sentinel = batch.ask_if_any(self._provider, calls.GET_SENTINEL, calls.decode_address)
        await batch.run(self._chain, at)
        pool_address, oracle_address = pool.value or ZERO_ADDRESS, oracle.value or ZERO_ADDRESS
        if ZERO_ADDRESS in (pool_address, oracle_address):
            raise ConfigError(
                f"market {self._name!r}: {self._provider} names no pool or no oracle at block {at.number}; "
                "is it the market's PoolAddressesProvider?"
            )
        return await self._read_parts(at, pool_address, oracle_address, sentinel.value or ZERO_ADDRESS)

    async def _read_parts(self, at: Head, pool: Address, oracle: Address, sentinel: Address) -> Layout:
        batch = Batch()
        number = batch.ask_if_any(pool, calls.POOL_REVISION, calls.decode_word)
        tokens = batch.ask_if_any(pool, calls.GET_RESERVES, calls.decode_address_list)
        sequencer = batch.ask_if_any(sentinel, calls.SEQUENCER_ORACLE, calls.decode_address)
        grace = batch.ask_if_any(sentinel, calls.SENTINEL_GRACE, calls.decode_word)
        await batch.run(self._chain, at)
        if number.value is None or tokens.value is None:
            raise ConfigError(f"market {self._name!r}: {pool} does not answer as a pool at block {at.number}")
        guarded = sentinel != ZERO_ADDRESS and grace.value is not None
        rows = await self._read_reserve_tokens(at, pool, tokens.value)
        return Layout(
            pool=pool,
            oracle=oracle,
            sentinel=sentinel,
            revision=self._revision(number.value),
            a_tokens={row.token: row.a_token for row in rows},
            debt_tokens={row.token: row.variable_debt_token for row in rows},
            stable_tokens={row.token: row.stable_debt_token for row in rows},
            ids={row.token: row.id for row in rows},
            sequencer=sequencer.value if guarded else None,
            sentinel_grace_s=grace.value or 0 if guarded else 0,
        )

    def _revision(self, number: int) -> Revision:
        """Return the description of a revision that may be acted on; an upgrade leads here again."""
        revision = revision_for(number)
        if not (revision.verified or self._allow_unverified):
            raise ConfigError(
                f"market {self._name!r}: pool revision {number} ({revision.version}) was never compared with a "
                "compiled contract; set allow_unverified_revision = true in its [[markets]] to send all the same"
            )
        if not revision.verified and (self._layout is None or self._layout.revision != revision):
            events.revision_unverified(market=self._name, revision=number, version=revision.version)
        return revision

    async def _read_reserve_tokens(self, at: Head, pool: Address, tokens: Sequence[Address]) -> list[Reserve]:
        batch = Batch()
        rows = [
            batch.ask(pool, calls.reserve_data_of(token), _reserve_decoder(token), "reserve data") for token in tokens
        ]
        await batch.run(self._chain, at)
        return [row.value for row in rows]

    async def _read_market(self, at: Head) -> tuple[Layout, _Reading]:
        """Read everything but balances, with the layout checked in the same question.

        A new layout has more tokens, or other rules, than the logs were read with: the book goes
        back to where the old one held and reads them again.
        """
        layout = self._layout
        if layout is None:
            raise ValueError("start was not called")
        for _ in range(_LAYOUT_TRIES):
            reading = await self._ask_market(at, layout)
            if reading is not None:
                return layout, reading
            layout = self._layout = await self._read_layout(at)
            await self._mirror.read_anew(layout, at)
        raise Transient(f"market {self._name!r}: its parts change faster than they can be read")

    async def _ask_market(self, at: Head, layout: Layout) -> _Reading | None:
        """Return the block's answers, None when the market is no longer laid out like that."""
        batch = Batch()
        same = self._ask_layout(batch, layout)
        reserves = [ask_reserve(batch, layout, token) for token in layout.a_tokens]
        emodes = [ask_emode(batch, layout, category, source) for category, source in self._emode_sources.items()]
        sentinel = ask_sentinel(batch, layout)
        premium = batch.ask_if_any(layout.pool, calls.FLASH_PREMIUM, calls.decode_word)
        to_protocol = batch.ask_if_any(layout.pool, calls.PREMIUM_TO_PROTOCOL, calls.decode_word)
        unit = batch.ask_if_any(layout.oracle, calls.BASE_UNIT, calls.decode_word)
        totals = _ask_totals(batch, layout)
        try:
            await batch.run(self._chain, at)
        except Transient:
            if await self._holds(at, layout):
                raise
            return None  # what cannot be read is not there: a reorganisation took a new reserve back, say
        rows = [build() for build in reserves]
        if not same() or any(_moved(row, layout) for row in rows):
            return None
        if unit.value is None:
            # An oracle that does not even say what it counts in has no prices.
            rows = [replace(row, price_base=None) for row in rows]
        sums = {key: answer.value for key, answer in totals.items()}
        modes = {mode.id: mode for mode in (build() for build in emodes)}
        modes.update(await self._read_emodes(at, layout, self._mirror.book.categories - modes.keys()))
        return _Reading(
            base_unit=unit.value or _USUAL_BASE_UNIT,
            reserves={row.id: _with_totals(row, sums) for row in sorted(rows, key=lambda row: row.id)},
            emodes=modes,
            sentinel=sentinel(at.timestamp_s),
            premium_bps=premium.value or 0,
            premium_to_protocol_bps=to_protocol.value or 0,
            totals=sums,
        )

    async def _holds(self, at: Head, layout: Layout) -> bool:
        """Return whether the market is laid out like that, asked for alone. Raises Transient."""
        batch = Batch()
        same = self._ask_layout(batch, layout)
        await batch.run(self._chain, at)
        return same()

    def _ask_layout(self, batch: Batch, layout: Layout) -> Callable[[], bool]:
        """Add the reads that show whether `layout` still holds."""
        pool = batch.ask_if_any(self._provider, calls.GET_POOL, calls.decode_address)
        oracle = batch.ask_if_any(self._provider, calls.GET_PRICE_ORACLE, calls.decode_address)
        sentinel = batch.ask_if_any(self._provider, calls.GET_SENTINEL, calls.decode_address)
        number = batch.ask_if_any(layout.pool, calls.POOL_REVISION, calls.decode_word)
        tokens = batch.ask_if_any(layout.pool, calls.GET_RESERVES, calls.decode_address_list)
        sources = [
            (source, batch.ask_if_any(layout.pool, calls.emode_data_of(category), decode_emode_words))
            for category, source in self._emode_sources.items()
            if layout.revision.emode == "category"
        ]

        def same() -> bool:
            known = (layout.pool, layout.oracle, layout.sentinel, layout.revision.number)
            seen = (pool.value, oracle.value, sentinel.value or ZERO_ADDRESS, number.value)
            listed = tokens.value is not None and set(tokens.value) == set(layout.a_tokens)
            priced = all(words.value and calls.word_address(words.value[3]) == source for source, words in sources)
            if not priced:
                self._emode_sources.clear()
            return known == seen and listed and priced

        return same

    async def _read_emodes(self, at: Head, layout: Layout, categories: Iterable[int]) -> dict[int, EMode]:
        """Read categories met for the first time; from then on they are part of every question."""
        wanted = sorted(categories)
        sources = dict.fromkeys(wanted, ZERO_ADDRESS)
        if wanted and layout.revision.emode == "category":
            batch = Batch()
            words = {
                category: batch.ask(layout.pool, calls.emode_data_of(category), decode_emode_words, "the e-mode")
                for category in wanted
            }
            await batch.run(self._chain, at)
            sources = {category: calls.word_address(answer.value[3]) for category, answer in words.items()}
        batch = Batch()
        modes = [ask_emode(batch, layout, category, source) for category, source in sources.items()]
        await batch.run(self._chain, at)
        self._emode_sources.update(sources)
        return {mode.id: mode for mode in (build() for build in modes)}


def _ask_totals(batch: Batch, layout: Layout) -> dict[tuple[bool, int], Answer[int]]:
    """Add the reads of the scaled totals, by (is it debt, reserve id)."""
    what = "a token's total"
    return {
        (owed, layout.ids[underlying]): batch.ask(token, calls.SCALED_TOTAL, calls.decode_word, what)
        for owed, tokens in ((False, layout.a_tokens), (True, layout.debt_tokens))
        for underlying, token in tokens.items()
    }


def _with_totals(reserve: Reserve, totals: Mapping[tuple[bool, int], int]) -> Reserve:
    return replace(reserve, supply_scaled=totals[False, reserve.id], debt_scaled=totals[True, reserve.id])


def _reserve_decoder(token: Address) -> Callable[[bytes], Reserve]:
    return lambda raw: decode_reserve(raw, token)


def _moved(reserve: Reserve, layout: Layout) -> bool:
    """Return whether a reserve's tokens are no longer those of the layout."""
    known = (
        layout.a_tokens[reserve.token],
        layout.debt_tokens[reserve.token],
        layout.stable_tokens[reserve.token],
    )
    return known != (reserve.a_token, reserve.variable_debt_token, reserve.stable_debt_token)
