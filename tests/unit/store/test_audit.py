"""The audit finds what was done to a journal, and nothing in one that is honest."""

from __future__ import annotations

import pytest

from tests.faults.rig import Rig, plan_for

TAMPERED = [
    ("I1", "DELETE FROM history WHERE event = 'signed plan'"),
    ("I13", "UPDATE slots SET state = 'reverted' WHERE nonce = 0"),
    ("I13", "DELETE FROM ledger"),
    ("I13", "DELETE FROM history WHERE event = 'success'"),
    ("I13", "INSERT INTO history (slot_id, event) VALUES (1, 'forgotten')"),
    ("I13", "INSERT INTO history (slot_id, event) VALUES (77, 'released')"),
    ("I3", "UPDATE slots SET intent = (SELECT intent FROM slots WHERE nonce = 0)"),
    ("I4", "UPDATE slots SET nonce = 9 WHERE nonce = 3"),
    ("I5", "UPDATE attempts SET fee_cap_wei = '3000000001' WHERE ordinal = 1"),
    ("I6", "UPDATE attempts SET gas_limit = 1 WHERE kind = 'plan'"),
    ("I7", "UPDATE slots SET mined_block_hash = NULL"),
    ("I7", "UPDATE slots SET state = 'released' WHERE nonce = 2"),
    ("I8", "UPDATE attempts SET kind = 'cancel' WHERE ordinal = 0"),
    ("I8", "UPDATE slots SET mined_transaction = '0xdead' WHERE nonce = 0"),
    ("I9", "UPDATE slots SET deadline_block = NULL"),
    ("I10", "UPDATE slots SET reserved_wei = '1'"),
    (
        "I11",
        "INSERT INTO history (sequence, slot_id, event) VALUES (0, 0, 'mode halted')",
    ),
    ("I12", "DELETE FROM meta WHERE key LIKE 'genesis:%'"),
    ("I14", "UPDATE slots SET reserved_at_s = 5 WHERE nonce = 3"),
]


@pytest.fixture
async def honest(rig: Rig) -> Rig:
    """A journal with an end, a cancellation, and two nonces in flight."""
    await rig.sender.submit(plan_for(1))
    await rig.sender.settle(rig.chain.mine())
    await rig.sender.submit(plan_for(2, deadline_block=3))
    await rig.sender.settle(rig.chain.mine(2, take=False))
    await rig.sender.settle(rig.chain.mine())
    for number in (3, 4):
        await rig.sender.submit(plan_for(number))
    return rig


def names(rig: Rig) -> set[str]:
    return {each["invariant"] for each in rig.store.audit()["findings"]}


async def test_an_audit_of_an_honest_journal_finds_nothing(honest: Rig) -> None:
    report = honest.store.audit()
    assert report["findings"] == []
    assert (report["slots"], report["attempts"]) == (4, 5)


@pytest.mark.parametrize(("invariant", "statement"), TAMPERED)
async def test_an_audit_finds_what_was_changed(honest: Rig, invariant: str, statement: str) -> None:
    honest.store._database._connection.execute(statement)
    assert invariant in names(honest)


async def test_a_second_success_of_one_intent_is_found(honest: Rig) -> None:
    connection = honest.store._database._connection
    connection.execute("UPDATE slots SET intent = (SELECT intent FROM slots WHERE nonce = 0), state = 'success'")
    assert "I2" in names(honest)


async def test_bytes_of_another_hash_are_found(honest: Rig) -> None:
    findings = honest.store.audit(lambda _: "0x00")["findings"]
    assert {each["invariant"] for each in findings} == {"I1", "I6"}  # the fakes' bytes hold the calldata as text


async def test_a_damaged_file_is_found(honest: Rig) -> None:
    honest.store._database._connection.execute("PRAGMA foreign_keys = OFF")
    honest.store._database._connection.execute("UPDATE attempts SET slot_id = 99 WHERE ordinal = 1")
    assert "file" in names(honest)
