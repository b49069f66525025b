"""The L1 fee of an OP-stack chain, as its GasPriceOracle computes it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from keeper.domain.fixed_point import mul_div_down

SIGNATURE_BYTES: Final = 68
"""What the oracle adds for the signature that an unsigned transaction lacks."""

_MICRO: Final = 10**6
_INTERCEPT: Final = -42_585_600
_PER_COMPRESSED_BYTE: Final = 836_500
_LEAST_BYTES: Final = 100
_GAS_PER_BYTE: Final = 16
_GAS_PER_ZERO_BYTE: Final = 4

_TABLE_BITS: Final = 13
_MULTIPLIER: Final = 2654435769
_FARTHEST: Final = 0x1FFF
_TAIL: Final = 13
_MATCH_END: Final = 9
_LONGEST_RUN: Final = 32
_LONGEST_MATCH: Final = 262
_SHORT_MATCH: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class OpStackPrices:
    """What one byte on L1 costs: base fees in wei, scalars in 1e-6. `formula` is the fork's that is in force."""

    formula: Literal["ecotone", "fjord"]
    base_fee_wei: int
    blob_base_fee_wei: int
    base_fee_scalar: int
    blob_base_fee_scalar: int

    def fee_wei(self, unsigned: bytes) -> int:
        """Return the fee of a transaction, given its encoding without signature; rounded down, as charged."""
        per_byte = (
            self.base_fee_scalar * _GAS_PER_BYTE * self.base_fee_wei
            + self.blob_base_fee_scalar * self.blob_base_fee_wei
        )
        if self.formula == "ecotone":
            return mul_div_down(calldata_gas(unsigned), per_byte, _GAS_PER_BYTE * _MICRO)
        estimate = _INTERCEPT + _PER_COMPRESSED_BYTE * (fastlz_size(unsigned) + SIGNATURE_BYTES)
        return mul_div_down(max(estimate, _LEAST_BYTES * _MICRO), per_byte, _MICRO**2)


def calldata_gas(unsigned: bytes) -> int:
    """Return what the bytes and a signature of non-zero ones would cost as calldata on L1."""
    zeros = unsigned.count(0)
    return zeros * _GAS_PER_ZERO_BYTE + (len(unsigned) - zeros + SIGNATURE_BYTES) * _GAS_PER_BYTE


def fastlz_size(data: bytes) -> int:
    """Return how long `data` is when FastLZ (level 1) has compressed it."""
    newest: dict[int, int] = {}
    limit = len(data) - _TAIL
    size = start = 0
    at = 2
    while at < limit:
        word = data[at : at + 3]
        slot = _slot(word)
        earlier = newest.get(slot, 0)
        newest[slot] = at
        if at - earlier > _FARTHEST or word != data[earlier : earlier + 3]:
            at += 1
            continue
        if at + 1 >= limit:  # a match that begins at the very end is not looked for
            break
        length = _match_length(data, earlier + 3, at + 3, limit + _MATCH_END)
        size += _literals_size(at - start) + _match_size(length)
        for position in (at + length, at + length + 1):
            newest[_slot(data[position : position + 3])] = position
        start = at = at + length + 2
    return size + _literals_size(len(data) - start)


def _slot(word: bytes) -> int:
    return (int.from_bytes(word, "little") * _MULTIPLIER & 0xFFFFFFFF) >> (32 - _TABLE_BITS)


def _match_length(data: bytes, earlier: int, at: int, end: int) -> int:
    """Return how far two places agree, the first byte that differs included, up to `end`."""
    most = max(0, end - at)
    for length in range(most):
        if data[earlier + length] != data[at + length]:
            return length + 1
    return most


def _literals_size(count: int) -> int:
    full, rest = divmod(count, _LONGEST_RUN)
    return full * (_LONGEST_RUN + 1) + (rest + 1 if rest else 0)


def _match_size(length: int) -> int:
    full, rest = divmod(length - 1, _LONGEST_MATCH)
    return 3 * full + (3 if rest >= _SHORT_MATCH else 2)
