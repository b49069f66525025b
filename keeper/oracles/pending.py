"""Oracle transmissions that are still in the mempool: the answer they are about to write.

Off-chain reporting calls `transmit` on the aggregator with a report that carries all observations, sorted;
the answer is the middle one. Both generations are read, the variant whose report goes to a private
aggregator first, and all of them behind a forwarder. Nothing here checks signatures: what is read is
a forecast, good for preparing and never for sending.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from keeper.domain.units import Address, to_address

_TRANSMIT_1: Final = bytes.fromhex("c9807539")
_TRANSMIT_2: Final = bytes.fromhex("b1dc65a4")
_TRANSMIT_SECONDARY: Final = bytes.fromhex("ba0cb29e")
_FORWARD: Final = bytes.fromhex("6fadcf72")
_REPORT_1: Final = ("bytes32", "bytes32", "int192[]")
_REPORT_2: Final = ("uint32", "bytes32", "int192[]", "int192")
_LONGEST_INPUT = 64 * 1024
_MOST_OBSERVATIONS = 31
_DEEPEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Transmission:
    """A pending transaction that would make `aggregator` answer `answer` (its own decimals).

    `sender`, `to` and `data` are the transaction's own, so that it can be executed ahead.
    """

    transaction: str
    sender: Address
    nonce: int
    to: Address
    data: bytes
    aggregator: Address
    answer: int


def read_transmission(transaction: Any) -> Transmission | None:
    """Return what a pending transaction, as the node gives it, transmits; None for any other or a malformed one."""
    try:
        text = transaction["input"]
        if not isinstance(text, str) or len(text) > 2 * _LONGEST_INPUT or not _may_transmit(text):
            return None
        data = bytes.fromhex(text[2:])
        to = to_address(transaction["to"])
        found = decode_transmit(to, data)
        if found is None:
            return None
        return Transmission(
            transaction=str(transaction["hash"]).lower(),
            sender=to_address(transaction["from"]),
            nonce=int(transaction["nonce"], 16),
            to=to,
            data=data,
            aggregator=found[0],
            answer=found[1],
        )
    except (KeyError, TypeError, ValueError):
        return None


def decode_transmit(to: Address, data: bytes, depth: int = _DEEPEST) -> tuple[Address, int] | None:
    """Return (aggregator, answer) of calldata `data` sent to `to`, None when it is no transmission."""
    selector, arguments = data[:4], data[4:]
    try:
        if selector == _FORWARD and depth:
            inner_to, inner = decode(("address", "bytes"), arguments, strict=False)
            return decode_transmit(to_address(inner_to), inner, depth - 1)
        report = _REPORTS.get(selector)
        if report is None:
            return None
        observations = report(arguments)
    except (DecodingError, OverflowError, ValueError):
        return None
    if not 0 < len(observations) <= _MOST_OBSERVATIONS or list(observations) != sorted(observations):
        return None
    return to, int(observations[len(observations) // 2])


def _report_1(arguments: bytes) -> list[int]:
    (report,) = decode(("bytes",), arguments, strict=False)
    return list(decode(_REPORT_1, report, strict=False)[2])


def _report_2(arguments: bytes) -> list[int]:
    report = decode(("bytes32[3]", "bytes"), arguments, strict=False)[1]
    return list(decode(_REPORT_2, report, strict=False)[2])


_REPORTS: Final[dict[bytes, Callable[[bytes], list[int]]]] = {
    _TRANSMIT_1: _report_1,
    _TRANSMIT_2: _report_2,
    _TRANSMIT_SECONDARY: _report_2,
}
_SELECTORS: Final = tuple("0x" + selector.hex() for selector in (*_REPORTS, _FORWARD))


def _may_transmit(text: str) -> bool:
    return text.startswith(_SELECTORS)


class PendingTransmissions:
    """Those not yet seen mined, at most `most`; of two with one sender and nonce only the later counts."""

    def __init__(self, *, most: int = 64, blocks: int = 10) -> None:
        self._most = most
        self._blocks = blocks
        self._found: dict[tuple[Address, int], tuple[Transmission, int]] = {}

    def add(self, transmission: Transmission, block_number: int) -> Transmission | None:
        """Take note of one seen while the head was at `block_number`; return the one it replaces."""
        key = (transmission.sender, transmission.nonce)
        before = self._found.pop(key, None)
        self._found[key] = (transmission, block_number)
        if len(self._found) > self._most:
            del self._found[next(iter(self._found))]
        return before[0] if before is not None and before[0].transaction != transmission.transaction else None

    def drop(self, sender: Address, nonce: int) -> Transmission | None:
        """Forget the one of this sender and nonce: another transaction took its place. Return it."""
        found = self._found.pop((sender, nonce), None)
        return None if found is None else found[0]

    def expire(self, block_number: int) -> list[Transmission]:
        """Forget those that waited too long at `block_number`; return them."""
        late = [key for key, (_, since) in self._found.items() if block_number - since >= self._blocks]
        return [self._found.pop(key)[0] for key in late]

    def newest(self) -> list[Transmission]:
        """Return the pending ones, the last seen of each aggregator, oldest first."""
        last = {each.aggregator: each for each, _ in self._found.values()}
        return [each for each, _ in self._found.values() if last[each.aggregator] is each]

    def all(self) -> list[Transmission]:
        """Return all pending ones, oldest first."""
        return [each for each, _ in self._found.values()]
