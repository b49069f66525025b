"""Events by which an aggregator announces a new answer: raw log bytes to a number, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from keeper.domain.units import Address, to_address

ANSWER_UPDATED: Final = bytes.fromhex("0559884fd3a460db3073b7fc896cc77986f16e378210ded43186175bf646fc5f")
# NewTransmission of the first and of the second generation of off-chain reporting
NEW_TRANSMISSION_1: Final = bytes.fromhex("f6a97944f31ea060dfde0566e4167c1a1082551e64b60ecb14d599a9d023d451")
NEW_TRANSMISSION_2: Final = bytes.fromhex("c797025feeeaf2cd924c99e9205acb8ec04d5cad21c41ce637a38fb6dee6016a")
PUSH_TOPICS: Final = (ANSWER_UPDATED, NEW_TRANSMISSION_1, NEW_TRANSMISSION_2)
_ANSWER_UPDATED_HEX: Final = "0x" + ANSWER_UPDATED.hex()
_TRANSMISSIONS_HEX: Final = frozenset("0x" + topic.hex() for topic in (NEW_TRANSMISSION_1, NEW_TRANSMISSION_2))
_WORD_DIGITS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PricePush:
    """An aggregator announced `answer`, in its own decimals, in a block."""

    aggregator: Address
    answer: int
    block_number: int
    removed: bool


def read_push(log: Any) -> PricePush | None:
    """Return what a log as the node pushes it announces, None for anything else or malformed."""
    try:
        topics = log["topics"]
        if topics[0] == _ANSWER_UPDATED_HEX:
            answer = topics[1]
        elif topics[0] in _TRANSMISSIONS_HEX:
            answer = log["data"][: 2 + _WORD_DIGITS]
        else:
            return None
        if len(answer) != 2 + _WORD_DIGITS:
            return None
        value = int(answer, 16)
        return PricePush(
            aggregator=to_address(log["address"]),
            answer=value - (1 << 256) if value >> 255 else value,
            block_number=int(log["blockNumber"], 16),
            removed=log.get("removed") is True,
        )
    except (KeyError, IndexError, TypeError, ValueError):
        return None
