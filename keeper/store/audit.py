"""Replays the journal from its first event and checks what it can show of the promises, without a chain.

The numbers are those of docs/reliability.md. An event log that leads to other states than the tables hold, a
transaction that was sent before it was written down, a second transaction for one decision: each is a finding.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from keeper.store.database import Database
from keeper.store.journal import all_slots
from keeper.store.ledger import read_entries
from keeper.store.records import LIVE, MINED, SignedAttempt, Slot

HashOf = Callable[[bytes], str]
"""Returns the transaction hash of signed bytes."""

Finding = tuple[str, str]
_ENDS = {"success", "reverted", "given-up", "released", "foreign"}


@dataclass(slots=True)
class _Replay:
    """States as the events lead to them."""

    states: dict[int, str] = field(default_factory=dict)
    signed: set[tuple[int, str]] = field(default_factory=set)
    mode: str = "active"


def audit(database: Database, hash_of: HashOf | None) -> dict[str, Any]:
    """Return the counts and findings of a replay; without `hash_of` the signed bytes themselves are not looked at."""
    slots = all_slots(database)
    events = database.rows("SELECT * FROM history ORDER BY sequence")
    checks = (
        _check_file(database),
        _check_events(slots, events),
        _check_intents(slots),
        _check_nonces(slots, _used_nonces(slots, events)),
        _check_ledger(slots, database),
        _check_chains(slots, database),
        *(_check_slot(slot, hash_of) for slot in slots),
    )
    findings = [{"invariant": name, "what": what} for check in checks for name, what in check]
    return {
        "slots": len(slots),
        "attempts": sum(len(slot.attempts) for slot in slots),
        "events": len(events),
        "findings": findings,
    }


def _check_file(database: Database) -> Iterator[Finding]:
    for row in database.rows("PRAGMA integrity_check"):
        if row[0] != "ok":
            yield "file", str(row[0])
    for row in database.rows("PRAGMA foreign_key_check"):
        yield "file", f"a row of {row[0]} refers to nothing"


def _check_events(slots: Sequence[Slot], events: Sequence[sqlite3.Row]) -> Iterator[Finding]:
    replay = _Replay()
    by_id = {slot.slot_id: slot for slot in slots}
    for event in events:
        yield from _step(replay, by_id, event)
    for slot in slots:
        if replay.states.get(slot.slot_id) != slot.state:
            told = replay.states.get(slot.slot_id, "nothing")
            yield "I13", f"{_name(slot)} is {slot.state}, its events lead to {told}"
        for attempt in slot.attempts:
            if (slot.slot_id, attempt.transaction) not in replay.signed:
                yield "I1", f"{_name(slot)}: {attempt.transaction} was never written down as signed"


def _step(replay: _Replay, slots: dict[int, Slot], event: sqlite3.Row) -> Iterator[Finding]:
    name, slot_id = str(event["event"]), int(event["slot_id"])
    if name.startswith("mode "):
        replay.mode = name.removeprefix("mode ")
        return
    slot = slots.get(slot_id)
    if slot is None:
        yield "I13", f"event {event['sequence']} ({name}) is about no slot"
        return
    if name == "reserved":
        yield from _check_reservation(replay, slots, slot)
    if name.startswith("signed "):
        replay.signed.add((slot_id, event["transaction_hash"]))
    if name.startswith("broadcast ") and (slot_id, event["transaction_hash"]) not in replay.signed:
        yield "I1", f"{_name(slot)}: {event['transaction_hash']} left before it was written down"
    state = replay.states.get(slot_id)
    if name in _ENDS and state not in LIVE:
        yield "I7", f"{_name(slot)} ended as {name} when it was {state} already"
    following = _following(state, name)
    if following is None:
        yield "I13", f"event {event['sequence']} of {_name(slot)} cannot follow {state}: {name}"
    else:
        replay.states[slot_id] = following


def _following(state: str | None, event: str) -> str | None:
    """Return the state an event leads to, None for an event that is unknown or cannot happen in `state`."""
    if event == "reserved":
        return "reserved" if state is None else None
    if state is None:
        return None
    if event.startswith("signed "):
        return "signed" if state == "reserved" else state
    if event in {"broadcast accepted", "broadcast ambiguous"}:
        return "sent" if state in LIVE else state
    if event == "reopened":
        return "sent"
    if event in _ENDS:
        return event
    return state if event in {"broadcast refused", "reserved more"} else None


def _check_reservation(replay: _Replay, slots: dict[int, Slot], slot: Slot) -> Iterator[Finding]:
    may_fill = slot.intent.kind == "fill" and replay.mode == "drain"
    if replay.mode != "active" and not may_fill:
        yield "I11", f"{_name(slot)} was reserved in mode {replay.mode}"
    for other_id, state in replay.states.items():
        other = slots[other_id]
        if other.intent.key == slot.intent.key and other_id != slot.slot_id and state in LIVE | {"success"}:
            yield "I3", f"{_name(slot)} was reserved while {_name(other)} for the same intent was {state}"


def _check_intents(slots: Sequence[Slot]) -> Iterator[Finding]:
    done: defaultdict[str, list[Slot]] = defaultdict(list)
    for slot in slots:
        if slot.state == "success":
            done[slot.intent.key].append(slot)
    for found in done.values():
        if len(found) > 1:
            yield "I2", f"{' and '.join(map(_name, found))} both succeeded for one intent"


def _used_nonces(slots: Sequence[Slot], events: Sequence[sqlite3.Row]) -> dict[tuple[int, str], int]:
    """Return the highest number of used nonces the chain has shown for each signer; a reservation notes it."""
    owners = {slot.slot_id: (slot.intent.chain_id, str(slot.intent.sender)) for slot in slots}
    used: dict[tuple[int, str], int] = {}
    for event in events:
        owner = owners.get(event["slot_id"])
        if owner is not None and event["event"] == "reserved" and str(event["detail"] or "").isdecimal():
            used[owner] = max(used.get(owner, 0), int(event["detail"]))
    return used


def _check_nonces(slots: Sequence[Slot], used: dict[tuple[int, str], int]) -> Iterator[Finding]:
    owners: defaultdict[tuple[int, str], list[Slot]] = defaultdict(list)
    for slot in slots:
        owners[slot.intent.chain_id, slot.intent.sender].append(slot)
    for owner, owned in owners.items():
        held = {slot.nonce for slot in owned if slot.state != "released"}
        live = sorted(slot.nonce for slot in owned if slot.state in LIVE)
        for low, high in pairwise(live):
            for nonce in range(low + 1, high):
                if nonce not in held and nonce >= used.get(owner, 0):
                    yield "I4", f"nobody holds nonce {nonce}, which stands before {high}"
        for earlier, later in pairwise(owned):
            if later.reserved_at_s < earlier.reserved_at_s:
                yield "I14", f"{_name(later)} was reserved at an earlier time than {_name(earlier)} before it"


def _check_slot(slot: Slot, hash_of: HashOf | None) -> Iterator[Finding]:
    yield from _check_end(slot)
    yield from _check_prices(slot)
    liquidation = slot.intent.kind == "liquidation"
    if liquidation and slot.payload.deadline_block is None:
        yield "I9", f"{_name(slot)} has no deadline"
    for attempt in slot.attempts:
        if attempt.kind != "cancel" and attempt.gas_limit != slot.payload.gas_limit:
            yield "I6", f"{_name(slot)}: {attempt.transaction} offers other gas than was planned"
        if hash_of is not None:
            yield from _check_bytes(slot, attempt, hash_of)


def _check_end(slot: Slot) -> Iterator[Finding]:
    if slot.state == "released" and any(attempt.maybe_known for attempt in slot.attempts):
        yield "I7", f"{_name(slot)} was given back though its bytes may be out"
    if slot.state not in MINED:
        return
    if slot.block is None or slot.block_hash is None:
        yield "I7", f"{_name(slot)} ended as {slot.state} without a block"
    kinds = [attempt.kind for attempt in slot.attempts if attempt.transaction == slot.transaction]
    if not kinds:
        yield "I8", f"{_name(slot)} ended by {slot.transaction}, which is none of its transactions"
    elif (kinds[0] == "cancel") != (slot.state == "given-up"):
        yield "I8", f"{_name(slot)} ended as {slot.state} by a {kinds[0]}"


def _check_prices(slot: Slot) -> Iterator[Finding]:
    for older, newer in pairwise(slot.attempts):
        if newer.fee_cap_wei * 8 < older.fee_cap_wei * 9 or newer.tip_wei * 8 < older.tip_wei * 9:
            yield "I5", f"{_name(slot)}: {newer.transaction} does not offer an eighth more than the one before"
    for attempt in slot.attempts:
        ceiling = slot.stake.fee_ceiling_wei
        if attempt.kind == "bump" and ceiling is not None and attempt.fee_cap_wei > ceiling:
            yield "I5", f"{_name(slot)}: {attempt.transaction} offers more than its profit bears"
        reserved = slot.reserved_wei
        if reserved is not None and attempt.gas_limit * attempt.fee_cap_wei + slot.payload.l1_fee_wei > reserved:
            yield "I10", f"{_name(slot)}: {attempt.transaction} may cost more than was reserved"


def _check_bytes(slot: Slot, attempt: SignedAttempt, hash_of: HashOf) -> Iterator[Finding]:
    if hash_of(attempt.raw) != attempt.transaction:
        yield "I1", f"{_name(slot)}: the bytes of {attempt.transaction} have another hash"
    if attempt.kind != "cancel" and slot.payload.data not in attempt.raw:
        yield "I6", f"{_name(slot)}: {attempt.transaction} carries other calldata than was planned"


def _check_ledger(slots: Sequence[Slot], database: Database) -> Iterator[Finding]:
    booked = {entry.transaction: entry for entry in read_entries(database) if entry.status != "dry-run"}
    for slot in slots:
        entry = booked.pop(slot.transaction, None) if slot.transaction is not None else None
        if (entry is not None) != (slot.state in MINED) or (entry is not None and entry.status != slot.state):
            yield "I13", f"{_name(slot)} is {slot.state}, the ledger says {entry.status if entry else 'nothing'}"
        if entry is not None and entry.gas_cost_wei > slot.worst_case_wei:
            yield "I10", f"{_name(slot)} cost more gas than was reserved for it"
    for transaction in booked:
        yield "I2", f"the ledger has {transaction}, the journal does not"


def _check_chains(slots: Sequence[Slot], database: Database) -> Iterator[Finding]:
    bound = {str(row["key"]) for row in database.rows("SELECT key FROM meta WHERE key LIKE 'genesis:%'")}
    for chain_id in sorted({slot.intent.chain_id for slot in slots}):
        if f"genesis:{chain_id}" not in bound:
            yield "I12", f"the journal does not say which chain of id {chain_id} it is about"


def _name(slot: Slot) -> str:
    return f"nonce {slot.nonce} of {slot.intent.sender} (slot {slot.slot_id})"
