"""Rows of the journal as values: intents, the nonce slots they hold, and what was signed for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from keeper.domain.units import Address

IntentKind = Literal["liquidation", "deploy"]
SlotState = Literal["reserved", "signed", "sent", "success", "reverted", "given-up", "released", "foreign"]
AttemptKind = Literal["plan", "cancel"]
BroadcastState = Literal["signed", "accepted", "ambiguous", "refused"]

LIVE: Final = frozenset({"reserved", "signed", "sent"})
"""States of a slot whose nonce is promised and not yet seen used."""

MINED: Final = frozenset({"success", "reverted", "given-up"})
"""States of a slot whose nonce one of our own transactions used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One economic decision. `key` names it for ever: the same decision has the same key.

    `expected_raw` is the planned profit in units of `profit_token`; `detail` is what the ledger shows beside it.
    """

    key: str
    chain_id: int
    sender: Address
    kind: IntentKind
    market: str | None
    account: Address | None
    profit_token: Address | None
    expected_raw: int
    detail: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The transaction an intent wants on the chain, but for its nonce.

    After `deadline_block` it can only revert; None where it stays valid for ever.
    """

    to: Address | None
    data: bytes = field(repr=False)
    gas_limit: int
    fee_cap_wei: int
    tip_wei: int
    deadline_block: int | None

    @property
    def worst_case_wei(self) -> int:
        """The most the transaction can cost in gas."""
        return self.gas_limit * self.fee_cap_wei


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAttempt:
    """One signed byte string of a slot.

    `signed` means it may or may not have left the process; `refused` that a node surely did not take it, and that no
    other broadcast of it was ever in doubt (`maybe_known` False).
    """

    transaction: str
    kind: AttemptKind
    raw: bytes = field(repr=False)
    gas_limit: int
    fee_cap_wei: int
    tip_wei: int
    broadcast: BroadcastState
    maybe_known: bool
    last_sent_block: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One nonce of one sender, held for one intent, with everything signed for it, oldest first."""

    slot_id: int
    intent: Intent
    nonce: int
    state: SlotState
    payload: Payload
    transaction: str | None
    block: int | None
    block_hash: str | None
    attempts: tuple[SignedAttempt, ...]

    @property
    def newest(self) -> SignedAttempt | None:
        """The attempt that replaced all others, None while nothing is signed."""
        return self.attempts[-1] if self.attempts else None

    @property
    def worst_case_wei(self) -> int:
        """The most this slot can cost, over everything signed for it."""
        costs = [attempt.gas_limit * attempt.fee_cap_wei for attempt in self.attempts]
        return max([self.payload.worst_case_wei, *costs])


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFacts:
    """What the journal says inside the transaction that reserves a nonce.

    `earlier` are the ended slots of the same intent key, `live` everything in flight for this chain and sender.
    """

    live: tuple[Slot, ...]
    earlier: tuple[SlotState, ...]

    @property
    def reserved_wei(self) -> int:
        """Worst-case gas cost of everything in flight."""
        return sum(slot.worst_case_wei for slot in self.live)
