"""Units and identifiers. The integer aliases are free at run time and checked by mypy."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NewType

from eth_utils import to_checksum_address

Address = NewType("Address", str)
"""A checksummed 20-byte address; made once, at the edge, by `to_address`."""

Raw = NewType("Raw", int)
"""A token amount in the token's smallest unit."""

Wei = NewType("Wei", int)
"""Native currency in its smallest unit, or a fee per unit of gas in it."""

WAD: Final = 10**18
RAY: Final = 10**27
BPS: Final = 10_000
PIPS: Final = 1_000_000
MAX_UINT256: Final = 2**256 - 1
MAX_UINT128: Final = 2**128 - 1
ZERO_ADDRESS: Final = Address("0x" + "0" * 40)
DEVNET_CHAIN_IDS: Final = frozenset({31337, 1337})
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")


@lru_cache(maxsize=200_000)
def _checksum(raw: bytes) -> Address:
    return Address(to_checksum_address(raw))


def to_address(value: str | bytes) -> Address:
    """Return the checksummed form of 20 bytes, of a 32-byte word, or of hexadecimal text.

    Raises ValueError for any other length, type, or text that is not hexadecimal.
    """
    if not isinstance(value, (str, bytes)):  # a number would be taken for that many bytes
        raise ValueError(f"not an address: {value!r}")
    raw = bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else value
    if len(raw) == 32 and not any(raw[:12]):
        raw = raw[12:]
    if len(raw) != 20:
        raise ValueError(f"not an address: {value!r}")
    return _checksum(raw)


def typed_address(text: str) -> Address:
    """Return the address that a person wrote: 0x and 40 hexadecimal digits.

    Raises ValueError, in words for that person, for anything else, and where capital and small
    letters are mixed other than the checksum has them: a digit is wrong then.
    """
    if not _ADDRESS.fullmatch(text):
        raise ValueError("must be an address, 0x and 40 hexadecimal digits")
    address = to_address(text)
    if text[2:] not in {address[2:], text[2:].lower(), text[2:].upper()}:
        raise ValueError("has a wrong checksum, so that a digit of it is wrong; copy it anew")
    return address


def address_bytes(address: Address) -> bytes:
    """Return the 20 bytes of `address`."""
    return bytes.fromhex(address[2:])
