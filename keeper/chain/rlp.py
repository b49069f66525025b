"""Recursive length prefix, the one wire format of transactions. Encoding only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from eth_utils.crypto import keccak

from keeper.domain.units import Address, address_bytes, to_address

Item: TypeAlias = "bytes | int | Sequence[Item]"


_STRING = 0x80
_LIST = 0xC0
_LONGEST_SHORT = 55


def rlp_encode(item: Item) -> bytes:
    """Return `item` encoded; integers are big-endian without leading zeros."""
    if isinstance(item, int):
        item = item.to_bytes((item.bit_length() + 7) // 8, "big")
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < _STRING else _prefix(len(item), _STRING) + item
    body = b"".join(map(rlp_encode, item))
    return _prefix(len(body), _LIST) + body


def _prefix(length: int, offset: int) -> bytes:
    if length <= _LONGEST_SHORT:
        return bytes((offset + length,))
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((offset + _LONGEST_SHORT + len(size),)) + size


def create_address(sender: Address, nonce: int) -> Address:
    """Return where a contract lands that `sender` creates with `nonce`."""
    return to_address(keccak(rlp_encode((address_bytes(sender), nonce)))[12:])
