"""What to do next about one nonce. Pure: it is given evidence and returns a decision; `sender` carries it out.

A slot ends only on evidence: a receipt of one of its own transactions, deep enough; or its nonce used while none of
its transactions has a receipt, for long enough. A time-out, an error, or silence never ends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from keeper.domain.chain import Receipt
from keeper.send.fees import TooDear, bump_limit_wei, offers_of, raise_offer
from keeper.send.settings import SendSettings
from keeper.store.records import SignedAttempt, Slot

CANCEL_GAS: Final = 21_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the chain shows about a slot at one head.

    `receipts` are those of the slot's own transactions, by hash; `missing_blocks` for how long the nonce has been used
    without any; `highest` and `lowest` whether no live slot has a higher or a lower nonce; `halted` whether everything
    in flight is to be taken back; `reopened_block` where a reorg last took the slot's transaction back.
    """

    head_number: int
    head_hash: str
    base_fee_wei: int
    chain_nonce: int
    receipts: Mapping[str, Receipt]
    missing_blocks: int
    highest: bool
    lowest: bool = True
    halted: bool = False
    reopened_block: int = 0


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
class Bump:
    """GasOffer more for the same plan, if it still pays then."""

    fee_cap_wei: int
    tip_wei: int


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


Decision = Finish | Resend | Bump | Cancel | Release | Foreign | Stuck | Wait


def decide(slot: Slot, seen: Evidence, settings: SendSettings) -> Decision:
    """Return what to do about a live slot."""
    if slot.nonce < seen.chain_nonce:
        return _judge_used(slot, seen, settings)
    newest = slot.newest
    if newest is None or not any(attempt.maybe_known for attempt in slot.attempts):
        return _drop(slot, seen, settings)
    reason = _cancel_reason(slot, newest, seen)
    if reason is not None:
        return plan_cancel(slot, base_fee_wei=seen.base_fee_wei, settings=settings, reason=reason)
    bump = _plan_bump(slot, newest, seen, settings)
    if bump is not None:
        return bump
    if is_resend_due(newest, seen.head_number, settings):
        return Resend(attempt=newest)
    return Wait()


def plan_cancel(slot: Slot, *, base_fee_wei: int, settings: SendSettings, reason: str) -> Cancel | Stuck:
    """Return the replacement that does nothing, or why it is not allowed. Its price counts against no profit."""
    offer = raise_offer(offers_of(slot), base_fee_wei=base_fee_wei, limit_wei=settings.max_gas_price_wei)
    if isinstance(offer, TooDear):
        return Stuck(reason=f"{reason}, but a replacement costs {offer.least_cap_wei} wei per gas, above the limit")
    return Cancel(fee_cap_wei=offer.fee_cap_wei, tip_wei=offer.tip_wei, reason=reason)


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
    reason = "fills the nonce"
    found = plan_cancel(slot, base_fee_wei=seen.base_fee_wei, settings=settings, reason=reason)
    if isinstance(found, Stuck) and not slot.attempts:  # it replaces nothing: the price that was reserved will do
        return Cancel(fee_cap_wei=slot.payload.fee_cap_wei, tip_wei=slot.payload.tip_wei, reason=reason)
    return found


def _cancel_reason(slot: Slot, newest: SignedAttempt, seen: Evidence) -> str | None:
    if newest.kind == "cancel":
        # Only a price that no longer fits is a reason to pay more for doing nothing.
        return "the cancellation is too cheap" if newest.fee_cap_wei < seen.base_fee_wei else None
    deadline = slot.payload.deadline_block
    if deadline is not None and seen.head_number >= deadline:
        return "its deadline passed"
    return "everything is halted" if seen.halted else None


def _plan_bump(slot: Slot, newest: SignedAttempt, seen: Evidence, settings: SendSettings) -> Bump | None:
    """Return a higher offer when one is due and allowed.

    Only the lowest nonce is held up by its own price; the others wait behind it, unless they no longer fit at all.
    """
    if newest.kind == "cancel":
        return None
    waited = seen.head_number - max(newest.signed_block, seen.reopened_block)
    late = seen.lowest and waited >= settings.bump_after_blocks
    if not late and newest.fee_cap_wei >= seen.base_fee_wei:
        return None
    limit_wei = bump_limit_wei(slot, settings.max_gas_price_wei)
    offer = raise_offer(offers_of(slot), base_fee_wei=seen.base_fee_wei, limit_wei=limit_wei)
    if isinstance(offer, TooDear) or offer.fee_cap_wei < seen.base_fee_wei:
        return None
    return Bump(fee_cap_wei=offer.fee_cap_wei, tip_wei=offer.tip_wei)


def is_resend_due(newest: SignedAttempt, head_number: int, settings: SendSettings) -> bool:
    """Whether the same bytes should be handed out again at this head."""
    if newest.last_sent_block is None:
        return True
    waited = head_number - newest.last_sent_block
    return waited >= (1 if newest.broadcast == "ambiguous" else settings.resend_after_blocks)
