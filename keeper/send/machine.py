"""What to do next about one nonce. Pure: it is given evidence and returns a decision; `sender` carries it out.

A slot ends only on evidence: a receipt of one of its own transactions, deep enough; or its nonce used while none of
its transactions has a receipt, for long enough. A time-out, an error, or silence never ends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from keeper.domain.chain import Receipt
from keeper.domain.fixed_point import mul_div_up
from keeper.send.settings import SendSettings
from keeper.store.records import SignedAttempt, Slot

CANCEL_GAS: Final = 21_000
_BUMP_NUMERATOR: Final = 113
"""Nodes ask for 10 or 12.5 %, some after rounding: 13 % passes them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the chain shows about a slot at one head.

    `receipts` are those of the slot's own transactions, by hash; `missing_blocks` for how long the nonce has been used
    without any; `highest` whether no live slot has a higher nonce.
    """

    head_number: int
    head_hash: str
    base_fee_wei: int
    chain_nonce: int
    receipts: Mapping[str, Receipt]
    missing_blocks: int
    highest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """One of our transactions used the nonce, deep enough."""

    status: Literal["success", "reverted", "given-up"]
    receipt: Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Resend:
    """Hand the same bytes out again."""

    attempt: SignedAttempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Replace whatever is signed by a transaction that does nothing."""

    fee_cap_wei: int
    tip_wei: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The nonce was never seen outside: it may be given out again."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """Somebody else's transaction used the nonce."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """It should be replaced, but the limits do not allow the price; the same bytes stay in flight."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing to do at this head. `used` tells that the nonce is used and only the receipt is awaited."""

    used: bool = False


Decision = Finish | Resend | Cancel | Release | Foreign | Stuck | Wait


def decide(slot: Slot, seen: Evidence, settings: SendSettings) -> Decision:
    """Return what to do about a live slot."""
    if slot.nonce < seen.chain_nonce:
        return _judge_used(slot, seen, settings)
    newest = slot.newest
    if newest is None or not any(attempt.maybe_known for attempt in slot.attempts):
        return _drop(slot, seen, settings)
    if _wants_cancel(slot, newest, seen):
        return plan_cancel(slot, base_fee_wei=seen.base_fee_wei, settings=settings, reason=_cancel_reason(newest))
    if _resend_due(newest, seen, settings):
        return Resend(attempt=newest)
    return Wait()


def plan_cancel(slot: Slot, *, base_fee_wei: int, settings: SendSettings, reason: str) -> Cancel | Stuck:
    """Return the fees of the next replacement: at least 13 % above all before on both fields, rounded up.

    The cap also covers twice the present base fee, as far as the gas-price limit allows.
    """
    paid = [(slot.payload.fee_cap_wei, slot.payload.tip_wei)] if not slot.attempts else []
    paid += [(attempt.fee_cap_wei, attempt.tip_wei) for attempt in slot.attempts]
    least_cap_wei = mul_div_up(max(cap for cap, _ in paid), _BUMP_NUMERATOR, 100)
    tip_wei = max(1, mul_div_up(max(tip for _, tip in paid), _BUMP_NUMERATOR, 100))
    cap_wei = max(least_cap_wei, 2 * base_fee_wei + tip_wei)
    limit_wei = settings.max_gas_price_wei
    if limit_wei is not None:
        if least_cap_wei > limit_wei:
            return Stuck(reason=f"{reason}, but a replacement costs {least_cap_wei} wei per gas, above the limit")
        cap_wei = min(cap_wei, limit_wei)
    return Cancel(fee_cap_wei=cap_wei, tip_wei=min(tip_wei, cap_wei), reason=reason)


def _judge_used(slot: Slot, seen: Evidence, settings: SendSettings) -> Decision:
    """The nonce is used: by which transaction? All of ours are looked at, not just the newest."""
    for attempt in slot.attempts:
        receipt = seen.receipts.get(attempt.transaction)
        if receipt is not None:
            return _judge_receipt(attempt, receipt, seen, settings)
    return Foreign() if seen.missing_blocks >= settings.foreign_after_blocks else Wait(used=True)


def _judge_receipt(attempt: SignedAttempt, receipt: Receipt, seen: Evidence, settings: SendSettings) -> Decision:
    if receipt.block_number == seen.head_number and receipt.block_hash != seen.head_hash:
        return Wait()  # a rival block of the same height: the next head tells
    depth = max(seen.head_number, receipt.block_number) - receipt.block_number + 1
    if depth < settings.confirmations:
        return Wait()
    if attempt.kind == "cancel":
        return Finish(status="given-up", receipt=receipt)
    return Finish(status="success" if receipt.ok else "reverted", receipt=receipt)


def _drop(slot: Slot, seen: Evidence, settings: SendSettings) -> Decision:
    """Nothing of this slot was ever out: give the nonce back, or fill it when higher ones wait behind it."""
    if seen.highest:
        return Release(reason="refused by the node" if slot.attempts else "never signed")
    return plan_cancel(slot, base_fee_wei=seen.base_fee_wei, settings=settings, reason="fills the nonce")


def _wants_cancel(slot: Slot, newest: SignedAttempt, seen: Evidence) -> bool:
    if newest.kind == "cancel":
        # Only a price that no longer fits is a reason to pay more for doing nothing.
        return newest.fee_cap_wei < seen.base_fee_wei
    deadline = slot.payload.deadline_block
    return deadline is not None and seen.head_number >= deadline


def _cancel_reason(newest: SignedAttempt) -> str:
    return "the cancellation is too cheap" if newest.kind == "cancel" else "its deadline passed"


def _resend_due(newest: SignedAttempt, seen: Evidence, settings: SendSettings) -> bool:
    if newest.last_sent_block is None:
        return True
    waited = seen.head_number - newest.last_sent_block
    return waited >= (1 if newest.broadcast == "ambiguous" else settings.resend_after_blocks)
