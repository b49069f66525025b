"""Dearer and empty transactions in the place of what is in flight."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from keeper.domain.chain import Head
from keeper.domain.errors import RpcError, Stale, Transient
from keeper.domain.fixed_point import mul_div_down
from keeper.domain.units import WAD, Address
from keeper.observe import events
from keeper.send.fees import GasOffer
from keeper.send.gate import make_dearer_gate
from keeper.send.intents import empty_payload
from keeper.send.machine import Bump, Cancel, Stuck, plan_cancel
from keeper.send.settings import SendSettings
from keeper.send.wire import Wire
from keeper.store.journal import Journal
from keeper.store.records import Payload, Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """What the very calldata of a plan in flight would do on top of a head; `profit_raw` is of its profit token.

    `gas_units` has the data in it where the chain charges it as gas.
    """

    ok: bool
    profit_raw: int = 0
    gas_units: int = 0


Resimulate = Callable[[Slot, Sequence[bytes], Head], Awaitable[Rerun]]
"""Runs a slot's calldata after the given earlier calldata. Raises Transient, Stale, RpcError when it cannot be told."""


async def assume_unchanged(slot: Slot, _earlier: Sequence[bytes], _head: Head) -> Rerun:
    """Stand in where nothing can be re-run: everything is as it was planned."""
    return Rerun(ok=True, profit_raw=slot.intent.expected_raw, gas_units=slot.payload.gas_limit)


class Replacer:
    """Carries out bumps and cancellations. What they may cost is reserved before they are signed."""

    def __init__(
        self, *, journal: Journal, wire: Wire, sender: Address, settings: SendSettings, resimulate: Resimulate
    ) -> None:
        self._journal = journal
        self._wire = wire
        self._sender = sender
        self._settings = settings
        self._resimulate = resimulate

    async def bump(self, slot: Slot, bump: Bump, head: Head) -> bool:
        """GasOffer more for the plan of `slot` if it still pays at that price; take it back when it pays no more.

        When that cannot be told, or the price is too high, nothing changes: the next head asks again. Return whether
        something was signed.
        """
        try:
            rerun = await self._rerun(slot, head)
        except (Transient, Stale, RpcError) as error:
            events.step_failed(block=head.number, error=f"a replacement could not be simulated: {error}")
            return False
        if not rerun.ok:
            decision = plan_cancel(
                slot, base_fee_wei=head.base_fee_wei, settings=self._settings, reason="it no longer pays"
            )
            if isinstance(decision, Cancel):
                await self.cancel(slot, decision, head)
            return isinstance(decision, Cancel)
        if not _pays(slot, rerun, bump.fee_cap_wei):
            return False
        dearer = replace(slot.payload, fee_cap_wei=bump.fee_cap_wei, tip_wei=bump.tip_wei)
        if self._reserve(slot, dearer, head) is not None:
            return False
        slot = self._wire.sign(self._journal.slot(slot.slot_id), "bump", dearer, block=head.number)
        events.attempt_bumped(
            nonce=slot.nonce,
            transaction=slot.attempts[-1].transaction,
            fee_cap_wei=bump.fee_cap_wei,
            tip_wei=bump.tip_wei,
        )
        await self._wire.send(slot, block=head.number, fresh=True)
        return True

    async def resend(self, slot: Slot, head: Head, *, doubtful: bool) -> None:
        """Hand the same bytes out again; where the state they were made for is in doubt, only if they still work."""
        newest = slot.newest
        is_plan = newest is not None and newest.kind != "cancel"
        if doubtful and is_plan and not await self._still_works(slot, head):
            decision = plan_cancel(
                slot, base_fee_wei=head.base_fee_wei, settings=self._settings, reason="it no longer works"
            )
            if isinstance(decision, Cancel):
                await self.cancel(slot, decision, head)
            return
        await self._wire.send(slot, block=head.number, fresh=False)

    async def cancel(self, slot: Slot, decision: Cancel, head: Head) -> None:
        """Sign and send a transaction that does nothing in the place of all before."""
        offer = GasOffer(fee_cap_wei=decision.fee_cap_wei, tip_wei=decision.tip_wei)
        payload = empty_payload(self._sender, offer, legacy=slot.payload.legacy, l1_fee_wei=slot.payload.l1_fee_wei)
        refusal = self._reserve(slot, payload, head)
        if refusal is not None:
            await self.wait_out(slot, Stuck(reason=f"{decision.reason}, but {refusal} forbids the replacement"), head)
            return
        slot = self._wire.sign(self._journal.slot(slot.slot_id), "cancel", payload, block=head.number)
        events.attempt_cancelled(
            nonce=slot.nonce,
            transaction=slot.attempts[-1].transaction,
            fee_cap_wei=decision.fee_cap_wei,
            reason=decision.reason,
        )
        await self._wire.send(slot, block=head.number, fresh=True)

    async def wait_out(self, slot: Slot, stuck: Stuck, head: Head) -> None:
        """Say that a slot can be neither mined nor replaced, and hand its bytes out again."""
        newest = slot.newest
        events.attempt_stuck(nonce=slot.nonce, transaction=newest.transaction if newest else None, reason=stuck.reason)
        if newest is not None and newest.last_sent_block != head.number:
            await self._wire.send(slot, block=head.number, fresh=False)

    async def _still_works(self, slot: Slot, head: Head) -> bool:
        """Whether the plan of `slot` would go through on top of `head`; yes where that cannot be told."""
        try:
            return (await self._rerun(slot, head)).ok
        except (Transient, Stale, RpcError) as error:
            events.step_failed(block=head.number, error=f"a transaction taken over could not be simulated: {error}")
            return True

    async def _rerun(self, slot: Slot, head: Head) -> Rerun:
        """Run the plan of `slot` after the liquidations in flight that come before it."""
        if slot.intent.kind != "liquidation":
            return await assume_unchanged(slot, (), head)
        below = [each for each in self._journal.live() if each.nonce < slot.nonce]
        plans = [each for each in below if each.newest is not None and each.newest.kind != "cancel"]
        earlier = [each.payload.data for each in plans if each.intent.kind == "liquidation"]
        return await self._resimulate(slot, earlier, head)

    def _reserve(self, slot: Slot, payload: Payload, head: Head) -> str | None:
        """Make sure that what the payload can cost is reserved; return the code of the cap that forbids it."""
        if payload.worst_case_wei <= slot.worst_case_wei:
            return None
        refusal = self._journal.reserve_more(
            slot,
            wei=payload.worst_case_wei,
            now_s=head.timestamp_s,
            watched_from=head.number - self._settings.watched_blocks,
            admit=make_dearer_gate(slot, worst_case_wei=payload.worst_case_wei, settings=self._settings),
        )
        if refusal is not None:
            events.submit_refused(code=refusal, market=slot.intent.market, account=slot.intent.account)
        return refusal


def _pays(slot: Slot, rerun: Rerun, fee_cap_wei: int) -> bool:
    """Whether the profit of the re-run covers its gas even when all of the cap is paid, and its data."""
    stake, planned_raw = slot.stake, slot.intent.expected_raw
    if stake.native_usd_e8 <= 0 or planned_raw <= 0:
        return True
    profit_usd_e8 = mul_div_down(max(0, rerun.profit_raw), stake.profit_usd_e8, planned_raw)
    cost_wei = rerun.gas_units * fee_cap_wei + slot.payload.l1_fee_wei
    return cost_wei * stake.native_usd_e8 <= profit_usd_e8 * WAD
