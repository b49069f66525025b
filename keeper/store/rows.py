"""Rows to records. A row that does not parse ends the process: a journal is never guessed at."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import orjson

from keeper.domain.attempts import LedgerEntry
from keeper.domain.errors import Failed
from keeper.domain.units import Address, to_address
from keeper.store.records import Intent, Payload, SignedAttempt, Slot, Stake


def dump_detail(detail: object) -> str:
    """Return `detail` as JSON text; integers outside 64 bits have to be text already."""
    return orjson.dumps(detail, option=orjson.OPT_SORT_KEYS).decode()


def to_slot(row: sqlite3.Row, attempts: Sequence[sqlite3.Row]) -> Slot:
    """Return the slot of a row that joins `slots` and `intents`. Raises Failed when it is damaged."""
    try:
        return Slot(
            slot_id=row["slot_id"],
            intent=_intent(row),
            nonce=row["nonce"],
            state=row["state"],
            payload=Payload(
                to=_address(row["recipient"]),
                data=_blob(row["data"]),
                gas_limit=row["gas_limit"],
                fee_cap_wei=int(row["fee_cap_wei"]),
                tip_wei=int(row["tip_wei"]),
                deadline_block=row["deadline_block"],
                legacy=bool(row["legacy"]),
                l1_fee_wei=int(row["l1_fee_wei"]),
            ),
            transaction=row["mined_transaction"],
            block=row["mined_block"],
            block_hash=row["mined_block_hash"],
            attempts=tuple(_attempt(attempt) for attempt in attempts),
            stake=Stake(
                notional_usd_e8=int(row["notional_usd_e8"]),
                profit_usd_e8=int(row["profit_usd_e8"]),
                native_usd_e8=int(row["native_usd_e8"]),
                fee_ceiling_wei=_number(row["fee_ceiling_wei"]),
            ),
            reserved_at_s=row["reserved_at_s"],
            reserved_wei=_number(row["reserved_wei"]),
        )
    except (ValueError, TypeError, IndexError) as error:
        raise Failed(f"the state file is damaged: a slot of nonce {row['nonce']} cannot be read: {error}") from error


def to_entry(row: sqlite3.Row) -> LedgerEntry:
    """Return the ledger entry of a row. Raises Failed when it is damaged."""
    try:
        return LedgerEntry(
            intent=row["intent"],
            kind=row["kind"],
            transaction=row["transaction_hash"],
            block=row["block"],
            market=row["market"],
            account=_address(row["account"]),
            status=row["status"],
            profit_token=_address(row["profit_token"]),
            expected_raw=int(row["expected_raw"]),
            realised_raw=int(row["realised_raw"]),
            gas_cost_wei=int(row["gas_cost_wei"]),
            detail=orjson.loads(row["detail"]),
        )
    except (ValueError, TypeError, IndexError) as error:
        raise Failed(f"the state file is damaged: ledger entry {row['entry_id']} cannot be read: {error}") from error


def entry_values(entry: LedgerEntry, slot_id: int | None) -> dict[str, Any]:
    """Return the column values of `entry`."""
    return {
        "slot_id": slot_id,
        "intent": entry.intent,
        "kind": entry.kind,
        "transaction_hash": entry.transaction,
        "block": entry.block,
        "market": entry.market,
        "account": entry.account,
        "status": entry.status,
        "profit_token": entry.profit_token,
        "expected_raw": str(entry.expected_raw),
        "realised_raw": str(entry.realised_raw),
        "gas_cost_wei": str(entry.gas_cost_wei),
        "detail": dump_detail(entry.detail),
    }


def _intent(row: sqlite3.Row) -> Intent:
    return Intent(
        key=row["intent"],
        chain_id=row["chain_id"],
        sender=to_address(row["sender"]),
        kind=row["kind"],
        market=row["market"],
        account=_address(row["account"]),
        profit_token=_address(row["profit_token"]),
        expected_raw=int(row["expected_raw"]),
        detail=orjson.loads(row["detail"]),
    )


def _attempt(row: sqlite3.Row) -> SignedAttempt:
    return SignedAttempt(
        transaction=row["transaction_hash"],
        kind=row["kind"],
        raw=_blob(row["raw"]),
        gas_limit=row["gas_limit"],
        fee_cap_wei=int(row["fee_cap_wei"]),
        tip_wei=int(row["tip_wei"]),
        broadcast=row["broadcast"],
        maybe_known=bool(row["maybe_known"]),
        last_sent_block=row["last_sent_block"],
        signed_block=row["signed_block"],
    )


def _blob(value: object) -> bytes:
    if not isinstance(value, bytes):  # a number would be taken for that many bytes
        raise ValueError(f"not bytes: {value!r:.40}")
    return value


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _address(text: str | None) -> Address | None:
    return None if text is None else to_address(text)
