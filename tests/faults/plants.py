"""Mistakes for the lab to find, in what the sender decides and how it carries that out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

import keeper.send.evidence
import keeper.send.holes
import keeper.send.machine
import keeper.send.replacing
import keeper.send.sender
from keeper.domain.chain import Head, Receipt
from keeper.send import dialects
from keeper.send.brake import Brake
from keeper.send.channels import Errand
from keeper.send.channels import public as public_channel
from keeper.send.dialects import Answer, Broadcast
from keeper.send.fees import GasOffer, TooDear, raise_offer
from keeper.send.machine import Bump, Decision, Evidence, Finish, Release, decide
from keeper.send.reorgs import ReorgWatch
from keeper.send.replacing import Replacer
from keeper.send.settings import SendSettings
from keeper.send.wire import Wire
from keeper.store.records import Payload, SignedAttempt, Slot
from tests.faults.fake_chain import GWEI, FakeChain
from tests.faults.rig import Rig
from tests.faults.world import ROOMY, SETTINGS

Patch = pytest.MonkeyPatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """A mistake, and how it is planted: into the code, or into each sender that is started."""

    name: str
    into_code: Callable[[Patch], None] | None = None
    into_sender: Callable[[Rig], None] | None = None
    setting: SendSettings = SETTINGS


# --- order, nonces, evidence ----------------------------------------------------------------------------------------


def journal_after_send(rig: Rig) -> None:
    journal, channel = rig.sender._journal, rig.sender._wire._channel
    late: list[tuple[Slot, SignedAttempt]] = []
    add, send, slot_of = journal.add_attempt, channel.broadcast, journal.slot

    async def send_first(raw: bytes, transaction: str, errand: Errand) -> Broadcast:
        result = await send(raw, transaction, errand)
        while late:
            add(*late.pop())
        return result

    def slot(slot_id: int) -> Slot:
        found = slot_of(slot_id)
        return replace(found, attempts=found.attempts + tuple(one for owner, one in late if owner.slot_id == slot_id))

    journal.add_attempt = lambda owner, attempt: late.append((owner, attempt))  # type: ignore[method-assign]
    journal.slot = slot  # type: ignore[method-assign]
    channel.broadcast = send_first  # type: ignore[method-assign]


def new_nonce_on_time_out(rig: Rig) -> None:
    send = rig.sender._wire.send

    async def give_up_at_once(slot: Slot, *, block: int, fresh: bool) -> str | None:
        refusal = await send(slot, block=block, fresh=fresh)
        newest = rig.sender._journal.slot(slot.slot_id).newest
        return "timed_out" if fresh and newest is not None and newest.broadcast == "ambiguous" else refusal

    rig.sender._wire.send = give_up_at_once  # type: ignore[method-assign]


def nonce_from_pending(patch: Patch) -> None:
    async def nonce(self: FakeChain, address: str) -> int:
        following = self._next_nonce(address)
        while (address, following) in self.pool:
            following += 1
        return following

    patch.setattr(FakeChain, "nonce", nonce)


def _read_some(patch: Patch, choose: Callable[[Slot], tuple[SignedAttempt, ...]]) -> None:
    read = keeper.send.evidence.read_receipts

    async def read_some(chain: Any, slot: Slot, *, tries: int = 1) -> dict[str, Receipt]:
        return await read(chain, replace(slot, attempts=choose(slot)), tries=tries)

    patch.setattr(keeper.send.sender, "read_receipts", read_some)


def newest_hash_only(patch: Patch) -> None:
    _read_some(patch, lambda slot: slot.attempts[-1:])


def first_hash_only(patch: Patch) -> None:
    _read_some(patch, lambda slot: slot.attempts[:1])


def _decide(patch: Patch, wrong: Callable[[Slot, Evidence, SendSettings], Decision]) -> None:
    patch.setattr(keeper.send.sender, "decide", wrong)


def not_found_taken_as_dropped(patch: Patch) -> None:
    def decide_hastily(slot: Slot, seen: Evidence, settings: SendSettings) -> Decision:
        newest = slot.newest
        if newest is not None and seen.chain_nonce <= slot.nonce and seen.head_number > newest.signed_block + 1:
            return Release(reason="not found: dropped")
        return decide(slot, seen, settings)

    _decide(patch, decide_hastily)


def foreign_at_first_sight(patch: Patch) -> None:
    _decide(patch, lambda slot, seen, settings: decide(slot, seen, replace(settings, foreign_after_blocks=0)))


def depth_ignored(patch: Patch) -> None:
    _decide(patch, lambda slot, seen, settings: decide(slot, seen, replace(settings, confirmations=1)))


def receipt_status_ignored(patch: Patch) -> None:
    judge = keeper.send.machine._judge_receipt
    patch.setattr(
        keeper.send.machine,
        "_judge_receipt",
        lambda attempt, receipt, seen, settings: judge(attempt, replace(receipt, ok=True), seen, settings),
    )


def cancellation_taken_for_success(patch: Patch) -> None:
    def decide_cheerfully(slot: Slot, seen: Evidence, settings: SendSettings) -> Decision:
        found = decide(slot, seen, settings)
        return replace(found, status="success") if isinstance(found, Finish) and found.receipt.ok else found

    _decide(patch, decide_cheerfully)


# --- deadlines, brake, handing out again ----------------------------------------------------------------------------


def deadline_forgotten(patch: Patch) -> None:
    reason = keeper.send.machine._cancel_reason

    def forgetful(slot: Slot, newest: SignedAttempt, seen: Evidence) -> str | None:
        return reason(replace(slot, payload=replace(slot.payload, deadline_block=None)), newest, seen)

    patch.setattr(keeper.send.machine, "_cancel_reason", forgetful)


def deadline_off_by_one(patch: Patch) -> None:
    reason = keeper.send.machine._cancel_reason

    def late(slot: Slot, newest: SignedAttempt, seen: Evidence) -> str | None:
        return reason(slot, newest, replace(seen, head_number=seen.head_number - 1))

    patch.setattr(keeper.send.machine, "_cancel_reason", late)


def brake_read_once(patch: Patch) -> None:
    patch.setattr(Brake, "check", lambda _: None)


def halt_file_obeyed_but_not_written(patch: Patch) -> None:
    def check(self: Brake) -> None:
        by_file = self._halt_file is not None and self._halt_file.exists()
        self._last = "halted" if by_file else self._journal.mode()

    patch.setattr(Brake, "check", check)


def never_handed_out_again(patch: Patch) -> None:
    for module in (keeper.send.machine, keeper.send.sender):
        patch.setattr(module, "is_resend_due", lambda *_: False)


def cheap_cancellation_left_alone(patch: Patch) -> None:
    reason = keeper.send.machine._cancel_reason

    def content(slot: Slot, newest: SignedAttempt, seen: Evidence) -> str | None:
        return None if newest.kind == "cancel" else reason(slot, newest, seen)

    patch.setattr(keeper.send.machine, "_cancel_reason", content)


def sent_again_unseen(patch: Patch) -> None:
    resend = Replacer.resend

    async def trustful(self: Replacer, slot: Slot, head: Head, *, doubtful: bool) -> None:
        await resend(self, slot, head, doubtful=False)

    patch.setattr(Replacer, "resend", trustful)


def signed_anew_to_send_again(rig: Rig) -> None:
    """The same plan at the fee of the day, in the place of the same bytes."""
    wire, signer = rig.sender._wire, rig.signer
    send = wire._channel.broadcast
    seen: set[str] = set()

    async def renew(raw: bytes, transaction: str, errand: Errand) -> Broadcast:
        if transaction in seen and errand.kind == "plan":
            slot = next(each for each in rig.sender._journal.live() if each.attempts[-1].transaction == transaction)
            paid = slot.attempts[-1]
            raw, transaction = signer.sign(
                chain_id=slot.intent.chain_id, nonce=slot.nonce, to=slot.payload.to, data=slot.payload.data,
                gas_limit=paid.gas_limit, fee_cap_wei=paid.fee_cap_wei + 1, tip_wei=paid.tip_wei,
            )  # fmt: skip
        seen.add(transaction)
        return await send(raw, transaction, errand)

    wire._channel.broadcast = renew  # type: ignore[method-assign]


# --- prices and replacements ----------------------------------------------------------------------------------------


def half_a_bump(patch: Patch) -> None:
    def raise_half(earlier: Sequence[GasOffer], *, base_fee_wei: int, limit_wei: int | None) -> GasOffer | TooDear:
        offers = list(earlier)
        found = raise_offer(offers, base_fee_wei=base_fee_wei, limit_wei=limit_wei)
        return found if isinstance(found, TooDear) else replace(found, tip_wei=max(each.tip_wei for each in offers))

    patch.setattr(keeper.send.machine, "raise_offer", raise_half)


def a_tenth_is_enough(patch: Patch) -> None:
    patch.setattr("keeper.send.fees._RISE", (11, 10))


def limit_on_price_forgotten(patch: Patch) -> None:
    def without_limit(earlier: Sequence[GasOffer], *, base_fee_wei: int, limit_wei: int | None) -> GasOffer | TooDear:
        return raise_offer(earlier, base_fee_wei=base_fee_wei, limit_wei=None)

    patch.setattr(keeper.send.machine, "raise_offer", without_limit)


def profit_bears_any_price(patch: Patch) -> None:
    patch.setattr(keeper.send.machine, "bump_limit_wei", lambda _, most_wei: most_wei)


def dearer_without_reserving(patch: Patch) -> None:
    patch.setattr(Replacer, "_reserve", lambda *_: None)


def bump_with_other_gas(patch: Patch) -> None:
    bump = Replacer.bump

    async def with_more_gas(self: Replacer, slot: Slot, found: Bump, head: Head) -> bool:
        return await bump(self, replace(slot, payload=replace(slot.payload, gas_limit=500_000)), found, head)

    patch.setattr(Replacer, "bump", with_more_gas)


def cancellation_that_carries_the_plan(patch: Patch) -> None:
    cancel = Replacer.cancel
    make = keeper.send.replacing.empty_payload

    async def cancel_with_plan(self: Replacer, slot: Slot, *rest: Any) -> None:
        def full(*given: Any, **named: Any) -> Payload:
            return replace(make(*given, **named), data=slot.payload.data)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(keeper.send.replacing, "empty_payload", full)
            await cancel(self, slot, *rest)

    patch.setattr(Replacer, "cancel", cancel_with_plan)


def refused_bump_gives_the_nonce_back(patch: Patch) -> None:
    send = Wire.send

    async def give_back(self: Wire, slot: Slot, *, block: int, fresh: bool) -> str | None:
        refusal = await send(self, slot, block=block, fresh=fresh)
        if refusal is not None and len(slot.attempts) > 1:
            self._journal.release(slot, refusal)
        return refusal

    patch.setattr(Wire, "send", give_back)


def every_refusal_is_believed(patch: Patch) -> None:
    """Also one of bytes that were handed out before."""
    send = Wire.send

    async def believe(self: Wire, slot: Slot, *, block: int, fresh: bool) -> str | None:
        return await send(self, slot, block=block, fresh=True)

    patch.setattr(Wire, "send", believe)


def signed_with_the_chains_nonce(rig: Rig) -> None:
    sign, sender = rig.sender._wire._signer.sign, rig.sender

    class Hasty:
        address = rig.signer.address

        def sign(self, *, nonce: int, **fields: Any) -> tuple[bytes, str]:
            return sign(nonce=sender._chain_nonce, **fields)

    rig.sender._wire._signer = Hasty()


# --- what nodes say -------------------------------------------------------------------------------------------------


def _misread(patch: Patch, *wrong: Answer) -> None:
    patch.setattr(dialects, "_REFUSED", dialects._REFUSED | set(wrong))


def nonce_low_taken_as_refused(patch: Patch) -> None:
    _misread(patch, Answer.NONCE_LOW)


def unknown_words_taken_as_refused(patch: Patch) -> None:
    _misread(patch, Answer.AMBIGUOUS)


def last_node_decides(patch: Patch) -> None:
    combine = public_channel.combine
    patch.setattr(public_channel, "combine", lambda replies: combine(replies[-1:]))


# --- reorgs, holes --------------------------------------------------------------------------------------------------


def missed_reorg(patch: Patch) -> None:
    async def look_away(self: ReorgWatch, head: Head) -> None:
        return None

    patch.setattr(ReorgWatch, "check", look_away)


def _check_after(patch: Patch, prepare: Callable[[ReorgWatch, Head], None]) -> None:
    check = ReorgWatch.check

    async def check_wrongly(self: ReorgWatch, head: Head) -> None:
        prepare(self, head)
        await check(self, head)

    patch.setattr(ReorgWatch, "check", check_wrongly)


def heads_linked_by_number(patch: Patch) -> None:
    def believe(self: ReorgWatch, head: Head) -> None:
        if self._last is not None and self._last.number in {head.number, head.number - 1}:
            self._last = replace(self._last, hash=head.parent_hash)

    _check_after(patch, believe)


def reorg_between_two_runs_unseen(patch: Patch) -> None:
    def begin_here(self: ReorgWatch, head: Head) -> None:
        self._last = self._last or head

    _check_after(patch, begin_here)


def reorgs_watched_one_block_deep(patch: Patch) -> None:
    def shallow(self: ReorgWatch, head: Head) -> None:
        self._depth = 1

    _check_after(patch, shallow)


def only_the_newest_block_reopened(rig: Rig) -> None:
    journal, watch = rig.sender._journal, rig.sender._reorgs

    class One:
        reopen = journal.reopen

        def mined_since(self, block: int) -> list[Slot]:
            return journal.mined_since(block)[:1]

    watch._journal = One()  # type: ignore[assignment]


def holes_left_open(patch: Patch) -> None:
    patch.setattr(keeper.send.sender, "fill_holes", lambda *_, **__: frozenset())


def holes_filled_while_halted(patch: Patch) -> None:
    gate = keeper.send.holes.make_fill_gate

    def deaf(*given: Any, **named: Any) -> Any:
        admit = gate(*given, **named)
        return lambda facts: admit(replace(facts, mode="active"))

    patch.setattr(keeper.send.holes, "make_fill_gate", deaf)


DEFECTS_OF_SENDING = (
    Defect(name="journal after send", into_sender=journal_after_send),
    Defect(name="new nonce on time-out", into_sender=new_nonce_on_time_out),
    Defect(name="nonce from pending", into_code=nonce_from_pending, setting=ROOMY),
    Defect(name="receipt of the newest hash only", into_code=newest_hash_only, setting=ROOMY),
    Defect(name="not found taken as dropped", into_code=not_found_taken_as_dropped),
    Defect(name="missed reorg", into_code=missed_reorg, setting=ROOMY),
    Defect(name="half a bump", into_code=half_a_bump),
    Defect(name="receipt status ignored", into_code=receipt_status_ignored),
    Defect(name="receipt of the first hash only", into_code=first_hash_only),
    Defect(name="foreign at first sight", into_code=foreign_at_first_sight, setting=ROOMY),
    Defect(name="depth ignored", into_code=depth_ignored, setting=replace(SETTINGS, confirmations=2)),
    Defect(name="cancellation taken for success", into_code=cancellation_taken_for_success),
    Defect(name="deadline forgotten", into_code=deadline_forgotten),
    Defect(name="deadline off by one", into_code=deadline_off_by_one, setting=replace(ROOMY, bump_after_blocks=1)),
    Defect(name="brake read once", into_code=brake_read_once),
    Defect(name="halt file obeyed but not written", into_code=halt_file_obeyed_but_not_written),
    Defect(name="never handed out again", into_code=never_handed_out_again),
    Defect(name="cheap cancellation left alone", into_code=cheap_cancellation_left_alone, setting=ROOMY),
    Defect(name="sent again unseen", into_code=sent_again_unseen, setting=ROOMY),
    Defect(name="signed anew to send again", into_sender=signed_anew_to_send_again),
    Defect(name="a tenth is enough", into_code=a_tenth_is_enough),
    Defect(
        name="limit on price forgotten",
        into_code=limit_on_price_forgotten,
        setting=replace(ROOMY, max_gas_price_wei=5 * GWEI),
    ),
    Defect(name="profit bears any price", into_code=profit_bears_any_price, setting=ROOMY),
    Defect(name="dearer without reserving", into_code=dearer_without_reserving),
    Defect(name="bump with other gas", into_code=bump_with_other_gas, setting=ROOMY),
    Defect(name="cancellation that carries the plan", into_code=cancellation_that_carries_the_plan),
    Defect(name="refused bump gives the nonce back", into_code=refused_bump_gives_the_nonce_back),
    Defect(name="every refusal is believed", into_code=every_refusal_is_believed),
    Defect(name="signed with the chain's nonce", into_sender=signed_with_the_chains_nonce),
    Defect(name="nonce low taken as refused", into_code=nonce_low_taken_as_refused),
    Defect(name="unknown words taken as refused", into_code=unknown_words_taken_as_refused, setting=ROOMY),
    Defect(name="last node decides", into_code=last_node_decides),
    Defect(name="heads linked by number", into_code=heads_linked_by_number, setting=ROOMY),
    Defect(name="reorg between two runs unseen", into_code=reorg_between_two_runs_unseen, setting=ROOMY),
    Defect(name="reorgs watched one block deep", into_code=reorgs_watched_one_block_deep, setting=ROOMY),
    Defect(name="only the newest block reopened", into_sender=only_the_newest_block_reopened, setting=ROOMY),
    Defect(name="holes left open", into_code=holes_left_open, setting=ROOMY),
    Defect(name="holes filled while halted", into_code=holes_filled_while_halted, setting=ROOMY),
)
