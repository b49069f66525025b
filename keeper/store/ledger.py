"""The ledger's rows, and the figures people and scripts read from them."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from keeper.domain.attempts import LedgerEntry
from keeper.store.database import Database
from keeper.store.rows import entry_values, to_entry


def read_entries(database: Database) -> list[LedgerEntry]:
    """Return all entries in the order they were booked."""
    return [to_entry(row) for row in database.rows("SELECT * FROM ledger ORDER BY entry_id")]


def insert_entry(connection: sqlite3.Connection, entry: LedgerEntry, slot_id: int | None) -> None:
    """Add `entry` within the caller's transaction."""
    values = entry_values(entry, slot_id)
    columns = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    connection.execute(f"INSERT INTO ledger ({columns}) VALUES ({marks})", values)  # noqa: S608 - own column names


def book_dry_run(database: Database, entry: LedgerEntry) -> None:
    """Book a dry-run entry; one intent has one, and the newest figures stand."""
    with database.write() as connection:
        connection.execute("DELETE FROM ledger WHERE intent = ? AND status = 'dry-run'", (entry.intent,))
        insert_entry(connection, entry, None)


def note_runner_up(database: Database, intent: str, net_base: int) -> None:
    """Add what the runner-up would have netted to an intent and to what is booked for it already."""
    with database.write() as connection:
        for table, key in (("intents", "key"), ("ledger", "intent")):
            connection.execute(
                f"UPDATE {table} SET detail = json_set(detail, '$.runner_up_net_base', ?) WHERE {key} = ?",  # noqa: S608 - own names
                (str(net_base), intent),
            )


def entry_json(entry: LedgerEntry) -> dict[str, object]:
    """Return the entry as `keeper pnl --json` prints it: amounts are decimal text."""
    return {
        "transaction": entry.transaction,
        "block": entry.block,
        "market": entry.market,
        "account": entry.account,
        "status": entry.status,
        "profit_token": entry.profit_token,
        "expected_raw": str(entry.expected_raw),
        "realised_raw": str(entry.realised_raw),
        "gas_cost_wei": str(entry.gas_cost_wei),
        "kind": entry.kind,
        "detail": entry.detail,
    }


def totals_json(entries: Sequence[LedgerEntry]) -> dict[str, object]:
    """Return sums over `entries`: profit per token, gas, and how many ended in which way.

    What a dry run would have earned stands apart: it is no money.
    """
    mined = [entry for entry in entries if entry.status != "dry-run"]
    dry = [entry for entry in entries if entry.status == "dry-run"]
    return {
        "tokens": _per_token(mined),
        "gas_cost_wei": str(sum(entry.gas_cost_wei for entry in mined)),
        "counts": dict(sorted(Counter(entry.status for entry in entries).items())),
        "dry_run": _per_token(dry),
    }


def pnl_json(entries: Sequence[LedgerEntry]) -> dict[str, object]:
    """Return the document of `keeper pnl --json`."""
    return {"entries": [entry_json(entry) for entry in entries], "totals": totals_json(entries)}


def _per_token(entries: Iterable[LedgerEntry]) -> list[dict[str, str]]:
    expected: defaultdict[str, int] = defaultdict(int)
    realised: defaultdict[str, int] = defaultdict(int)
    for entry in entries:
        if entry.profit_token is not None:
            expected[entry.profit_token] += entry.expected_raw
            realised[entry.profit_token] += entry.realised_raw
    return [
        {"profit_token": token, "expected_raw": str(expected[token]), "realised_raw": str(realised[token])}
        for token in sorted(expected)
    ]
