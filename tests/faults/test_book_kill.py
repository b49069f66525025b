"""SIGKILL while the book is filled, changed and saved: the next start goes on, and nothing differs."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from keeper.chain.backfill import backfill
from keeper.chain.connect import connect
from keeper.devnet.world import World, WorldOptions, open_world
from keeper.domain.chain import Head
from keeper.domain.units import to_address
from keeper.lending.aave_v3.audit import compare_rows
from keeper.lending.aave_v3.reader import AaveV3Market
from keeper.lending.aave_v3.view import AaveV3View
from keeper.lending.book.book import Book
from keeper.lending.book.rows import Row
from keeper.lending.book.saved import dump_book, parse_book
from tests.conftest import TestSize
from tests.support.traffic import Traffic

ROOT = Path(__file__).resolve().parents[2]
SEED = 20261120
READY_S = 2.0


async def drive(world: World, book: Path, *, heads: int, kill_at: int) -> tuple[int, dict[str, Any], str]:
    """Run the driver; return its exit status, what it found and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.faults.book_driver",
        *(world.anvil.http_url, world.market.addresses_provider, str(world.market.start_block)),
        *(str(book), str(heads), str(kill_at)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    found = json.loads(out.splitlines()[-1]) if process.returncode == 0 else {}
    return process.returncode or 0, found, err.decode()[-1500:]


async def from_nothing(
    world: World, at: Head | None = None, book: Path | None = None
) -> tuple[AaveV3Market, AaveV3View, float]:
    """A market read to the newest block, and the seconds that took."""
    async with await connect([world.anvil.http_url], chain_id=31337) as chain:
        head = at or await chain.head()
        began_s = time.monotonic()
        market = AaveV3Market(
            chain,
            name="m",
            addresses_provider=world.market.addresses_provider,
            start_block=world.market.start_block,
            backfill=backfill,
            book_path=book,
        )
        await market.start(head)
        view = await market.advance(head, None)
        took_s = time.monotonic() - began_s
        layout, mirror = market._layout, market._mirror
        assert layout is not None
        numbers = range(len(mirror.book.addresses))
        for start in range(0, len(numbers), 500):
            part = numbers[start : start + 500]
            readings = await mirror.read_accounts(layout, list(view.reserves.values()), part, head)
            for number, reading in readings.items():
                assert list(compare_rows(mirror.book.row(number), reading)) == []
        return market, view, took_s


def as_json(row: Row) -> list[Any]:
    return json.loads(json.dumps(row))  # type: ignore[no-any-return]


async def test_a_kill_anywhere_loses_nothing(size: TestSize, tmp_path: Path) -> None:
    kills, kinds = size.pick(quick=5, prove=50), size.pick(quick=2, prove=3)
    dice = random.Random(SEED)
    places: Counter[str] = Counter()
    book, runs = tmp_path / "m.book", 0
    async with open_world(WorldOptions(borrowers=6, seed=4, venues=False)) as world:
        users = [to_address((0xBEEF000 + number).to_bytes(20, "big")) for number in range(8)]
        traffic = Traffic(world=world, rng=dice, users=users)
        await traffic.begin()
        # Where a kill falls depends on how fast the machine is; a few more make up for a run of equals.
        while sum(places.values()) < kills or (_kinds(places) < kinds and runs < 8 * kills):
            orphaned = await traffic.mark() if dice.random() < 0.3 else None
            for _ in range(dice.randint(1, 4) if orphaned else dice.randint(6, 12)):
                await traffic.block()
            if dice.random() < 0.2:
                book.unlink(missing_ok=True)  # a backfill from the first block on
            runs += 1
            status, _, words = await drive(world, book, heads=4, kill_at=dice.randint(1, 60))
            if status == -signal.SIGKILL:
                places[book.with_suffix(".notes").read_text(encoding="utf-8")] += 1
            else:
                assert status == 0, words
            if orphaned is not None:
                await traffic.return_to(orphaned)
        status, found, words = await drive(world, book, heads=3, kill_at=0)
        assert status == 0, words
        market, _, _ = await from_nothing(world)
        kept = market._mirror.book
        anew = {kept.addresses.address(number).hex(): as_json(row) for number, row in kept.rows() if any(row[1:])}
    print(f"seed {SEED}, {sum(places.values())} kills in {runs} runs at {dict(sorted(places.items()))}")
    assert found["rows"] == anew
    assert found["differences"] == 0
    assert _kinds(places) >= kinds


def _kinds(places: Counter[str]) -> int:
    return len({place.split(":")[0] for place in places})


@pytest.mark.slow
async def test_a_restart_is_ready_at_once(size: TestSize, tmp_path: Path) -> None:
    borrowers = size.pick(quick=400, prove=2_000, soak=10_000)
    book = tmp_path / "m.book"
    async with open_world(WorldOptions(borrowers=borrowers, seed=8, venues=False)) as world:
        _, before, built_s = await from_nothing(world, book=book)
        market, after, ready_s = await from_nothing(world, book=book)
    print(
        f"{borrowers} borrowers: built in {built_s:.2f} s, ready again in {ready_s:.2f} s, {book.stat().st_size} bytes"
    )
    assert market._mirror.restored
    assert len(after.positions) == borrowers
    assert dict(after.positions) == dict(before.positions)
    assert ready_s <= READY_S


def test_ten_thousand_accounts_are_back_from_the_file_at_once() -> None:
    """What grows with the accounts is the file alone: the questions asked at a restart do not."""
    dice = random.Random(SEED)
    kept = Book(0, "")
    for block in range(1, 129):
        kept.begin(block, f"0x{block:064x}")
        for _ in range(80):
            row = Row(0, ((dice.randrange(10), dice.randrange(2**100)),), ((11, dice.randrange(1, 2**90)),), ())
            kept.put(kept.number(dice.randbytes(20)), row)
    content = dump_book(kept, scope="s", unsure=frozenset())
    began_s = time.monotonic()
    found = parse_book(content)
    took_s = time.monotonic() - began_s
    print(f"{len(kept.addresses)} accounts: {len(content)} bytes, read in {took_s:.2f} s")
    assert len(found.book.addresses) == len(kept.addresses) >= 10_000
    assert list(found.book.rows()) == list(kept.rows())
    assert took_s <= READY_S / 2
