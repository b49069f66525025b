"""May this be sent? Decided inside the transaction that reserves the nonce, on what the journal says there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from keeper.domain.units import Address
from keeper.send.guards import claim_of, refuse_name, refuse_sum, trip_of
from keeper.send.settings import SendSettings
from keeper.store.records import NO_STAKE, GateFacts, Intent, Mode, Payload, Slot, Stake, Trip

Gate = Callable[[GateFacts], str | Trip | None]

_CLOSED: Final[dict[Mode, str]] = {"halted": "halted", "drain": "draining"}


def make_gate(
    intent: Intent,
    payload: Payload,
    *,
    balance_wei: int,
    head_number: int,
    settings: SendSettings,
    stake: Stake = NO_STAKE,
    tokens: Sequence[Address] = (),
) -> Gate:
    """Return the gate of one intent: None admits, a code refuses, a trip refuses and halts."""

    def admit(facts: GateFacts) -> str | Trip | None:
        return (
            _CLOSED.get(facts.mode)
            or trip_of(settings.guards, facts.ended)
            or refuse_name(settings.guards, market=intent.market, account=intent.account, tokens=tokens)
            or _refuse_intent(intent, facts, settings)
            or _refuse_payload(payload, facts, balance_wei=balance_wei, head_number=head_number, settings=settings)
            or _refuse_claim(intent, payload, stake, facts, settings)
        )

    return admit


def make_fill_gate(payload: Payload, *, balance_wei: int | None, settings: SendSettings) -> Gate:
    """Return the gate of a filled nonce: of the caps those on gas count, and nothing is reserved when halted."""

    def admit(facts: GateFacts) -> str | Trip | None:
        if facts.mode == "halted":
            return "halted"
        claim = claim_of(NO_STAKE, market=None, account=None, worst_case_wei=payload.worst_case_wei)
        short = balance_wei is not None and _refuse_cost(payload.worst_case_wei, facts, balance_wei, settings)
        return short or refuse_sum(settings.guards, claim, facts)

    return admit


def make_dearer_gate(slot: Slot, *, worst_case_wei: int, settings: SendSettings) -> Gate:
    """Return the gate of a replacement that needs more reserved than its slot has. Every mode lets it through."""

    def admit(facts: GateFacts) -> str | None:
        intent = slot.intent
        claim = claim_of(
            slot.stake,
            market=intent.market,
            account=intent.account,
            worst_case_wei=worst_case_wei,
            slot_id=slot.slot_id,
        )
        return refuse_sum(settings.guards, claim, facts)

    return admit


def _refuse_intent(intent: Intent, facts: GateFacts, settings: SendSettings) -> str | None:
    if "success" in facts.earlier:
        return "already_done"
    if any(slot.intent.key == intent.key for slot in facts.live):
        return "already_in_flight"
    position = (intent.market, intent.account)
    if intent.account is not None and any((slot.intent.market, slot.intent.account) == position for slot in facts.live):
        return "account_in_flight"
    if sum(state in {"reverted", "given-up"} for state in facts.earlier) >= settings.most_failures:
        return "failed_too_often"
    return None


def _refuse_payload(
    payload: Payload, facts: GateFacts, *, balance_wei: int, head_number: int, settings: SendSettings
) -> str | None:
    if len(facts.live) >= settings.most_in_flight:
        return "too_many_in_flight"
    # The next block is the first that can hold it.
    if payload.deadline_block is not None and payload.deadline_block <= head_number:
        return "deadline_passed"
    if settings.max_gas_price_wei is not None and payload.fee_cap_wei > settings.max_gas_price_wei:
        return "gas_price_above_cap"
    return _refuse_cost(payload.worst_case_wei, facts, balance_wei, settings)


def _refuse_cost(worst_case_wei: int, facts: GateFacts, balance_wei: int, settings: SendSettings) -> str | None:
    left_wei = balance_wei - facts.reserved_wei - worst_case_wei
    if left_wei < 0:
        return "no_gas_funds"
    return "below_balance_floor" if left_wei < settings.guards.balance_floor_wei else None


def _refuse_claim(
    intent: Intent, payload: Payload, stake: Stake, facts: GateFacts, settings: SendSettings
) -> str | None:
    claim = claim_of(stake, market=intent.market, account=intent.account, worst_case_wei=payload.worst_case_wei)
    return refuse_sum(settings.guards, claim, facts)
