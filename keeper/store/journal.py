"""The journal: which nonce was promised to which intent, what was signed for it, and how it ended.

Each method is one transaction, on disk when it returns. States change only as `send` decides; what this module holds
by itself is that a nonce has one slot, a transaction one row, and that a slot and its ledger entry change together.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from keeper.domain.attempts import Attempt, LedgerEntry
from keeper.domain.chain import Receipt
from keeper.domain.errors import Failed
from keeper.domain.units import Address
from keeper.store.database import Database
from keeper.store.ledger import insert_entry
from keeper.store.modes import read_mode, write_mode
from keeper.store.records import (
    LIVE,
    MINED,
    NO_STAKE,
    BroadcastState,
    GateFacts,
    Intent,
    Mode,
    Payload,
    SignedAttempt,
    Slot,
    SlotState,
    Stake,
    Trip,
)
from keeper.store.risk import read_facts
from keeper.store.rows import dump_detail, to_slot

_SLOTS = """
    SELECT slots.*, intents.kind, intents.market, intents.account, intents.profit_token,
           intents.expected_raw, intents.detail
    FROM slots JOIN intents ON intents.key = slots.intent
"""
_ATTEMPTS = "SELECT * FROM attempts WHERE slot_id = ? ORDER BY ordinal"

Admit = Callable[[GateFacts], str | Trip | None]
"""Decides, inside the reserving transaction: None admits, a code refuses, a trip refuses and halts."""


class Journal:
    """The slots and attempts of one chain and sender."""

    def __init__(self, database: Database, *, chain_id: int, sender: Address) -> None:
        self._database = database
        self._owner = (chain_id, sender)

    def live(self) -> list[Slot]:
        """Return everything in flight, lowest nonce first."""
        return self._slots("slots.state IN ('reserved', 'signed', 'sent')", ())

    def mined_since(self, block: int) -> list[Slot]:
        """Return the slots our own transactions used in `block` or later, newest block first."""
        found = self._slots("slots.state IN ('success', 'reverted', 'given-up') AND mined_block >= ?", (block,))
        return sorted(found, key=lambda slot: -(slot.block or 0))

    def foreign(self) -> list[Slot]:
        """Return the slots that were given up because another transaction seemed to use their nonce."""
        return self._slots("slots.state = 'foreign'", ())

    def slot(self, slot_id: int) -> Slot:
        """Return one slot. Raises Failed when there is none."""
        found = self._slots("slots.slot_id = ?", (slot_id,))
        if not found:
            raise Failed(f"the state file has no slot {slot_id}")
        return found[0]

    def count_intents(self, kind: str, key_prefix: str) -> int:
        """Return how many intents of `kind` have a key that starts with `key_prefix`."""
        sql = "SELECT key FROM intents WHERE chain_id = ? AND sender = ? AND kind = ?"
        rows = self._database.rows(sql, (*self._owner, kind))
        return sum(row["key"].startswith(key_prefix) for row in rows)

    def mode(self) -> Mode:
        """Return the mode as it stands in the file now, whoever changed it."""
        return read_mode(self._database).mode

    def mode_reason(self) -> str:
        """Return why the mode is what it is."""
        return read_mode(self._database).reason

    def set_mode(self, mode: Mode, reason: str) -> None:
        """Change the mode; on disk when it returns."""
        with self._database.write() as connection:
            write_mode(connection, mode, reason)

    def reserve(
        self,
        intent: Intent,
        payload: Payload,
        *,
        chain_nonce: int,
        watched_from: int,
        admit: Admit,
        stake: Stake = NO_STAKE,
        now_s: int = 0,
        nonce: int | None = None,
    ) -> Slot | str:
        """Give `intent` the next nonce, or return the code `admit` refuses it with.

        The gate, the nonce and the worst-case spend are decided in one transaction. The nonce is the highest of
        `chain_nonce` and the one after any slot that is live or was mined in block `watched_from` or later (a node
        that lags behind must not make us use a nonce twice), or `nonce` when that is given: a hole to fill. `now_s` is
        the newest block's time. Raises Failed when the journal shows that nonce as used long ago: then the chain went
        back further than any reorg.
        """
        with self._database.write() as connection:
            live = self.live()
            facts = self._facts(live, self._earlier(intent.key), now_s=now_s, watched_from=watched_from)
            refusal = _ask(connection, admit, facts)
            if refusal is not None:
                return refusal
            if nonce is None:
                nonce = max([chain_nonce, *(slot.nonce + 1 for slot in [*live, *self.mined_since(watched_from)])])
            self._check_unused(nonce)
            slot_id = self._insert_slot(connection, intent, payload, nonce, stake, facts.now_s)
            connection.execute(
                "INSERT INTO history (slot_id, event, detail) VALUES (?, 'reserved', ?)", (slot_id, str(chain_nonce))
            )
        return self.slot(slot_id)

    def reserve_more(self, slot: Slot, *, wei: int, now_s: int, watched_from: int, admit: Admit) -> str | None:
        """Raise what is reserved for `slot` to `wei`, or return the code `admit` refuses it with.

        To be called before a dearer replacement is signed.
        """
        with self._database.write() as connection:
            refusal = _ask(connection, admit, self._facts(self.live(), (), now_s=now_s, watched_from=watched_from))
            if refusal is None:
                connection.execute("UPDATE slots SET reserved_wei = ? WHERE slot_id = ?", (str(wei), slot.slot_id))
                _note(connection, slot, "reserved more", detail=str(wei))
        return refusal

    def holds(self, nonce: int) -> bool:
        """Whether a slot, live or ended, has this nonce; released ones do not count."""
        sql = "SELECT 1 FROM slots WHERE chain_id = ? AND sender = ? AND nonce = ? AND state != 'released'"
        return bool(self._database.rows(sql, (*self._owner, nonce)))

    def add_attempt(self, slot: Slot, attempt: SignedAttempt) -> None:
        """Commit signed bytes before anything leaves the process; from here on they count as possibly sent.

        The very same bytes may have been signed before for a slot that was given back: then they move to this one.
        """
        with self._database.write() as connection:
            connection.execute(
                "DELETE FROM attempts WHERE transaction_hash = ?"
                " AND slot_id IN (SELECT slot_id FROM slots WHERE state = 'released')",
                (attempt.transaction,),
            )
            connection.execute(
                "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
                (
                    attempt.transaction,
                    slot.slot_id,
                    len(slot.attempts),
                    attempt.kind,
                    attempt.raw,
                    attempt.gas_limit,
                    str(attempt.fee_cap_wei),
                    str(attempt.tip_wei),
                    attempt.broadcast,
                    attempt.maybe_known,
                    attempt.last_sent_block,
                    attempt.signed_block,
                ),
            )
            if slot.state == "reserved":
                _set_state(connection, slot, "signed")
            _note(connection, slot, f"signed {attempt.kind}", transaction=attempt.transaction)

    def note_broadcast(
        self, slot: Slot, transaction: str, *, result: BroadcastState, block: int, answer: str, surely_unknown: bool
    ) -> None:
        """Record what a node answered to one broadcast.

        `surely_unknown` says that these bytes were never out before and were refused now; once a node may have them,
        an attempt stays possibly known for ever, whatever is answered to it later.
        """
        with self._database.write() as connection:
            connection.execute(
                "UPDATE attempts SET broadcast = ?, maybe_known = (maybe_known AND NOT ?) OR ?, last_sent_block = ?,"
                " last_answer = ? WHERE transaction_hash = ?",
                (result, surely_unknown, result != "refused", block, answer, transaction),
            )
            if result != "refused" and slot.state in {"reserved", "signed"}:
                _set_state(connection, slot, "sent")
            _note(connection, slot, f"broadcast {result}", transaction=transaction, block=block, detail=answer)

    def release(self, slot: Slot, reason: str) -> None:
        """Give a nonce back that nobody outside has ever seen used."""
        with self._database.write() as connection:
            _set_state(connection, slot, "released")
            _note(connection, slot, "released", detail=reason)

    def finish(
        self, slot: Slot, state: SlotState, receipt: Receipt, entry: LedgerEntry, *, result_usd_e8: int = 0
    ) -> None:
        """End a slot on the evidence of `receipt` and book its ledger entry, both or neither.

        `result_usd_e8` is what it earned less its gas, in 1e-8 US dollars.
        """
        if state not in MINED:
            raise Failed(f"a slot cannot end as {state}")
        with self._database.write() as connection:
            connection.execute(
                "UPDATE slots SET state = ?, mined_transaction = ?, mined_block = ?, mined_block_hash = ?,"
                " gas_paid_wei = ?, result_usd_e8 = ? WHERE slot_id = ?",
                (
                    state,
                    receipt.transaction_hash,
                    receipt.block_number,
                    receipt.block_hash,
                    str(entry.gas_cost_wei),
                    str(result_usd_e8),
                    slot.slot_id,
                ),
            )
            insert_entry(connection, entry, slot.slot_id)
            _note(connection, slot, state, transaction=receipt.transaction_hash, block=receipt.block_number)

    def reopen(self, slot: Slot) -> None:
        """Take back an end whose block is no longer canonical; its ledger entry goes with it."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE slots SET state = 'sent', mined_transaction = NULL, mined_block = NULL,"
                " mined_block_hash = NULL, gas_paid_wei = NULL, result_usd_e8 = NULL WHERE slot_id = ?",
                (slot.slot_id,),
            )
            connection.execute("DELETE FROM ledger WHERE slot_id = ?", (slot.slot_id,))
            _note(connection, slot, "reopened", transaction=slot.transaction, block=slot.block)

    def mark_foreign(self, slot: Slot, block: int) -> None:
        """End a slot whose nonce somebody else's transaction used."""
        with self._database.write() as connection:
            _set_state(connection, slot, "foreign")
            _note(connection, slot, "foreign", block=block)

    def _slots(self, condition: str, values: Iterable[Any]) -> list[Slot]:
        sql = f"{_SLOTS} WHERE slots.chain_id = ? AND slots.sender = ? AND {condition} ORDER BY nonce"
        return _with_attempts(self._database, self._database.rows(sql, (*self._owner, *values)))

    def _check_unused(self, nonce: int) -> None:
        sql = "SELECT state FROM slots WHERE chain_id = ? AND sender = ? AND nonce = ? AND state != 'released'"
        used = self._database.rows(sql, (*self._owner, nonce))
        if used:
            raise Failed(
                f"the chain says nonce {nonce} is free, the journal that it ended as {used[0]['state']}: the chain was "
                f"reset; name another [state] path for it"
            )

    def _facts(self, live: list[Slot], earlier: tuple[SlotState, ...], *, now_s: int, watched_from: int) -> GateFacts:
        return read_facts(
            self._database, self._owner, live=live, earlier=earlier, now_s=now_s, settled_before=watched_from
        )

    def _earlier(self, key: str) -> tuple[SlotState, ...]:
        rows = self._database.rows("SELECT state FROM slots WHERE intent = ? ORDER BY slot_id", (key,))
        return tuple(row["state"] for row in rows)

    def _insert_slot(
        self,
        connection: sqlite3.Connection,
        intent: Intent,
        payload: Payload,
        nonce: int,
        stake: Stake,
        now_s: int,
    ) -> int:
        connection.execute(
            "INSERT INTO intents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
            " expected_raw = excluded.expected_raw, detail = excluded.detail",
            (
                intent.key,
                intent.chain_id,
                intent.sender,
                intent.kind,
                intent.market,
                intent.account,
                intent.profit_token,
                str(intent.expected_raw),
                dump_detail(dict(intent.detail)),
            ),
        )
        cursor = connection.execute(
            "INSERT INTO slots (intent, chain_id, sender, nonce, state, recipient, data, gas_limit, fee_cap_wei,"
            " tip_wei, deadline_block, legacy, reserved_at_s, notional_usd_e8, profit_usd_e8, native_usd_e8,"
            " fee_ceiling_wei, reserved_wei, l1_fee_wei)"
            " VALUES (?, ?, ?, ?, 'reserved', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                intent.key,
                *self._owner,
                nonce,
                payload.to,
                payload.data,
                payload.gas_limit,
                str(payload.fee_cap_wei),
                str(payload.tip_wei),
                payload.deadline_block,
                payload.legacy,
                now_s,
                str(stake.notional_usd_e8),
                str(stake.profit_usd_e8),
                str(stake.native_usd_e8),
                None if stake.fee_ceiling_wei is None else str(stake.fee_ceiling_wei),
                str(payload.worst_case_wei),
                str(payload.l1_fee_wei),
            ),
        )
        return int(cursor.lastrowid or 0)


def all_slots(database: Database) -> list[Slot]:
    """Return the slots of all signers, oldest first."""
    attempts: defaultdict[int, list[sqlite3.Row]] = defaultdict(list)
    for attempt in database.rows("SELECT * FROM attempts ORDER BY slot_id, ordinal"):
        attempts[attempt["slot_id"]].append(attempt)
    rows = database.rows(f"{_SLOTS} ORDER BY slot_id")
    return [to_slot(row, attempts[row["slot_id"]]) for row in rows]


def as_attempt(slot: Slot) -> Attempt:
    """Return the domain's view of a slot: its mined transaction, else the one that replaced all others."""
    newest = slot.newest
    state = slot.state
    if state in {"released", "foreign"}:
        state = "given-up"
    return Attempt(
        intent=slot.intent.key,
        kind=slot.intent.kind,
        market=slot.intent.market,
        account=slot.intent.account,
        nonce=slot.nonce,
        state=state,  # type: ignore[arg-type]  # the two other states were just mapped
        transaction=slot.transaction or (newest.transaction if newest else None),
        block=slot.block,
        fee_cap_wei=newest.fee_cap_wei if newest else slot.payload.fee_cap_wei,
        tip_wei=newest.tip_wei if newest else slot.payload.tip_wei,
        gas_limit=newest.gas_limit if newest else slot.payload.gas_limit,
    )


def _with_attempts(database: Database, rows: Iterable[sqlite3.Row]) -> list[Slot]:
    return [to_slot(row, database.rows(_ATTEMPTS, (row["slot_id"],))) for row in rows]


def _ask(connection: sqlite3.Connection, admit: Admit, facts: GateFacts) -> str | None:
    """Return the gate's refusal; a breaker that trips halts in this very transaction."""
    refusal = admit(facts)
    if isinstance(refusal, Trip):
        write_mode(connection, "halted", refusal.reason)
        return refusal.code
    return refusal


def _set_state(connection: sqlite3.Connection, slot: Slot, state: SlotState) -> None:
    if slot.state not in LIVE:
        raise Failed(f"nonce {slot.nonce} ended as {slot.state} and cannot become {state}")
    connection.execute("UPDATE slots SET state = ? WHERE slot_id = ?", (state, slot.slot_id))


def _note(
    connection: sqlite3.Connection,
    slot: Slot,
    event: str,
    *,
    transaction: str | None = None,
    block: int | None = None,
    detail: str | None = None,
) -> None:
    connection.execute(
        "INSERT INTO history (slot_id, event, transaction_hash, block, detail) VALUES (?, ?, ?, ?, ?)",
        (slot.slot_id, event, transaction, block, detail),
    )
