"""All accounts of a market at one block, with the way back to earlier blocks.

The live rows stand in columns. Each version remembers the rows that the next one changed, so a
reader of an earlier version sees it unchanged, and going back costs as much as was changed.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from keeper.lending.book.addresses import AddressIndex
from keeper.lending.book.columns import Group
from keeper.lending.book.rows import NO_ROW, Row, Shape, shape_of

BLOCKS_KEPT: Final = 128
_NOTHING: Final[Shape] = (0, 0, 0)


class Version:
    """The book at one block. `before` holds rows that differ in `next`; where that is None, the book is live."""

    __slots__ = ("before", "block", "block_hash", "next", "unsure")

    def __init__(self, block: int, block_hash: str) -> None:
        self.block = block
        self.block_hash = block_hash
        self.before: dict[int, Row] = {}
        self.next: Version | None = None
        # Accounts whose row was read from the chain at this block: the row before was not certain.
        self.unsure: set[int] = set()


class Book:
    """Rows by account number. Only `begin`, `put` and `go_back` change it."""

    def __init__(self, block: int, block_hash: str, *, blocks_kept: int = BLOCKS_KEPT) -> None:
        """Make an empty book, true after `block`, that can go back over `blocks_kept` blocks."""
        self.blocks_kept = blocks_kept
        self.addresses = AddressIndex()
        self.groups: list[Group] = []
        self.sums: dict[tuple[bool, int], int] = {}
        """Scaled totals by (is it debt, asset)."""
        self.categories: set[int] = set()
        """Every category, other than none, an account was ever in."""
        self._by_shape: dict[Shape, int] = {}
        self._group_of = array("H")
        self._place_of = array("I")
        self._category_of = array("B")
        self._group(_NOTHING)
        self.versions: deque[Version] = deque([Version(block, block_hash)])

    # --- reading --------------------------------------------------------------------------------------------------

    @property
    def now(self) -> Version:
        """The live version."""
        return self.versions[-1]

    def row(self, number: int) -> Row:
        """Return an account's live row."""
        category, index = self._category_of[number], self._group_of[number]
        if not index:  # the group of those without any leg
            return Row(category) if category else NO_ROW
        return self.groups[index].read(self._place_of[number], category)

    def row_at(self, version: Version, number: int) -> Row:
        """Return an account's row as it was in `version`, however far the book has moved since."""
        found: Version | None = version
        while found is not None and found.next is not None:
            row = found.before.get(number)
            if row is not None:
                return row
            found = found.next
        return self.row(number) if number < len(self._group_of) else NO_ROW

    def changed_since(self, version: Version) -> set[int]:
        """Return the accounts whose rows may differ between `version` and the live book."""
        changed: set[int] = set()
        found: Version | None = version
        while found is not None:
            changed.update(found.before)
            found = found.next
        return changed

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Yield (number, row) of every account."""
        return ((number, self.row(number)) for number in range(len(self._group_of)))

    def categories_held(self) -> bytes:
        """Return each account's category, one byte each, for `restore`."""
        return self._category_of.tobytes()

    @property
    def bytes_held(self) -> int:
        """Memory of columns and index, in bytes, without the versions."""
        arrays = sum(column.itemsize * len(column) for column in (self._group_of, self._place_of, self._category_of))
        return arrays + self.addresses.bytes_held + sum(group.bytes_held for group in self.groups)

    # --- writing --------------------------------------------------------------------------------------------------

    def number(self, address: bytes) -> int:
        """Return the number of the account at `address` (twenty bytes), a new one for a new account."""
        number = self.addresses.add(address)
        if number == len(self._group_of):
            self._group_of.append(0)
            self._place_of.append(self.groups[0].add(number, NO_ROW))
            self._category_of.append(0)
        return number

    def begin(self, block: int, block_hash: str) -> Version:
        """Start the version of a later block; what lies `blocks_kept` below it cannot be gone back to any more."""
        version = Version(block, block_hash)
        self.now.next = version
        self.versions.append(version)
        while len(self.versions) > 1 and self.versions[1].block <= block - self.blocks_kept:
            self.versions.popleft()
        return version

    def put(self, number: int, row: Row, *, old: Row | None = None) -> None:
        """Write an account's row into the live version; `old` is what stands there, where the caller knows.

        Raises OverflowError for an amount of more than 128 bits.
        """
        if old is None:
            old = self.row(number)
        if old == row:
            return
        if len(self.versions) > 1:
            self.versions[-2].before.setdefault(number, old)
        self._write(number, old, row)

    def put_all(self, rows: Iterable[tuple[int, Row, Row]]) -> None:
        """Write rows, each as (number, what stands there, what shall stand there): accounts that had nothing at once.

        Each number may come once. Raises OverflowError for an amount of more than 128 bits.
        """
        arrived: dict[Shape, list[tuple[int, Row]]] = {}
        before = self.versions[-2].before if len(self.versions) > 1 else None
        for number, old, row in rows:
            if old != NO_ROW or (shape := shape_of(row)) == _NOTHING:
                self.put(number, row, old=old)
                continue
            arrived.setdefault(shape, []).append((number, row))
            if before is not None:
                before.setdefault(number, old)
        for shape, added in arrived.items():
            self._move_in(shape, added)

    def _move_in(self, shape: Shape, added: Sequence[tuple[int, Row]]) -> None:
        """Move accounts from the group of those without any leg to their new one."""
        index = self._group(shape)
        place = self.groups[index].extend(added)
        nothing, place_of = self.groups[0], self._place_of
        for number, row in added:
            left = place_of[number]
            moved = nothing.remove(left)
            if moved is not None:
                place_of[moved] = left
            self._group_of[number], place_of[number] = index, place
            place += 1
            self._count(row, 1)
            if row.category:
                self._category_of[number] = row.category
                self.categories.add(row.category)

    def go_back(self, to: Version) -> set[int]:
        """Make `to`, one of `versions`, live again; return the accounts that were not certain then.

        Versions that are left stay readable for whoever still holds them.
        """
        unsure: set[int] = set()
        while self.now is not to:
            left = self.versions.pop()
            earlier = self.now
            unsure |= left.unsure
            for number, row in earlier.before.items():
                live = self.row(number)
                left.before[number] = live
                self._write(number, live, row)
            left.next = earlier
            earlier.before, earlier.next = {}, None
        return unsure

    def restore(
        self, groups: Iterable[Group], addresses: AddressIndex, categories: bytes, versions: Sequence[Version]
    ) -> None:
        """Take over saved columns and versions. Raises ValueError when they do not belong together."""
        self.addresses = addresses
        self.groups, self._by_shape, self.sums = [], {}, {}
        count = len(addresses)
        self._category_of = array("B", categories)
        self._group_of, self._place_of = array("H", bytes(2 * count)), array("I", bytes(4 * count))
        seen = 0
        for index, group in enumerate(groups):
            self.groups.append(group)
            self._by_shape[group.shape] = index
            for place, owner in enumerate(group.owners[: group.count].tolist()):
                self._group_of[owner], self._place_of[owner] = index, place
            seen += group.count
            self._add_sums(group)
        if seen != count or len(categories) != count or self.groups[0].shape != _NOTHING or not versions:
            raise ValueError("the saved columns do not belong together")
        self.categories = set(categories) - {0}
        self.versions = deque(versions)
        for earlier, later in pairwise(versions):
            earlier.next = later

    def _add_sums(self, group: Group) -> None:
        for place in range(group.count if any(group.shape) else 0):
            self._count(group.read(place, 0), 1)

    def _write(self, number: int, old: Row, row: Row) -> None:
        self._count(old, -1)
        self._count(row, 1)
        shape = shape_of(row)
        place = self._place_of[number]
        if shape == shape_of(old):
            self.groups[self._group_of[number]].put(place, row)
        else:
            moved = self.groups[self._group_of[number]].remove(place)
            if moved is not None:
                self._place_of[moved] = place
            index = self._group(shape)
            self._group_of[number] = index
            self._place_of[number] = self.groups[index].add(number, row)
        self._category_of[number] = row.category
        if row.category:
            self.categories.add(row.category)

    def _count(self, row: Row, sign: int) -> None:
        sums = self.sums
        for legs, owed in ((row.collaterals, False), (row.idle, False), (row.debts, True)):
            for asset, amount in legs:
                sums[owed, asset] = sums.get((owed, asset), 0) + sign * amount

    def _group(self, shape: Shape) -> int:
        index = self._by_shape.get(shape)
        if index is None:
            index = self._by_shape[shape] = len(self.groups)
            self.groups.append(Group(shape))
        return index
