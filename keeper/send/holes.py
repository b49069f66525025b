"""Nonces below ours that nobody holds: nothing of ours can be mined before they are used."""

from __future__ import annotations

from keeper.domain.chain import Head
from keeper.domain.units import Address
from keeper.observe import events
from keeper.send.fees import GasOffer
from keeper.send.gate import make_fill_gate
from keeper.send.intents import empty_payload, fill_intent
from keeper.send.settings import SendSettings
from keeper.store.journal import Journal
from keeper.store.records import Slot

_TIP_WEI = 10**9


def fill_holes(
    journal: Journal,
    sender: Address,
    head: Head,
    *,
    chain_id: int,
    chain_nonce: int,
    seen_before: frozenset[int],
    balance_wei: int | None,
    settings: SendSettings,
) -> frozenset[int]:
    """Reserve (or take up again) each hole that was there at the last head too; return the holes of this one.

    A hole comes from a reorg that removed a transaction which is not ours. A node that lags shows one for a moment:
    hence the second look.
    """
    live = journal.live()
    if not live or chain_nonce >= live[0].nonce:
        return frozenset()
    foreign = {slot.nonce: slot for slot in journal.foreign()}
    below = range(chain_nonce, live[0].nonce)
    holes = frozenset(nonce for nonce in below if nonce in foreign or not journal.holds(nonce))
    for nonce in sorted(holes & seen_before):
        if nonce in foreign:
            journal.reopen(foreign[nonce])  # the stranger's transaction is gone, and ours may have its nonce again
        elif _reserve(journal, sender, head, live[0], nonce, chain_id, balance_wei, settings):
            events.nonce_filled(nonce=nonce)
    return holes


def _reserve(
    journal: Journal,
    sender: Address,
    head: Head,
    above: Slot,
    nonce: int,
    chain_id: int,
    balance_wei: int | None,
    settings: SendSettings,
) -> bool:
    legacy = above.payload.legacy
    cap_wei = max(above.payload.fee_cap_wei, 2 * head.base_fee_wei + _TIP_WEI)
    if settings.max_gas_price_wei is not None:
        cap_wei = min(cap_wei, settings.max_gas_price_wei)
    offer = GasOffer(fee_cap_wei=cap_wei, tip_wei=cap_wei if legacy else min(_TIP_WEI, cap_wei))
    payload = empty_payload(sender, offer, legacy=legacy, l1_fee_wei=above.payload.l1_fee_wei)
    turn = journal.count_intents("fill", "")
    reserved = journal.reserve(
        fill_intent(chain_id=chain_id, sender=sender, nonce=nonce, turn=turn),
        payload,
        chain_nonce=nonce,
        watched_from=head.number - settings.watched_blocks,
        admit=make_fill_gate(payload, balance_wei=balance_wei, settings=settings),
        now_s=head.timestamp_s,
        nonce=nonce,
    )
    return isinstance(reserved, Slot)
