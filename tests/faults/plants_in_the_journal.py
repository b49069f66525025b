"""Mistakes for the lab to find, in what is admitted, written down and booked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keeper.send.gate
import keeper.send.guards
import keeper.send.intents
import keeper.send.sender
import keeper.store.risk
from keeper.domain.attempts import LedgerEntry, Realised
from keeper.domain.errors import Failed
from keeper.domain.plans import Plan
from keeper.send.guards import Caps, Guards
from keeper.send.settings import SendSettings
from keeper.store import Store
from keeper.store.journal import Journal
from keeper.store.ledger import insert_entry, read_entries
from keeper.store.records import Ended, GateFacts, Payload, SignedAttempt, Slot
from tests.faults.plants import Defect, Patch
from tests.faults.rig import Rig
from tests.faults.world import PLAN_WEI, ROOMY


def _with(**guards: Any) -> SendSettings:
    """Nothing but these limits."""
    return replace(ROOMY, guards=Guards(**guards))


Change = Callable[[GateFacts], GateFacts]


def _blind(patch: Patch, name: str, change: Change) -> None:
    """Let one part of the gate see other facts than there are."""
    judge = getattr(keeper.send.gate, name)

    def judge_blindly(*given: Any, **named: Any) -> Any:
        given = tuple(change(each) if isinstance(each, GateFacts) else each for each in given)
        return judge(*given, **named)

    patch.setattr(keeper.send.gate, name, judge_blindly)


# --- what is admitted -----------------------------------------------------------------------------------------------


def cap_checked_after_signing(patch: Patch) -> None:
    patch.setattr(keeper.send.gate, "refuse_sum", lambda *_: None)


def cap_forgets_what_is_in_flight(patch: Patch) -> None:
    _blind(patch, "refuse_sum", lambda facts: replace(facts, spent=tuple(one for one in facts.spent if not one.open)))


def cap_counts_the_expected_price(patch: Patch) -> None:
    claim_of = keeper.send.gate.claim_of

    def hopeful(*given: Any, worst_case_wei: int, **named: Any) -> Any:
        return claim_of(*given, worst_case_wei=worst_case_wei // 2, **named)

    patch.setattr(keeper.send.gate, "claim_of", hopeful)


def drain_not_obeyed(patch: Patch) -> None:
    patch.setattr(keeper.send.gate, "_CLOSED", {"halted": "halted"})


def done_again(patch: Patch) -> None:
    _blind(
        patch,
        "_refuse_intent",
        lambda facts: replace(facts, earlier=tuple(state for state in facts.earlier if state != "success")),
    )


def failures_not_counted(patch: Patch) -> None:
    _blind(
        patch,
        "_refuse_intent",
        lambda facts: replace(facts, earlier=tuple(state for state in facts.earlier if state == "success")),
    )


def in_flight_not_looked_at(patch: Patch) -> None:
    _blind(patch, "_refuse_intent", lambda facts: replace(facts, live=()))


def two_plans_for_one_account(patch: Patch) -> None:
    refuse = keeper.send.gate._refuse_intent

    def narrow(intent: Any, facts: GateFacts, settings: SendSettings) -> str | None:
        live = tuple(slot for slot in facts.live if slot.intent.key == intent.key)
        return refuse(intent, replace(facts, live=live), settings)

    patch.setattr(keeper.send.gate, "_refuse_intent", narrow)


def any_number_in_flight(patch: Patch) -> None:
    refuse = keeper.send.gate._refuse_payload

    def generous(*given: Any, settings: SendSettings, **named: Any) -> str | None:
        return refuse(*given, settings=replace(settings, most_in_flight=10**6), **named)

    patch.setattr(keeper.send.gate, "_refuse_payload", generous)


def promised_funds_spent_twice(patch: Patch) -> None:
    _blind(patch, "_refuse_cost", lambda facts: replace(facts, live=()))


def balance_floor_forgotten(patch: Patch) -> None:
    refuse = keeper.send.gate._refuse_cost

    def to_the_last_wei(worst_wei: int, facts: GateFacts, balance_wei: int, settings: SendSettings) -> str | None:
        bare = replace(settings, guards=replace(settings.guards, balance_floor_wei=0))
        return refuse(worst_wei, facts, balance_wei, bare)

    patch.setattr(keeper.send.gate, "_refuse_cost", to_the_last_wei)


def cancellation_ends_a_row_of_reverts(patch: Patch) -> None:
    def reverts_in_a_row(ended: Sequence[Ended]) -> int:
        states = [each.state for each in ended]
        return next((count for count, state in enumerate(reversed(states)) if state != "reverted"), len(states))

    patch.setattr(keeper.send.guards, "_reverts_in_a_row", reverts_in_a_row)


# --- what is written down -------------------------------------------------------------------------------------------


def price_in_the_key(patch: Patch) -> None:
    """So that the same decision at another price has another name."""
    name = keeper.send.intents.intent_key

    def name_anew(plan: Plan) -> str:
        return name(replace(plan, epoch=f"{plan.epoch} until {plan.deadline_block}"))

    patch.setattr(keeper.send.intents, "intent_key", name_anew)


def l1_fee_not_reserved(patch: Patch) -> None:
    patch.setattr(Payload, "worst_case_wei", property(lambda payload: payload.gas_limit * payload.fee_cap_wei))


def chain_not_remembered(patch: Patch) -> None:
    patch.setattr(Store, "bind_chain", lambda *_: None)


def clock_that_goes_back(patch: Patch) -> None:
    patch.setattr(keeper.store.risk, "_NEWEST", "SELECT 0 AS s WHERE ? IS NOT ?")


def refusal_forgets_what_was_known(patch: Patch) -> None:
    note = Journal.note_broadcast

    def forget(self: Journal, slot: Slot, transaction: str, **named: Any) -> None:
        unknown = named.pop("surely_unknown") or named["result"] == "refused"
        note(self, slot, transaction, surely_unknown=unknown, **named)

    patch.setattr(Journal, "note_broadcast", forget)


# --- what is booked -------------------------------------------------------------------------------------------------


def ledger_keeps_what_a_reorg_took_back(patch: Patch) -> None:
    reopen = Journal.reopen

    def keep(self: Journal, slot: Slot) -> None:
        booked = [entry for entry in read_entries(self._database) if entry.transaction == slot.transaction]
        reopen(self, slot)
        with self._database.write() as connection:
            for entry in booked:
                insert_entry(connection, entry, slot.slot_id)

    patch.setattr(Journal, "reopen", keep)


def _book(patch: Patch, change: Callable[[LedgerEntry], LedgerEntry]) -> None:
    entry = keeper.send.sender.mined_entry
    patch.setattr(keeper.send.sender, "mined_entry", lambda *given, **named: change(entry(*given, **named)))


def revert_booked_as_earned(patch: Patch) -> None:
    _book(patch, lambda entry: replace(entry, realised_raw=1_001) if entry.status == "reverted" else entry)


def l1_fee_not_booked(patch: Patch) -> None:
    _book(patch, lambda entry: replace(entry, gas_cost_wei=entry.gas_cost_wei - int(str(entry.detail["l1_fee_wei"]))))


def planned_profit_booked(patch: Patch) -> None:
    finish = keeper.send.sender.TransactionSender._finish

    async def book_the_plan(self: Any, slot: Slot, *rest: Any) -> LedgerEntry:
        self._realise = lambda _: Realised(profit_raw=slot.intent.expected_raw)
        return await finish(self, slot, *rest)

    patch.setattr(keeper.send.sender.TransactionSender, "_finish", book_the_plan)


def keep_unwritten(rig: Rig) -> None:
    """A journal that cannot be written is no reason to stop: what is signed is kept in memory."""
    journal = rig.sender._journal
    add, slot_of = journal.add_attempt, journal.slot
    unwritten: list[tuple[int, SignedAttempt]] = []

    def add_or_keep(slot: Slot, attempt: SignedAttempt) -> None:
        try:
            add(slot, attempt)
        except Failed:
            unwritten.append((slot.slot_id, attempt))

    def with_unwritten(slot_id: int) -> Slot:
        found = slot_of(slot_id)
        return replace(found, attempts=found.attempts + tuple(one for owner, one in unwritten if owner == slot_id))

    journal.add_attempt = add_or_keep  # type: ignore[method-assign]
    journal.slot = with_unwritten  # type: ignore[method-assign]


DEFECTS_OF_THE_JOURNAL = (
    Defect(name="cap checked after signing", into_code=cap_checked_after_signing),
    Defect(name="cap forgets what is in flight", into_code=cap_forgets_what_is_in_flight),
    Defect(
        name="cap counts the expected price",
        into_code=cap_counts_the_expected_price,
        setting=_with(day=Caps(gas_wei=4 * PLAN_WEI)),
    ),
    Defect(name="drain not obeyed", into_code=drain_not_obeyed),
    Defect(name="done again", into_code=done_again),
    Defect(name="failures not counted", into_code=failures_not_counted, setting=replace(ROOMY, most_failures=1)),
    Defect(name="in flight not looked at", into_code=in_flight_not_looked_at),
    Defect(name="two plans for one account", into_code=two_plans_for_one_account),
    Defect(name="any number in flight", into_code=any_number_in_flight, setting=replace(ROOMY, most_in_flight=2)),
    Defect(name="promised funds spent twice", into_code=promised_funds_spent_twice),
    Defect(
        name="balance floor forgotten", into_code=balance_floor_forgotten, setting=_with(balance_floor_wei=6 * PLAN_WEI)
    ),
    Defect(
        name="cancellation ends a row of reverts",
        into_code=cancellation_ends_a_row_of_reverts,
        setting=_with(max_consecutive_reverts=2),
    ),
    Defect(name="price in the key", into_code=price_in_the_key),
    Defect(name="L1 fee not reserved", into_code=l1_fee_not_reserved),
    Defect(name="chain not remembered", into_code=chain_not_remembered),
    Defect(name="clock that goes back", into_code=clock_that_goes_back, setting=ROOMY),
    Defect(name="refusal forgets what was known", into_code=refusal_forgets_what_was_known),
    Defect(name="ledger keeps what a reorg took back", into_code=ledger_keeps_what_a_reorg_took_back),
    Defect(name="revert booked as earned", into_code=revert_booked_as_earned),
    Defect(name="L1 fee not booked", into_code=l1_fee_not_booked),
    Defect(name="planned profit booked", into_code=planned_profit_booked),
)
