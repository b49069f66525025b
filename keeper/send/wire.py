"""Signs, commits, broadcasts: in this order, and nothing else does any of it."""

from __future__ import annotations

from keeper.domain.errors import Failed
from keeper.observe import events
from keeper.ports import Signer
from keeper.send.channels import Channel, Errand
from keeper.store.journal import Journal, as_attempt
from keeper.store.records import AttemptKind, Payload, SignedAttempt, Slot


class Wire:
    """The way of one signer's bytes out of the process, on one chain."""

    def __init__(self, *, chain_id: int, signer: Signer, journal: Journal, channel: Channel) -> None:
        self._chain_id = chain_id
        self._signer = signer
        self._journal = journal
        self._channel = channel

    def sign(self, slot: Slot, kind: AttemptKind, payload: Payload, *, block: int) -> Slot:
        """Sign at head `block` and commit; the bytes may leave the process only after this returned."""
        if payload.worst_case_wei > slot.worst_case_wei:
            raise Failed(f"nonce {slot.nonce} was to be signed for more than is reserved for it")
        raw, transaction = self._signer.sign(
            chain_id=self._chain_id,
            nonce=slot.nonce,
            to=payload.to,
            data=payload.data,
            gas_limit=payload.gas_limit,
            fee_cap_wei=payload.fee_cap_wei,
            tip_wei=payload.tip_wei,
            legacy=payload.legacy,
        )
        attempt = SignedAttempt(
            transaction=transaction,
            kind=kind,
            raw=raw,
            gas_limit=payload.gas_limit,
            fee_cap_wei=payload.fee_cap_wei,
            tip_wei=payload.tip_wei,
            broadcast="signed",
            maybe_known=True,
            last_sent_block=None,
            signed_block=block,
        )
        self._journal.add_attempt(slot, attempt)
        return self._journal.slot(slot.slot_id)

    async def send(self, slot: Slot, *, block: int, fresh: bool) -> str | None:
        """Broadcast the newest bytes of `slot`; return the code when they were never out and are refused now."""
        attempt = slot.newest
        if attempt is None:
            raise Failed(f"nonce {slot.nonce} has nothing signed to send")
        errand = Errand(
            kind=attempt.kind,
            waited_blocks=block - slot.attempts[0].signed_block,
            last_block=slot.payload.deadline_block,
        )
        result = await self._channel.broadcast(attempt.raw, attempt.transaction, errand)
        refused = fresh and result.standing == "refused"
        self._journal.note_broadcast(
            slot,
            attempt.transaction,
            result=result.standing,
            block=block,
            answer=f"{result.answer}: {result.words}" if result.words else str(result.answer),
            surely_unknown=refused,
        )
        events.attempt_sent(as_attempt(slot), result=str(result.answer), answer=result.words, again=not fresh)
        return result.refusal_code if refused else None
