"""From an address to a small number and back, at 28 to 36 bytes an address instead of a dictionary's 140."""

from __future__ import annotations

from array import array
from typing import Final

_SIZE: Final = 20  # bytes of an address
_SMALLEST: Final = 64


class AddressIndex:
    """Numbers addresses in the order in which they are met; a number is never given up."""

    __slots__ = ("_mask", "_packed", "_slots")

    def __init__(self, packed: bytes = b"") -> None:
        """Number the addresses in `packed`, twenty bytes each, which must all differ."""
        self._packed = bytearray(packed)
        self._slots = array("I")
        self._mask = 0
        self._rehash()

    def __len__(self) -> int:
        return len(self._packed) // _SIZE

    def find(self, address: bytes) -> int | None:
        """Return the number of `address`, None when it was never met."""
        packed, slots, mask = self._packed, self._slots, self._mask
        # hash() is keyed anew in each process: nobody can grind addresses that collide.
        at = hash(address) & mask
        while (slot := slots[at]) != 0:
            start = (slot - 1) * _SIZE
            if packed[start : start + _SIZE] == address:
                return slot - 1
            at = at + 1 & mask
        return None

    def add(self, address: bytes) -> int:
        """Return the number of `address`, a new one when it was never met."""
        known = self.find(address)
        if known is not None:
            return known
        number = len(self)
        self._packed += address
        if 3 * number >= 2 * self._mask:
            self._rehash()
        else:
            self._put(address, number)
        return number

    def address(self, number: int) -> bytes:
        """Return the twenty bytes with that number."""
        return bytes(self._packed[number * _SIZE : (number + 1) * _SIZE])

    def packed(self) -> bytes:
        """Return all addresses in order, to be given to the constructor again."""
        return bytes(self._packed)

    @property
    def bytes_held(self) -> int:
        """Memory in use, in bytes."""
        return len(self._packed) + self._slots.itemsize * len(self._slots)

    def _rehash(self) -> None:
        size = _SMALLEST
        while 3 * len(self) >= 2 * (size - 1):
            size *= 2
        self._slots = array("I", bytes(4 * size))
        self._mask = size - 1
        for number in range(len(self)):
            self._put(self.address(number), number)

    def _put(self, address: bytes, number: int) -> None:
        slots, mask = self._slots, self._mask
        at = hash(address) & mask
        while slots[at]:
            at = at + 1 & mask
        slots[at] = number + 1
