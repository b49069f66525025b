"""What the sender promises, held against the journal and the chain without asking the code that keeps it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from keeper.domain.chain import Receipt
from keeper.send.guards import NO_GUARDS
from tests.faults.fake_chain import SIGNER, fields_of, transaction_hash
from tests.faults.rig import Rig

RIVAL = b"rival"
ENDS = ("success", "reverted", "given-up")


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What was there before the sender did something; `live` are (slot, account, worst case) in flight."""

    mode: str
    has_halt_file: bool
    sequence: int
    broadcasts: int
    live: tuple[tuple[int, str | None, int], ...]


def look(rig: Rig) -> Before:
    """Remember what is there."""
    live = rig.sender._journal.live()
    return Before(
        mode=rig.store.mode().mode,
        has_halt_file=rig.settings.halt_file is not None and rig.settings.halt_file.exists(),
        sequence=_rows(rig, "SELECT coalesce(max(sequence), 0) AS s FROM history")[0]["s"],
        broadcasts=len(rig.chain.broadcasts),
        live=tuple((slot.slot_id, slot.intent.account, slot.worst_case_wei) for slot in live),
    )


def plan_counts(rig: Rig) -> Counter[str]:
    """How often each plan is on the chain."""
    mined = [one for one in rig.chain.mined() if one["sender"] == SIGNER and one["data"]]
    return Counter(one["data"] for one in mined if one["data"] != RIVAL.hex())


# --- after every step -----------------------------------------------------------------------------------------------


def check_always(rig: Rig) -> None:
    """Hold what has to be true at any moment."""
    check_journal(rig)
    check_chain(rig)


def check_journal(rig: Rig) -> None:
    """Hold what the journal alone can show: it changes only when something is written."""
    findings = rig.store.audit()["findings"]
    assert findings == [], findings
    attempts = _rows(rig, "SELECT * FROM attempts JOIN slots USING (slot_id)")
    _check_attempts(rig, attempts)
    _check_known(rig, attempts)
    _check_cap(rig)


def check_chain(rig: Rig) -> None:
    """Hold what the chain, and all that ever left for it, shows of the journal."""
    _check_bytes(rig, {row["transaction_hash"] for row in _rows(rig, "SELECT transaction_hash FROM attempts")})
    counts = plan_counts(rig)
    fails = {data.hex() for data in rig.chain.fails}
    assert all(count == 1 for data, count in counts.items() if data not in fails), "I2: a plan is mined twice"
    most = rig.settings.most_failures
    assert all(count <= most for data, count in counts.items() if data in fails), "a plan failed too often"


def _check_bytes(rig: Rig, signed: Collection[str]) -> None:
    mined = [raw for block in rig.chain.blocks for raw in block.transactions]
    for raw in {*rig.chain.broadcasts, *mined}:
        ours = fields_of(raw)["data"] != RIVAL.hex()
        assert not ours or transaction_hash(raw) in signed, "I1: bytes left that are not in the journal"


def _check_attempts(rig: Rig, attempts: list[Any]) -> None:
    most_wei = rig.settings.max_gas_price_wei
    for row in attempts:
        deadline, kind, fields = row["deadline_block"], row["kind"], fields_of(row["raw"])
        assert fields["nonce"] == row["nonce"], "signed with another nonce than was reserved"
        assert most_wei is None or int(row["fee_cap_wei"]) <= most_wei, "a price above the limit was signed"
        late = deadline is not None and kind != "cancel" and row["signed_block"] >= deadline
        assert not late, f"I9: a {kind} was signed that can only land after its deadline"
        assert kind != "cancel" or fields["to"] == SIGNER, "a cancellation went to somebody else"


def _check_known(rig: Rig, attempts: list[Any]) -> None:
    """Bytes that were out once, or may have been, are never again taken for bytes that nobody knows."""
    told = _rows(rig, "SELECT * FROM history WHERE event IN ('broadcast accepted', 'broadcast ambiguous')")
    out = {(row["slot_id"], row["transaction_hash"]) for row in told}
    for row in attempts:
        known = (row["slot_id"], row["transaction_hash"]) in out
        assert row["maybe_known"] or not known, "I7: it is forgotten that bytes may be out"


def _check_cap(rig: Rig) -> None:
    cap_wei = rig.settings.guards.day.gas_wei
    rows = _rows(rig, "SELECT coalesce(gas_paid_wei, '0') AS paid, reserved_wei, state FROM slots")
    live = {"reserved", "signed", "sent"}
    spent = [row["reserved_wei"] if row["state"] in live else row["paid"] for row in rows if row["state"] != "released"]
    assert cap_wei is None or sum(map(int, spent)) <= cap_wei, "cap"


# --- after what the sender did ---------------------------------------------------------------------------------------


def check_admitted(rig: Rig, account: str, before: Before) -> None:
    """Hold what has to be true of a plan that was just taken."""
    setting, guards = rig.settings, rig.settings.guards
    assert (before.mode, before.has_halt_file) == ("active", False), f"I11: taken in mode {before.mode}"
    assert account not in {owner for _, owner, _ in before.live}, "two plans for one account in flight"
    assert len(before.live) < setting.most_in_flight, "too many in flight"
    worst_wei = sum(slot.worst_case_wei for slot in rig.sender._journal.live())
    assert worst_wei <= rig.chain.balances[SIGNER] - guards.balance_floor_wei, "the balance floor is not kept"
    ended = _ended_since_resume(rig)
    reverts = [state for state, _ in ended if state != "given-up"][-(guards.max_consecutive_reverts or 0) :]
    assert not guards.max_consecutive_reverts or reverts != ["reverted"] * guards.max_consecutive_reverts, "breaker"
    totals = [sum(result for _, result in ended[:count]) for count in range(len(ended) + 1)]
    lost = max(totals) - totals[-1]
    assert guards.max_drawdown_usd_e8 is None or lost < guards.max_drawdown_usd_e8, f"drawdown {lost}"


def check_done(rig: Rig, before: Before) -> None:
    """Hold what has to be true of anything the sender did with what is in flight."""
    events = _rows(rig, "SELECT * FROM history WHERE sequence > ?", before.sequence)
    halted = before.mode == "halted" or before.has_halt_file
    dearer = [row["event"] for row in events if row["event"] in {"signed plan", "signed bump"}]
    assert not halted or not dearer, f"I11: {dearer} while everything is halted"
    assert not before.has_halt_file or rig.store.mode().mode == "halted", "I11: the halt file is not remembered"
    head = rig.chain.blocks[-1].head
    for row in events:
        deep = row["event"] not in ENDS or head.number - row["block"] + 1 >= rig.settings.confirmations
        assert deep, "I7: ended before it was deep enough"


def check_at_hand(rig: Rig) -> None:
    """What is not mined is with the nodes: it was handed out lately, and at a price that fits where that is free."""
    head, chain, settings = rig.chain.blocks[-1].head, rig.chain, rig.settings
    used = chain._next_nonce(SIGNER, behind=chain.nonce_behind)
    free = settings.guards == NO_GUARDS and settings.max_gas_price_wei is None
    for slot in rig.sender._journal.live():
        newest = slot.newest
        if slot.nonce < used or newest is None:
            continue
        assert newest.last_sent_block is not None, "signed and not handed out"
        assert head.number - newest.last_sent_block <= settings.resend_after_blocks, "not handed out again"
        cheap = newest.kind == "cancel" and newest.fee_cap_wei < head.base_fee_wei
        assert not (free and cheap), "a cancellation that no longer fits is left as it is"


def check_doubtful(rig: Rig, before: Before, doubtful: Collection[int]) -> None:
    """No plan whose ground has shifted goes out again when its simulation says that it would revert."""
    owners = {row["transaction_hash"]: row["slot_id"] for row in _rows(rig, "SELECT * FROM attempts")}
    for raw in rig.chain.broadcasts[before.broadcasts :]:
        slot_id = owners.get(transaction_hash(raw))
        assert slot_id not in doubtful or not fields_of(raw)["data"], "a plan that reverts now was handed out again"


def reopened_since(rig: Rig, sequence: int) -> set[int]:
    """Name the slots a reorg opened again after event `sequence`."""
    rows = _rows(rig, "SELECT slot_id FROM history WHERE event = 'reopened' AND sequence > ?", sequence)
    return {row["slot_id"] for row in rows}


# --- when all has healed ---------------------------------------------------------------------------------------------


def check_end(rig: Rig) -> None:
    """Compare the journal with the chain: nothing is lost, nothing is booked wrongly."""
    assert rig.sender.in_flight() == [], "lost: something is in flight for ever"
    booked = {entry.transaction: entry for entry in rig.store.entries()}
    mined = {
        transaction_hash(raw): (block.head, raw)
        for block in rig.chain.blocks
        for raw in block.transactions
        if fields_of(raw)["data"] != RIVAL.hex()
    }
    assert set(booked) == set(mined), "the ledger and the chain differ"
    for transaction, (head, raw) in mined.items():
        entry, receipt = booked[transaction], rig.chain._receipt(head, raw, transaction)
        status = _status(raw, receipt)
        assert entry.status == status, f"booked as {entry.status}, was {status}"
        assert entry.gas_cost_wei == receipt.cost_wei, "booked at another cost than was paid"
        earned = 1_001 if status == "success" and entry.kind == "liquidation" else 0
        assert entry.realised_raw == earned, f"booked {entry.realised_raw} as earned"


def _status(raw: bytes, receipt: Receipt) -> str:
    fields = fields_of(raw)
    if not fields["data"]:
        return "given-up"
    return "success" if receipt.ok else "reverted"


def _ended_since_resume(rig: Rig) -> list[tuple[str, int]]:
    """Return (state, result) of the liquidations since the last resume, lowest nonce first."""
    resumed = _rows(rig, "SELECT value FROM meta WHERE key = 'resumed_after_slot'")
    rows = _rows(
        rig,
        "SELECT * FROM slots JOIN intents ON intents.key = slots.intent WHERE slot_id > ? ORDER BY nonce",
        int(resumed[0]["value"]) if resumed else 0,
    )
    return [
        (row["state"], int(row["result_usd_e8"] or 0))
        for row in rows
        if row["state"] in ENDS and row["kind"] == "liquidation"
    ]


def _rows(rig: Rig, sql: str, *values: object) -> list[Any]:
    return rig.store._database.rows(sql, values)
