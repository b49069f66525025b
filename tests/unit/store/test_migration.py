"""A file of an older format becomes one of the present format, whole or not at all."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from keeper.domain.errors import ConfigError
from keeper.store import open_store
from keeper.store.records import Stake
from keeper.store.schema import APPLICATION_ID, FIRST_TABLES, STEPS, VERSION
from tests.faults.fake_chain import CHAIN_ID, SIGNER

ROWS = (
    """
    INSERT INTO intents
    VALUES ('k', 31337, '0x5151515151515151515151515151515151515151', 'liquidation', 'main', NULL, NULL, '1000', '{}')
    """,
    """
    INSERT INTO slots (slot_id, intent, chain_id, sender, nonce, state, recipient, data, gas_limit, fee_cap_wei,
                       tip_wei, deadline_block)
    SELECT 1, key, chain_id, sender, 7, 'sent', NULL, x'01', 100, '30', '2', 50 FROM intents
    """,
    "INSERT INTO attempts VALUES ('0xaa', 1, 0, 'plan', x'02', 100, '30', '2', 'accepted', 1, 12, NULL)",
    "INSERT INTO history (slot_id, event) VALUES (1, 'reserved')",
    "INSERT INTO history (slot_id, event, transaction_hash) VALUES (1, 'signed plan', '0xaa')",
    "INSERT INTO history (slot_id, event, transaction_hash) VALUES (1, 'broadcast accepted', '0xaa')",
    "INSERT INTO meta VALUES ('genesis:31337', '0x00')",
)
SECOND_FORMAT = Path(__file__).with_name("format_2.sql")
UNUSED = (
    """
    CREATE TABLE discoveries (scope TEXT NOT NULL, account TEXT NOT NULL, PRIMARY KEY (scope, account)) STRICT,
        WITHOUT ROWID
    """,
    "CREATE TABLE cursors (scope TEXT PRIMARY KEY, last_block INTEGER NOT NULL, block_hash TEXT NOT NULL) STRICT",
)
"""Tables that formats 1 and 2 were made with, and that nothing reads."""


def first_format(path: Path, *more: str) -> Path:
    connection = sqlite3.connect(path)
    for statement in (*FIRST_TABLES, *UNUSED, *ROWS, *more):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()
    return path


def second_format(path: Path) -> Path:
    connection = sqlite3.connect(path)
    connection.executescript(SECOND_FORMAT.read_text(encoding="utf-8"))
    connection.close()
    return path


def shape_of(path: Path) -> tuple[list[object], object]:
    """Return tables and indices, but for those that nothing reads, and the format."""
    connection = sqlite3.connect(path)
    unused = "('discoveries', 'cursors')"
    rows = connection.execute(f"SELECT * FROM sqlite_master WHERE tbl_name NOT IN {unused} ORDER BY name").fetchall()  # noqa: S608
    version = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return [(kind, name, " ".join((sql or "").split())) for kind, name, _, _, sql in rows], version


def test_row_40_everything_in_an_old_file_is_there_afterwards(tmp_path: Path) -> None:
    store = open_store(first_format(tmp_path / "state.db"))
    (slot,) = store.journal(chain_id=CHAIN_ID, sender=SIGNER).live()
    assert (slot.nonce, slot.state, slot.worst_case_wei, slot.payload.legacy) == (7, "sent", 3_000, False)
    (attempt,) = slot.attempts
    assert (attempt.transaction, attempt.signed_block, attempt.last_sent_block) == ("0xaa", 12, 12)
    assert store.audit()["findings"] == []
    assert store.mode().mode == "active"
    store.close()


def test_everything_in_a_file_of_the_second_format_is_there_afterwards(tmp_path: Path) -> None:
    path = second_format(tmp_path / "state.db")
    store = open_store(path)
    journal = store.journal(chain_id=CHAIN_ID, sender=SIGNER)
    (slot,) = journal.live()
    assert (slot.nonce, slot.state, slot.block, slot.payload.data) == (7, "sent", None, b"\x02")
    assert (slot.payload.fee_cap_wei, slot.payload.l1_fee_wei, slot.worst_case_wei) == (40, 0, 4_000)
    assert slot.stake == Stake(notional_usd_e8=600, profit_usd_e8=100, native_usd_e8=7, fee_ceiling_wei=90)
    assert [(each.kind, each.fee_cap_wei, each.signed_block) for each in slot.attempts] == [
        ("plan", 30, 12),
        ("bump", 40, 14),
    ]
    mined, dry = store.entries()
    assert (mined.status, mined.realised_raw, mined.gas_cost_wei) == ("success", 901, 2_500)
    assert mined.detail == {"note": "kept"}
    assert (dry.status, dry.intent) == ("dry-run", "dry")
    assert [(each.nonce, each.state) for each in store.attempts()] == [(6, "success"), (7, "sent")]
    assert store.genesis_hash(CHAIN_ID) == "0x00"
    assert store.audit()["findings"] == []
    store.close()
    open_store(path).close()  # and once more, as a file of the present format


def test_a_new_file_and_a_migrated_one_have_the_same_tables(tmp_path: Path) -> None:
    paths = (tmp_path / "new.db", first_format(tmp_path / "first.db"), second_format(tmp_path / "second.db"))
    for path in paths:
        open_store(path).close()
    new, *migrated = (shape_of(path) for path in paths)
    assert migrated == [new, new]
    assert new[1] == (VERSION,)


def test_a_migration_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = first_format(tmp_path / "state.db")
    before = path.read_bytes()
    monkeypatch.setitem(STEPS, 1, (*STEPS[1], "INSERT INTO nowhere VALUES (1)"))
    with pytest.raises(ConfigError, match="cannot be used"):
        open_store(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    open_store(path).close()


def test_an_old_file_with_dangling_rows_is_refused(tmp_path: Path) -> None:
    dangling = "INSERT INTO attempts VALUES ('0xbb', 99, 0, 'plan', x'02', 1, '1', '1', 'accepted', 1, 1, NULL)"
    path = first_format(tmp_path / "state.db", dangling)
    with pytest.raises(ConfigError, match="is damaged"):
        open_store(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()
