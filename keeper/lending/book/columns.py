"""Rows of one shape, side by side in columns.

Beside each float the screen reads stand the exact sixteen bytes: balances exceed 64 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from keeper.lending.book.rows import ASSET_BITS, MOST_ASSETS, Row, Shape, leg_key

_EXACT: Final = 16  # bytes of a scaled amount
_FIRST_ROWS: Final = 8


class Group:
    """All accounts with as many collaterals, debts and idle legs.

    `keys[leg, row]` and `values[leg, row]` are what a screen reads: collaterals first, then debts.
    Idle legs have a key and an exact amount, but no value.
    """

    __slots__ = ("count", "exact", "keys", "owners", "shape", "values")

    def __init__(self, shape: Shape, rows: int = _FIRST_ROWS) -> None:
        self.shape = shape
        self.count = 0
        self._allocate(rows)

    @property
    def bytes_held(self) -> int:
        """Memory in use, in bytes."""
        return int(self.owners.nbytes + self.keys.nbytes + self.values.nbytes + self.exact.nbytes)

    def add(self, owner: int, row: Row) -> int:
        """Append a row of this shape and return its place."""
        place = self.count
        if place == len(self.owners):
            self._grow(place + 1)
        self.owners[place] = owner
        self.count += 1
        self.put(place, row)
        return place

    def extend(self, added: Sequence[tuple[int, Row]]) -> int:
        """Append rows of this shape, each with its owner before it, and return the place of the first."""
        start, end = self.count, self.count + len(added)
        if end > len(self.owners):
            self._grow(end)
        legs = [(*row.collaterals, *row.debts, *row.idle) for _, row in added]
        packed = b"".join([amount.to_bytes(_EXACT, "little") for row in legs for _, amount in row])
        self.exact[start:end] = np.frombuffer(packed, np.uint8).reshape(len(added), -1)
        self.owners[start:end] = [owner for owner, _ in added]
        assets = np.array([[asset for asset, _ in row] for row in legs], np.uint16)
        categories = np.array([row.category for _, row in added], np.uint16)
        self.keys[:, start:end] = categories << ASSET_BITS | assets.T
        valued = self.values.shape[0]
        if valued:
            self.values[:, start:end] = np.array([[float(amount) for _, amount in row[:valued]] for row in legs]).T
        self.count = end
        return start

    def put(self, place: int, row: Row) -> None:
        """Overwrite a row by another of the same shape."""
        legs = (*row.collaterals, *row.debts, *row.idle)
        if not legs:
            return
        category = row.category
        self.keys[:, place] = [leg_key(asset, category) for asset, _ in legs]
        valued = self.values.shape[0]
        if valued:
            self.values[:, place] = [float(amount) for _, amount in legs[:valued]]
        packed = b"".join([amount.to_bytes(_EXACT, "little") for _, amount in legs])
        self.exact[place] = np.frombuffer(packed, np.uint8)

    def read(self, place: int, category: int) -> Row:
        """Return the row, exact."""
        packed = self.exact[place].tobytes()
        legs = [
            (key % MOST_ASSETS, int.from_bytes(packed[start : start + _EXACT], "little"))
            for key, start in zip(self.keys[:, place].tolist(), range(0, len(packed), _EXACT), strict=True)
        ]
        collaterals, debts, _ = self.shape
        valued = collaterals + debts
        return Row(category, tuple(legs[:collaterals]), tuple(legs[collaterals:valued]), tuple(legs[valued:]))

    def remove(self, place: int) -> int | None:
        """Take a row out; return the owner of the row that was moved into its place, if any."""
        last = self.count - 1
        self.count = last
        if place == last:
            return None
        self.owners[place] = self.owners[last]
        if not len(self.keys):
            return int(self.owners[place])
        self.keys[:, place] = self.keys[:, last]
        self.values[:, place] = self.values[:, last]
        self.exact[place] = self.exact[last]
        return int(self.owners[place])

    def dump(self) -> tuple[bytes, bytes, bytes, bytes]:
        """Return owners, keys, values and exact amounts as bytes, for `load`."""
        count = self.count
        return (
            self.owners[:count].tobytes(),
            self.keys[:, :count].tobytes(),
            self.values[:, :count].tobytes(),
            self.exact[:count].tobytes(),
        )

    @classmethod
    def load(cls, shape: Shape, count: int, parts: Sequence[bytes]) -> Group:
        """Rebuild a group. Raises ValueError when the parts do not fit the shape."""
        group = cls(shape, max(count, _FIRST_ROWS))
        arrays: tuple[NDArray[Any], ...] = (group.owners, group.keys, group.values, group.exact)
        for array, part, rows_last in zip(arrays, parts, (True, True, True, False), strict=True):
            target = array[..., :count] if rows_last else array[:count]
            target[...] = np.frombuffer(part, array.dtype).reshape(target.shape)
        group.count = count
        return group

    def _allocate(self, rows: int) -> None:
        collaterals, debts, idle = self.shape
        legs = collaterals + debts + idle
        self.owners: NDArray[np.uint32] = np.zeros(rows, np.uint32)
        self.keys: NDArray[np.uint16] = np.zeros((legs, rows), np.uint16)
        self.values: NDArray[np.float64] = np.zeros((collaterals + debts, rows), np.float64)
        self.exact: NDArray[np.uint8] = np.zeros((rows, _EXACT * legs), np.uint8)

    def _grow(self, rows: int) -> None:
        # A quarter more at a time: a doubling would leave half of the memory idle.
        owners, keys, values, exact, count = self.owners, self.keys, self.values, self.exact, self.count
        self._allocate(max(rows, count + count // 4 + _FIRST_ROWS))
        self.owners[:count], self.exact[:count] = owners[:count], exact[:count]
        self.keys[:, :count], self.values[:, :count] = keys[:, :count], values[:, :count]
