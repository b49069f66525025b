"""The few ABI words the venues read: selectors, argument words, return words."""

from __future__ import annotations

from eth_utils import keccak

from keeper.domain.units import Address, to_address

WORD = 32
_SIGN_256 = 1 << 255
_MODULUS_256 = 1 << 256


def selector(signature: str) -> bytes:
    """Return the first four bytes of the hash of a function's canonical signature."""
    return bytes(keccak(text=signature)[:4])


def topic(signature: str) -> bytes:
    """Return topic 0 of an event's canonical signature."""
    return bytes(keccak(text=signature))


def address_word(address: Address) -> bytes:
    """Return an address as one argument word."""
    return bytes(12) + bytes.fromhex(address[2:])


def int_word(value: int) -> bytes:
    """Return an integer of either sign as one argument word."""
    return (value % _MODULUS_256).to_bytes(WORD, "big")


def uint_at(data: bytes, index: int) -> int:
    """Return word `index` as an unsigned integer. Raises ValueError when the data is too short."""
    word = data[index * WORD : (index + 1) * WORD]
    if len(word) != WORD:
        raise ValueError(f"word {index} is missing from {len(data)} bytes")
    return int.from_bytes(word, "big")


def int_at(data: bytes, index: int) -> int:
    """Return word `index` as a signed integer. Raises ValueError when the data is too short."""
    value = uint_at(data, index)
    return value - _MODULUS_256 if value >= _SIGN_256 else value


def address_at(data: bytes, index: int) -> Address:
    """Return word `index` as an address. Raises ValueError when it is not one."""
    return to_address(uint_at(data, index).to_bytes(WORD, "big"))
