"""May this be sent? Decided inside the transaction that reserves the nonce, on what the journal says there."""

from __future__ import annotations

from collections.abc import Callable

from keeper.send.settings import SendSettings
from keeper.store.records import GateFacts, Intent, Payload


def make_gate(
    intent: Intent, payload: Payload, *, balance_wei: int, head_number: int, settings: SendSettings
) -> Callable[[GateFacts], str | None]:
    """Return the gate of one intent: None admits, a code refuses."""

    def admit(facts: GateFacts) -> str | None:
        return _refuse_intent(intent, facts, settings) or _refuse_payload(
            payload, facts, balance_wei=balance_wei, head_number=head_number, settings=settings
        )

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
    if balance_wei < facts.reserved_wei + payload.worst_case_wei:
        return "no_gas_funds"
    return None
