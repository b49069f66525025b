"""Compares the book with the chain: totals at every block, whole accounts at the start and now and then."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from keeper.domain.chain import Head
from keeper.domain.errors import Stale
from keeper.domain.units import Address, address_bytes
from keeper.lending.aave_v3 import calls
from keeper.lending.aave_v3.mirror import Mirror
from keeper.lending.aave_v3.snapshot import AccountReading, Layout
from keeper.lending.aave_v3.state import Reserve
from keeper.lending.aave_v3.view import AaveV3View
from keeper.lending.batch import Batch
from keeper.lending.book.rows import Row
from keeper.observe import events
from keeper.ports import Chain

_SAMPLE: Final = 4  # accounts per minute of chain time
_SAMPLE_INTERVAL_S: Final = 60
_AFTER_RESTART: Final = 64
_SLICE: Final = 128
_PATIENT_TRIES: Final = 8
_TRY_AGAIN: Final = 64

Totals = Mapping[tuple[bool, int], int]
Confirm = Callable[[], Awaitable[None]]
"""Reads the market once more; raises Stale when it is not what it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing the book has otherwise than the chain, at one block."""

    account: Address | None
    field: str
    ours: int
    theirs: int
    block: int


class Auditor:
    """Finds differences, reports each, and has the accounts concerned read again."""

    def __init__(self, chain: Chain, mirror: Mirror, *, market: str, at_start: int) -> None:
        """Check `at_start` accounts when the book was built anew, fewer when it came from a file."""
        self._chain = chain
        self._mirror = mirror
        self._market = market
        self._at_start = at_start
        self._gaps: dict[tuple[bool, int], int] | None = None
        self._tries = 0
        self._checked_s: int | None = None
        self.differences = 0
        """How many were found so far."""

    async def check_totals(
        self,
        layout: Layout,
        reserves: Mapping[int, Reserve],
        totals: Totals,
        at: Head,
        confirm: Confirm,
    ) -> None:
        """Compare the sums of all accounts with each token's scaled total.

        Before a difference is believed `confirm` reads the market once more; what that raises is raised.

        A difference means that logs were missed, or left away by the node. Then they are fetched
        again since the totals last agreed, which is what Stale says here. If they say the same again,
        every known account is read from the chain, which settles what was replayed wrongly; what
        differs even then belongs to accounts that no log named, and there is no view for a while.
        What the first totals ever differ by belongs to such accounts as well, because the market is
        older than its start_block.
        """
        gaps = self._gaps_to(totals)
        if gaps == (self._gaps or {}):
            self._gaps, self._tries = gaps, 0
            self._mirror.note_proven()
            return
        await confirm()
        if self._gaps is None:
            await self._settle_first_totals(layout, reserves, totals, at)
            return
        self._tries += 1
        if self._tries == 1:
            self._report_totals(totals, at)
        if self._tries > 1 and await self._settled_by_reading(layout, reserves, totals, at):
            return
        if self._tries <= _PATIENT_TRIES or self._tries % _TRY_AGAIN == 0:
            self._mirror.distrust()
            raise Stale(f"market {self._market!r}: the logs up to block {at.number} do not add up; fetched again")
        events.book_incomplete(market=self._market, tokens=len(self._gaps_to(totals)), block=at.number)

    async def _settled_by_reading(
        self, layout: Layout, reserves: Mapping[int, Reserve], totals: Totals, at: Head
    ) -> bool:
        """Read every known account; return whether the sums are right then."""
        self._mirror.doubt_all()
        await self._mirror.read_unsure(layout, list(reserves.values()), at)
        gaps = self._gaps_to(totals)
        if gaps != (self._gaps or {}):
            return False
        self._gaps, self._tries = gaps, 0
        self._mirror.note_proven()
        return True

    async def _settle_first_totals(
        self, layout: Layout, reserves: Mapping[int, Reserve], totals: Totals, at: Head
    ) -> None:
        self._mirror.doubt_all()
        await self._mirror.read_unsure(layout, list(reserves.values()), at)
        self._gaps = self._gaps_to(totals)
        if self._gaps:
            events.book_incomplete(market=self._market, tokens=len(self._gaps), block=at.number)

    async def check_accounts(self, layout: Layout, view: AaveV3View, confirm: Confirm) -> bool:
        """Compare some accounts, when it is time to; return whether any has to be read again.

        As in `check_totals`, a difference is believed once `confirm` has passed and it is still there.
        """
        count = self._due(view.head)
        if not count:
            return False
        before, self._checked_s = self._checked_s, view.head.timestamp_s
        wrong = False
        numbers = self._choose(count)
        try:
            for start in range(0, len(numbers), _SLICE):
                for difference in await self._differences(layout, view, numbers[start : start + _SLICE], confirm):
                    wrong = True
                    self._report(difference)
        except Stale:
            self._checked_s = before  # nothing was learnt about the book
            raise
        return wrong

    async def _differences(
        self, layout: Layout, view: AaveV3View, numbers: list[int], confirm: Confirm
    ) -> list[Difference]:
        if not await self._compare(layout, view, numbers):
            return []
        await confirm()
        return await self._compare(layout, view, numbers)

    def _gaps_to(self, totals: Totals) -> dict[tuple[bool, int], int]:
        sums = self._mirror.book.sums
        return {key: total - sums.get(key, 0) for key, total in totals.items() if total != sums.get(key, 0)}

    def _report_totals(self, totals: Totals, at: Head) -> None:
        known = self._gaps or {}
        for (owed, asset), total in totals.items():
            ours = self._mirror.book.sums.get((owed, asset), 0) + known.get((owed, asset), 0)
            if ours != total:
                field = f"{'debt' if owed else 'supply'} of reserve {asset}, in all"
                self._report(Difference(account=None, field=field, ours=ours, theirs=total, block=at.number))

    def _report(self, difference: Difference) -> None:
        self.differences += 1
        events.book_differs(
            market=self._market,
            account=difference.account,
            field=difference.field,
            ours=difference.ours,
            theirs=difference.theirs,
            block=difference.block,
        )
        if difference.account is not None:
            number = self._mirror.book.addresses.find(address_bytes(difference.account))
            if number is not None:
                self._mirror.unsure.add(number)

    def _due(self, at: Head) -> int:
        if self._checked_s is None:
            return min(self._at_start, _AFTER_RESTART) if self._mirror.restored else self._at_start
        return _SAMPLE if abs(at.timestamp_s - self._checked_s) >= _SAMPLE_INTERVAL_S and self._at_start else 0

    def _choose(self, count: int) -> list[int]:
        """Return so many accounts that have anything, all of them when there are no more."""
        book = self._mirror.book
        held = [owner for group in book.groups if any(group.shape) for owner in group.owners[: group.count].tolist()]
        if len(held) <= count:
            return held
        chosen: set[int] = set()
        while len(chosen) < count:
            chosen.add(held[secrets.randbelow(len(held))])
        return sorted(chosen)

    async def _compare(self, layout: Layout, view: AaveV3View, numbers: list[int]) -> list[Difference]:
        mirror, block = self._mirror, view.head.number
        theirs = await mirror.read_accounts(layout, list(view.reserves.values()), numbers, view.head)
        batch = Batch()
        asked = {
            number: batch.ask_if_any(
                layout.pool, calls.account_data_of(mirror.address(number)), lambda raw: calls.decode_words(raw, 6)
            )
            for number in numbers
        }
        await batch.run(self._chain, view.head)
        found: list[Difference] = []
        for number, reading in theirs.items():
            account = mirror.address(number)
            for field, ours, real in compare_rows(mirror.book.row(number), reading):
                found.append(Difference(account=account, field=field, ours=ours, theirs=real, block=block))
            health = view.health(account, view.head.timestamp_s)
            words = asked[number].value
            if health is not None and words is not None and health.health_factor_wad != words[5]:
                found.append(
                    Difference(
                        account=account,
                        field="health factor",
                        ours=health.health_factor_wad,
                        theirs=words[5],
                        block=block,
                    )
                )
        return found


def compare_rows(row: Row, reading: AccountReading) -> Iterator[tuple[str, int, int]]:
    """Yield (field, ours, theirs) wherever an account's row is not what the contracts say."""
    real = reading.row
    if row.category != real.category:
        yield "e-mode", row.category, real.category
    for asset in sorted({asset for asset, _ in (*row.collaterals, *real.collaterals)}):
        ours, theirs = asset in dict(row.collaterals), asset in dict(real.collaterals)
        if ours != theirs:
            yield f"collateral flag of reserve {asset}", int(ours), int(theirs)
    for what, mine, chains in (
        ("supply", (*row.collaterals, *row.idle), (*real.collaterals, *real.idle)),
        ("debt", row.debts, real.debts),
    ):
        held, told = dict(mine), dict(chains)
        for asset in sorted(held.keys() | told.keys()):
            if held.get(asset, 0) != told.get(asset, 0):
                yield f"scaled {what} of reserve {asset}", held.get(asset, 0), told.get(asset, 0)
