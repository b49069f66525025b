"""The Batcher's encoding by an independent codec, to check ours against."""

from __future__ import annotations

from collections.abc import Sequence

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from keeper.domain.units import Address, to_address


def decode_batch_call(calldata: str) -> list[tuple[Address, bytes]]:
    """Return the (target, data) items of a `read` call."""
    raw = bytes.fromhex(calldata[2:])
    assert raw[:4] == keccak(text="read((address,bytes)[])")[:4]
    (items,) = decode(["(address,bytes)[]"], raw[4:])
    return [(to_address(target), data) for target, data in items]


def batch_reply(results: Sequence[tuple[bool, bytes]]) -> bytes:
    """Return what the Batcher answers for these results."""
    return encode(["(bool,bytes)[]"], [list(results)])
