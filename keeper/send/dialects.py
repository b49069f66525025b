"""What nodes say to a broadcast, and what it means. One table for all clients."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

_HASH = re.compile(r"0x[0-9a-fA-F]{64}")


class Answer(StrEnum):
    """The meaning of a node's answer to signed bytes."""

    ACCEPTED = "accepted"
    ALREADY_KNOWN = "already-known"
    NONCE_LOW = "nonce-low"
    NONCE_HIGH = "nonce-high"
    REPLACE_UNDERPRICED = "replace-underpriced"
    UNDERPRICED = "underpriced"
    FUNDS = "funds"
    FEE_CAP = "fee-cap"
    POOL_FULL = "pool-full"
    INVALID = "invalid"
    AMBIGUOUS = "ambiguous"


Standing = Literal["accepted", "ambiguous", "refused"]

_REFUSED: Final = frozenset({Answer.UNDERPRICED, Answer.FUNDS, Answer.FEE_CAP, Answer.POOL_FULL, Answer.INVALID})
"""The node surely did not take the bytes. Answers about the nonce are not here: they say something of the nonce, and
whether it was ours that used it is for the receipts to tell."""

_REFUSAL_CODES: Final = {
    Answer.UNDERPRICED: "fee_too_low",
    Answer.FUNDS: "no_gas_funds",
    Answer.FEE_CAP: "node_fee_cap",
    Answer.POOL_FULL: "pool_full",
    Answer.INVALID: "refused_by_node",
}

DIALECTS: Final[tuple[tuple[re.Pattern[str], Answer], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), answer)
    for pattern, answer in (
        (r"already known|alreadyknown|already imported|known transaction|existing tx with same hash", "already-known"),
        (r"nonce too low|noncetoolow|oldnonce|nonce below|nonce is too low|ownnoncealreadyused", "nonce-low"),
        (r"nonce too high|noncegap|gapped-nonce|nonce is too distant|nonce too distant", "nonce-high"),
        (r"replacement.*underpriced|could not replace existing|replacementnotallowed", "replace-underpriced"),
        (r"insufficient ?funds|enough funds|upfront cost exceeds|insufficient balance", "funds"),
        (r"exceeds the configured cap|fee cap exceeded", "fee-cap"),
        (r"less than block base fee|too low for the next block|below .*base fee", "underpriced"),
        (r"underpriced|feetoolow|fee too low|below configured minimum|tip needed", "underpriced"),
        (
            (
                r"txpool is full|pool is full|account limit exceeded|in-flight transaction limit|already reserved"
                r"|future transaction tries to replace pending"
            ),
            "pool-full",
        ),
        (r"intrinsic gas|block gas limit|gaslimitexceeded|requires at least|gas too low|gas too high", "invalid"),
        (
            r"invalid sender|invalid chain ?id|invalid signature|not supported|oversized data|failed to decode",
            "invalid",
        ),
        (r"priority fee.*higher than max fee|replay-protected|rlp: |initcode size|max code size", "invalid"),
    )
    for answer in (Answer(answer),)
)
"""First match wins: a message may hold the words of two rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcast:
    """The result of handing one byte string to a node; `words` are the node's own."""

    answer: Answer
    words: str

    @property
    def standing(self) -> Standing:
        """Whether the bytes are with the node, surely not, or nobody can say."""
        if self.answer in {Answer.ACCEPTED, Answer.ALREADY_KNOWN}:
            return "accepted"
        return "refused" if self.answer in _REFUSED else "ambiguous"

    @property
    def refusal_code(self) -> str:
        """The stable code of a refusal."""
        return _REFUSAL_CODES.get(self.answer, "refused_by_node")


def read_answer(message: str, transaction: str) -> Answer:
    """Return what an error message to the broadcast of `transaction` means; unknown words are ambiguous.

    A node that calls another transaction than ours known has not got ours.
    """
    for pattern, answer in DIALECTS:
        if pattern.search(message):
            if answer is Answer.ALREADY_KNOWN and not _is_ours(message, transaction):
                return Answer.AMBIGUOUS
            return answer
    return Answer.AMBIGUOUS


def _is_ours(message: str, transaction: str) -> bool:
    named = _HASH.findall(message)
    return not named or transaction.lower() in {found.lower() for found in named}
