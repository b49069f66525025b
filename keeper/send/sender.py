"""The attempt machine's hands: reserves, signs, journals, broadcasts, reads receipts. One owner of a signer's nonces.

Order, always: nonce and worst-case spend reserved, signed, bytes and hash committed, sent. Each step is on the disk
before the next begins, so that a process killed between any two leaves a journal from which the next start goes on
with the same bytes and the same nonce.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

from keeper.domain.attempts import Attempt, LedgerEntry, Realised
from keeper.domain.chain import Head, Receipt
from keeper.domain.errors import Failed, Fatal
from keeper.domain.plans import Fees, SimulatedPlan
from keeper.domain.units import Address
from keeper.observe import events
from keeper.observe.latency import STAGE_CLOCK
from keeper.ports import Chain, Signer
from keeper.send.brake import Brake
from keeper.send.channels import Channel
from keeper.send.entries import mined_entry
from keeper.send.evidence import read_block_time_s, read_genesis_hash, read_receipts
from keeper.send.fees import result_usd_e8
from keeper.send.gate import make_gate
from keeper.send.holes import fill_holes
from keeper.send.intents import (
    deploy_intent,
    deploy_key_prefix,
    deploy_payload,
    to_intent,
    to_payload,
    to_stake,
    to_tokens,
)
from keeper.send.machine import (
    Bump,
    Cancel,
    Decision,
    Evidence,
    Finish,
    Foreign,
    Release,
    Resend,
    Stuck,
    Wait,
    decide,
    is_resend_due,
)
from keeper.send.reorgs import ReorgWatch
from keeper.send.replacing import Replacer, Resimulate, assume_unchanged
from keeper.send.settings import SendSettings
from keeper.send.wire import Wire
from keeper.store import Store
from keeper.store.journal import as_attempt
from keeper.store.records import NO_STAKE, Intent, Payload, Slot, Stake

Realise = Callable[[Receipt], Realised | None]
"""Reads what the treasury received from a liquidation's receipt; None when it is not there."""

Expected = Callable[[Intent, int], int | None]
"""The plan's profit at a block time (seconds), None when the plan is no longer at hand."""

_TRIES_AT_START = 10


class TransactionSender:
    """Implements the port Sender for one signer on one chain.

    All methods that reach the chain raise Transient when it cannot be read; the journal is consistent then, and the
    same call at the next head goes on. Failed means that a human has to look.
    """

    def __init__(
        self,
        *,
        chain: Chain,
        chain_id: int,
        signer: Signer,
        store: Store,
        channel: Channel,
        settings: SendSettings,
        realise: Realise,
        expected: Expected,
        resimulate: Resimulate = assume_unchanged,
    ) -> None:
        self._chain = chain
        self._chain_id = chain_id
        self._signer = signer
        self._store = store
        self._channel = channel
        self._settings = settings
        self._realise = realise
        self._expected = expected
        self._journal = store.journal(chain_id=chain_id, sender=signer.address)
        self._instance = store.instance_lock(
            chain_id=chain_id, sender=signer.address, shared_folder=settings.lock_folder
        )
        self._wire = Wire(chain_id=chain_id, signer=signer, journal=self._journal, channel=channel)
        self._replacer = Replacer(
            journal=self._journal, wire=self._wire, sender=signer.address, settings=settings, resimulate=resimulate
        )
        self._brake = Brake(self._journal, settings.halt_file)
        self._reorgs = ReorgWatch(chain, self._journal, depth=settings.watched_blocks)
        self._turn = asyncio.Lock()
        self._head: Head | None = None
        self._chain_nonce = 0
        self._balance_wei: int | None = None
        self._nonces = (0, 0)
        self._holes: frozenset[int] = frozenset()
        self._missing_since: dict[int, int] = {}
        self._taken_over: set[int] = set()
        self._recovered: list[LedgerEntry] = []
        self._stopping = False

    async def recover(self) -> None:
        """Take over what an earlier run left: find receipts, hand the same bytes out again, free unsigned nonces.

        Raises Failed when another process sends with this journal, when the journal belongs to another chain, or when
        a nonce promised to one of ours was used by somebody else.
        """
        if self._instance is not None:
            self._instance.acquire()
        genesis = await read_genesis_hash(self._chain)
        if genesis is not None:
            self._store.bind_chain(self._chain_id, genesis)
        async with self._turn:
            head = await self._chain.head()
            await self._take_head(head)
            self._brake.check()
            left = self._journal.live()
            self._taken_over = {slot.slot_id for slot in left}
            await self._readopt(head)
            # From the top: a nonce can be given back only when no higher one is promised.
            for slot in [slot for slot in reversed(left) if not slot.attempts]:
                self._live()
                await self._advance(slot, head, patient=False)
            for slot in self._live():
                entry = await self._advance(slot, head, patient=False)
                if entry is not None:
                    self._recovered.append(entry)
        events.recovered(taken_over=len(left), nonce=self._chain_nonce)

    async def submit(self, plan: SimulatedPlan) -> Attempt | str:
        """Journal, sign, send; return the attempt, or the code of a refusal by the gate or the node.

        An attempt that comes back may be in doubt (`settle` finds out); a refusal means that nothing is in flight.
        """
        if plan.plan.chain_id != self._chain_id:
            return "wrong_chain"
        intent = to_intent(plan, self._signer.address)
        return await self._submit(intent, to_payload(plan), to_stake(plan), to_tokens(plan))

    async def submit_deploy(self, data: bytes, gas_limit: int, fees: Fees, l1_fee_wei: int = 0) -> Attempt | str:
        """Send a contract creation, like a plan. The same code still in flight is not sent a second time.

        `l1_fee_wei` is the most a rollup is expected to take for the data, beside the gas.
        """
        sender = self._signer.address
        prefix = deploy_key_prefix(self._chain_id, sender, data)
        for slot in self._journal.live():
            if slot.intent.key.startswith(prefix):
                return as_attempt(slot)
        key = f"{prefix}{self._journal.count_intents('deploy', prefix)}"
        intent = deploy_intent(key=key, chain_id=self._chain_id, sender=sender)
        legacy = (await self._chain.head()).base_fee_wei == 0
        payload = deploy_payload(data, gas_limit, fees, legacy=legacy, l1_fee_wei=l1_fee_wei)
        return await self._submit(intent, payload)

    async def settle(self, head: Head) -> list[LedgerEntry]:
        """Look for receipts of everything in flight, re-send or replace what needs it; return the new entries.

        The first call also returns what `recover` found mined.
        To be called with each new head; calling it twice with one head does no harm. Raises Failed when a nonce of
        ours was used by a transaction that is not in the journal.
        """
        async with self._turn:
            await self._take_head(head)
            new, self._recovered = self._recovered, []
            self._brake.check()
            self._fill_holes(head)
            for slot in self._live():
                entry = await self._advance(slot, head, patient=True)
                if entry is not None:
                    new.append(entry)
            events.in_flight(len(self._journal.live()))
            return new

    def in_flight(self) -> list[Attempt]:
        """Return what is promised to the chain and not yet ended, lowest nonce first."""
        return [as_attempt(slot) for slot in self._journal.live()]

    def stop(self) -> None:
        """Take no more plans; what is in flight stays in the journal."""
        self._stopping = True

    def close(self) -> None:
        """Stop, and let another process use this signer. The store is closed by who opened it."""
        self.stop()
        if self._instance is not None:
            self._instance.release()

    # --- submitting -------------------------------------------------------------------------------------------------

    async def _submit(
        self, intent: Intent, payload: Payload, stake: Stake = NO_STAKE, tokens: Sequence[Address] = ()
    ) -> Attempt | str:
        async with self._turn:
            code = "stopping" if self._stopping else None
            if code is None:
                reserved = await self._reserve(intent, payload, stake, tokens)
                if isinstance(reserved, Slot):
                    return await self._dispatch(reserved)
                code = reserved
        events.submit_refused(code=code, market=intent.market, account=intent.account)
        return code

    async def _reserve(self, intent: Intent, payload: Payload, stake: Stake, tokens: Sequence[Address]) -> Slot | str:
        if self._head is None:
            await self._take_head(await self._chain.head())
        head = self._known_head()
        if self._balance_wei is None:
            self._balance_wei = await self._chain.balance_wei(self._signer.address)
        self._brake.check()
        reserved = self._journal.reserve(
            intent,
            payload,
            chain_nonce=self._chain_nonce,
            watched_from=head.number - self._settings.watched_blocks,
            admit=make_gate(
                intent,
                payload,
                balance_wei=self._balance_wei,
                head_number=head.number,
                settings=self._settings,
                stake=stake,
                tokens=tokens,
            ),
            stake=stake,
            now_s=head.timestamp_s,
        )
        if isinstance(reserved, str) and reserved in {"no_gas_funds", "below_balance_floor"}:
            self._balance_wei = None  # somebody may send some
        return reserved

    async def _dispatch(self, slot: Slot) -> Attempt | str:
        """Sign and send a slot just reserved. A sure refusal gives the nonce back: nothing higher can exist yet."""
        block = self._known_head().number
        try:
            slot = self._wire.sign(slot, "plan", slot.payload, block=block)
        except Fatal:
            self._journal.release(slot, "could not be signed")
            raise
        STAGE_CLOCK.mark("signed")
        refusal = await self._wire.send(slot, block=block, fresh=True)
        STAGE_CLOCK.mark("sent")
        slot = self._journal.slot(slot.slot_id)
        if refusal is None:
            return as_attempt(slot)
        self._journal.release(slot, refusal)
        self._balance_wei = None
        events.submit_refused(code=refusal, market=slot.intent.market, account=slot.intent.account)
        return refusal

    # --- settling ---------------------------------------------------------------------------------------------------

    async def _take_head(self, head: Head) -> None:
        await self._reorgs.check(head)
        self._chain_nonce = await self._chain.nonce(self._signer.address)
        self._head = head

    def _live(self) -> list[Slot]:
        live = self._journal.live()
        nonces = [slot.nonce for slot in live]
        self._nonces = (min(nonces, default=0), max(nonces, default=0))
        return live

    def _fill_holes(self, head: Head) -> None:
        """Reserve the nonces below ours that nobody holds; signing them is the next thing settling does."""
        self._holes = fill_holes(
            self._journal,
            self._signer.address,
            head,
            chain_id=self._chain_id,
            chain_nonce=self._chain_nonce,
            seen_before=self._holes,
            balance_wei=self._balance_wei,
            settings=self._settings,
        )

    async def _advance(self, slot: Slot, head: Head, *, patient: bool) -> LedgerEntry | None:
        seen = await self._look(slot, head, patient=patient)
        decision = decide(slot, seen, self._settings)
        if not patient and isinstance(decision, Wait) and decision.used:
            decision = Foreign()  # receipts were asked for again and again already
        if not patient and isinstance(decision, Wait) and not decision.used and slot.nonce >= seen.chain_nonce:
            decision = Resend(attempt=slot.attempts[-1])  # who knows whether the last run got that far
        return await self._carry_out(slot, decision, head)

    async def _look(self, slot: Slot, head: Head, *, patient: bool) -> Evidence:
        used = slot.nonce < self._chain_nonce
        tries = 1 if patient else _TRIES_AT_START
        receipts = await read_receipts(self._chain, slot, tries=tries) if used else {}
        if used and not receipts:
            since = self._missing_since.setdefault(slot.slot_id, head.number)
        else:
            self._missing_since.pop(slot.slot_id, None)
            since = head.number
        return Evidence(
            head_number=head.number,
            head_hash=head.hash,
            base_fee_wei=head.base_fee_wei,
            chain_nonce=self._chain_nonce,
            receipts=receipts,
            missing_blocks=head.number - since,
            highest=slot.nonce >= self._nonces[1],
            lowest=slot.nonce <= self._nonces[0],
            halted=self._brake.is_halted,
            reopened_block=self._reorgs.reopened.get(slot.slot_id, 0),
        )

    async def _carry_out(self, slot: Slot, decision: Decision, head: Head) -> LedgerEntry | None:
        match decision:
            case Finish(status=status, receipt=receipt):
                return await self._finish(slot, status, receipt, head)
            case Resend():
                doubtful = slot.slot_id in self._taken_over or slot.slot_id in self._reorgs.reopened
                await self._replacer.resend(slot, head, doubtful=doubtful)
            case Bump():
                replaced = await self._replacer.bump(slot, decision, head)
                if not replaced and slot.newest and is_resend_due(slot.newest, head.number, self._settings):
                    await self._wire.send(slot, block=head.number, fresh=False)
            case Cancel():
                await self._replacer.cancel(slot, decision, head)
            case Release(reason=reason):
                self._journal.release(slot, reason)
            case Foreign():
                self._give_up_foreign(slot, head)
            case Stuck():
                await self._replacer.wait_out(slot, decision, head)
        return None

    async def _finish(
        self, slot: Slot, status: Literal["success", "reverted", "given-up"], receipt: Receipt, head: Head
    ) -> LedgerEntry:
        block_time_s = await read_block_time_s(self._chain, receipt, head)
        expected_raw, realised = slot.intent.expected_raw, Realised(profit_raw=0)
        if status == "success" and slot.intent.kind == "liquidation":
            at_block_time = self._expected(slot.intent, block_time_s)
            expected_raw = expected_raw if at_block_time is None else at_block_time
            gained = self._realise(receipt)
            if gained is None:
                events.profit_unreadable(transaction=receipt.transaction_hash)
            realised = gained or realised
        entry = mined_entry(
            slot,
            receipt,
            status,
            expected_raw=expected_raw,
            realised=realised,
            block_time_s=block_time_s,
        )
        result = result_usd_e8(
            slot.stake,
            planned_raw=slot.intent.expected_raw,
            realised_raw=realised.profit_raw,
            gas_wei=entry.gas_cost_wei,
        )
        self._journal.finish(slot, status, receipt, entry, result_usd_e8=result)
        self._balance_wei = None
        events.attempt_mined(entry, nonce=slot.nonce)
        return entry

    def _give_up_foreign(self, slot: Slot, head: Head) -> None:
        """The signer is shared: stop. The slot is ended in the journal, so that a later start can go on.

        A nonce that was only filled is nobody's: whoever used it did what the filling was for.
        """
        self._journal.mark_foreign(slot, head.number)
        if slot.intent.kind == "fill":
            return
        raise Failed(
            f"nonce {slot.nonce} of {self._signer.address} was used by a transaction that is not in the journal: "
            f"somebody else sends with this key; find out who, then start again"
        )

    async def _readopt(self, head: Head) -> None:
        """A nonce thought foreign is ours after all when a receipt has turned up since, or a reorg freed it."""
        for slot in self._journal.foreign():
            if slot.nonce >= self._chain_nonce or await read_receipts(self._chain, slot):
                self._journal.reopen(slot)
                self._taken_over.add(slot.slot_id)
                await self._advance(self._journal.slot(slot.slot_id), head, patient=True)

    def _known_head(self) -> Head:
        if self._head is None:
            raise Failed("the sender has not seen a head yet; recover it first")
        return self._head
