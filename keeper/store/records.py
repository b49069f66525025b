"""Rows of the journal as values: intents, the nonce slots they hold, and what was signed for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from keeper.domain.units import Address

IntentKind = Literal["liquidation", "deploy", "fill"]
"""`fill` is a nonce nobody holds below nonces of ours: a transaction that does nothing closes the hole."""

SlotState = Literal["reserved", "signed", "sent", "success", "reverted", "given-up", "released", "foreign"]
AttemptKind = Literal["plan", "bump", "cancel"]
"""A bump is the plan again at a higher price; a cancellation does nothing, in its place."""

Mode = Literal["active", "drain", "halted"]
"""What the journal allows: everything; nothing new; nothing new, and what is in flight is cancelled."""

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
    legacy: bool = False
    """Sent as a type-0 transaction whose gas price is the fee cap."""
    l1_fee_wei: int = 0
    """The most a rollup is expected to take for the data, beside the gas; no field of a transaction bounds it."""

    @property
    def worst_case_wei(self) -> int:
        """The most the transaction can cost."""
        return self.gas_limit * self.fee_cap_wei + self.l1_fee_wei


@dataclass(frozen=True, slots=True, kw_only=True)
class Stake:
    """What is at stake with a slot, in 1e-8 US dollars; `native_usd_e8` is the price of 1e18 wei.

    `fee_ceiling_wei` is the price per gas above which the plan would earn nothing, None where nothing bounds it.
    Zeros mean unknown: a deployment has no profit.
    """

    notional_usd_e8: int = 0
    profit_usd_e8: int = 0
    native_usd_e8: int = 0
    fee_ceiling_wei: int | None = None


NO_STAKE: Final = Stake()


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
    signed_block: int = 0


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
    stake: Stake = NO_STAKE
    reserved_at_s: int = 0
    reserved_wei: int | None = None

    @property
    def newest(self) -> SignedAttempt | None:
        """The attempt that replaced all others, None while nothing is signed."""
        return self.attempts[-1] if self.attempts else None

    @property
    def worst_case_wei(self) -> int:
        """The most this slot can cost: what is reserved for it, and never less than anything signed for it."""
        costs = [attempt.gas_limit * attempt.fee_cap_wei + self.payload.l1_fee_wei for attempt in self.attempts]
        return max([self.payload.worst_case_wei if self.reserved_wei is None else self.reserved_wei, *costs])


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What one slot counts for against the caps.

    `open` slots may still cost all that is reserved for them: they are in flight, or mined in a block that a reorg may
    take back. Others cost what they cost.
    """

    slot_id: int
    market: str | None
    account: Address | None
    reserved_at_s: int
    open: bool
    notional_usd_e8: int
    gas_wei: int
    loss_usd_e8: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one liquidation ended, in 1e-8 US dollars after gas."""

    state: SlotState
    result_usd_e8: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """A refusal that also halts: `code` for the caller, `reason` for the operator."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFacts:
    """What the journal says inside the transaction that reserves a nonce.

    `earlier` are the ended slots of the same intent key, `live` everything in flight for this chain and sender.
    `spent` covers the last day at `now_s` and everything open; `ended` what ended in it since the last resume, oldest
    first. `now_s` is the time of the newest block known, and never goes back.
    """

    live: tuple[Slot, ...]
    earlier: tuple[SlotState, ...]
    mode: Mode = "active"
    now_s: int = 0
    spent: tuple[Spent, ...] = ()
    ended: tuple[Ended, ...] = ()

    @property
    def reserved_wei(self) -> int:
        """Worst-case gas cost of everything in flight."""
        return sum(slot.worst_case_wei for slot in self.live)
