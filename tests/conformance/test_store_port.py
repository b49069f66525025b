"""One suite for every store that implements Ledger."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from keeper.ports import Ledger
from keeper.send.entries import dry_run_entry
from keeper.store import Store, open_store
from tests.faults.fake_chain import make_plan


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = open_store(tmp_path / "deep" / "er" / "state.db" if request.param == "file" else None)
    yield made
    made.close()


def test_it_is_the_port(store: Store) -> None:
    ledger: Ledger = store
    assert (ledger.entries(), ledger.attempts()) == ([], [])


def test_a_dry_run_is_booked_once_per_decision(store: Store) -> None:
    entry = dry_run_entry(make_plan())
    store.book_dry_run(entry)
    store.book_dry_run(replace(entry, intent="another"))
    store.book_dry_run(replace(entry, expected_raw=5))
    assert store.entries() == [replace(entry, intent="another"), replace(entry, expected_raw=5)]


def test_amounts_beyond_64_bits_survive(store: Store) -> None:
    entry = replace(dry_run_entry(make_plan()), expected_raw=2**256 - 1, gas_cost_wei=2**200)
    store.book_dry_run(entry)
    assert store.entries() == [entry]
