"""One suite for every store that implements Discoveries and Ledger."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from keeper.domain.units import Address, to_address
from keeper.ports import Discoveries, Ledger
from keeper.send.entries import dry_run_entry
from keeper.store import Store, open_store
from tests.faults.fake_chain import make_plan


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = open_store(tmp_path / "deep" / "er" / "state.db" if request.param == "file" else None)
    yield made
    made.close()


def account(number: int) -> Address:
    return to_address(number.to_bytes(20, "big"))


def test_it_is_both_ports(store: Store) -> None:
    discoveries: Discoveries = store
    ledger: Ledger = store
    assert discoveries.load_accounts("none") is None
    assert (ledger.entries(), ledger.attempts()) == ([], [])


def test_accounts_add_up_and_the_cursor_moves(store: Store) -> None:
    store.save_accounts("a", [account(1), account(2)], 10, "0x10")
    store.save_accounts("a", [account(2), account(3)], 20, "0x20")
    store.save_accounts("b", [], 5, "0x05")
    assert store.load_accounts("a") == (frozenset(map(account, (1, 2, 3))), 20, "0x20")
    assert store.load_accounts("b") == (frozenset(), 5, "0x05")
    assert store.load_accounts("c") is None


def test_a_cursor_may_go_back_after_a_reorg(store: Store) -> None:
    store.save_accounts("a", [account(1)], 10, "0x10")
    store.save_accounts("a", [], 7, "0x07")
    assert store.load_accounts("a") == (frozenset({account(1)}), 7, "0x07")


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
