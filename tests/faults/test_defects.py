"""Mistakes built into the sender on purpose: the lab is worth something only if it finds each of them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import keeper.chain.backfill
import keeper.send.evidence
import keeper.send.sender
from keeper.chain.backfill import LogPage, backfill
from keeper.domain.chain import Head, Log
from keeper.domain.errors import Failed, HistoryMissing, Transient
from keeper.observe import logs
from keeper.send import dialects
from keeper.send.dialects import Answer, read_answer
from keeper.send.settings import SendSettings
from keeper.store import Store, database
from keeper.store.database import Database
from keeper.store.lock import InstanceLock
from tests.conftest import SIZE, TestSize
from tests.faults.fake_chain import POOL, FakeChain
from tests.faults.plants import DEFECTS_OF_SENDING, Defect, Patch
from tests.faults.plants_in_the_journal import DEFECTS_OF_THE_JOURNAL, keep_unwritten
from tests.faults.rig import Rig, plan_for
from tests.faults.test_power_cut import one_cut
from tests.faults.test_secrets import read_all
from tests.faults.world import World, do_drop, do_hide, do_mine, do_restart, do_rival, do_settle, do_submit, play
from tests.support.canaries import ACCESS_KEY, secrets_in, with_access_key

SEED = 6
SCHEDULES = 40
STEPS = 300
DEFECTS = {each.name: each for each in (*DEFECTS_OF_SENDING, *DEFECTS_OF_THE_JOURNAL)}
ALWAYS = (
    "journal after send",
    "new nonce on time-out",
    "nonce from pending",
    "receipt of the newest hash only",
    "not found taken as dropped",
    "missed reorg",
    "half a bump",
    "receipt status ignored",
    "cap checked after signing",
)
"""Beside the three below; `make soak` plants all."""


def find(defect: Defect) -> str | None:
    """Play schedules until one breaks a promise; say which, and how."""
    for seed in range(SEED, SEED + SCHEDULES):
        try:
            play(seed, STEPS, to_the_end=True, plant=defect.into_sender, setting=defect.setting)
        except (AssertionError, Failed) as error:
            return f"seed {seed}: {str(error)[:200]}"
    return None


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", DEFECTS if SIZE == "soak" else ALWAYS)
def test_the_model_finds_each_planted_mistake(name: str, monkeypatch: Patch) -> None:
    defect = DEFECTS[name]
    if defect.into_code is not None:
        defect.into_code(monkeypatch)
    found = find(defect)
    print(found)
    assert found is not None, f"{SCHEDULES} schedules of {STEPS} steps did not find: {name}"


def test_there_are_enough_planted_mistakes() -> None:
    assert len(DEFECTS) >= 40
    assert set(ALWAYS) <= set(DEFECTS)


@pytest.mark.parametrize("setting", sorted({each.setting for each in DEFECTS.values()}, key=repr))
def test_the_same_schedules_find_nothing_in_the_sender_as_it_is(setting: SendSettings, size: TestSize) -> None:
    for seed in range(SEED, SEED + size.pick(quick=1, prove=4, soak=SCHEDULES)):
        play(seed, STEPS, to_the_end=True, setting=setting)


def test_already_known_without_comparing_hashes_is_found(monkeypatch: Patch) -> None:
    ours, other = "0x" + "ab" * 32, "0x" + "cd" * 32

    def is_found() -> bool:
        return read_answer(f"Known transaction: {other}", ours) is not Answer.AMBIGUOUS

    assert not is_found()
    monkeypatch.setattr(dialects, "_is_ours", lambda *_: True)
    assert is_found()


async def test_a_skipped_lock_is_found(tmp_path: Path, monkeypatch: Patch) -> None:
    async def second_one_starts() -> bool:
        first, second = Rig(tmp_path / "state.db"), Rig(tmp_path / "state.db")
        await first.start()
        try:
            await second.start()
        except Failed:
            return False
        finally:
            second.store.close()
            first.stop()
        return True

    assert not await second_one_starts()
    monkeypatch.setattr(InstanceLock, "acquire", lambda _: None)
    assert await second_one_starts()


class Behind:
    """A node that answers about blocks it does not have yet with an empty list of logs."""

    def __init__(self, head_number: int) -> None:
        self.head_number = head_number

    def catch_up(self) -> None:
        self.head_number += 10

    async def block(self, number: int) -> Head:
        if number > self.head_number:
            raise HistoryMissing(f"no block {number}")
        chain = FakeChain()
        return chain.mine(number)

    async def logs(self, *, first: int, last: int, **_: object) -> list[Log]:
        return [
            Log(POOL, (bytes(32),), b"", number, (await self.block(number)).hash, "0x" + "01" * 32, 0)
            for number in range(first, min(last, self.head_number) + 1)
        ]


async def test_a_cursor_moved_on_an_empty_reply_is_found(monkeypatch: Patch) -> None:
    """The logs of blocks 1 to 30 are wanted of a node that has 20, and gets the others later."""

    async def loses_logs() -> bool:
        node, found, cursor = Behind(20), set[int](), 0

        async def take(page: LogPage) -> None:
            nonlocal cursor
            cursor = page.last
            found.update(log.block_number for log in page.logs)

        for _ in range(2):
            with contextlib.suppress(HistoryMissing, Transient):
                await backfill(node, [POOL], [], cursor + 1, 30, on_page=take)  # type: ignore[arg-type]
            node.catch_up()
        assert cursor == 30
        return found != set(range(1, 31))

    monkeypatch.setattr(keeper.chain.backfill, "_BEHIND_PAUSES_S", ())
    assert not await loses_logs()

    async def believe(*_: object) -> str:
        return "0x"

    async def nod(*_: object) -> bool:
        return True

    monkeypatch.setattr(keeper.chain.backfill._Pages, "_known_hash", believe)
    monkeypatch.setattr(keeper.chain.backfill._Pages, "_is_settled", nod)
    assert await loses_logs()


async def test_a_lock_that_holds_for_one_state_file_only_is_found(tmp_path: Path, monkeypatch: Patch) -> None:
    async def second_one_starts() -> bool:
        shared = SendSettings(lock_folder=tmp_path / "locks")
        first, second = (Rig(tmp_path / name, settings=shared) for name in ("a.db", "b.db"))
        await first.start()
        try:
            await second.start()
        except Failed:
            return False
        finally:
            second.store.close()
            first.stop()
        return True

    assert not await second_one_starts()
    lock = Store.instance_lock
    monkeypatch.setattr(
        Store, "instance_lock", lambda self, shared_folder=None, **owner: lock(self, **owner)
    )  # fmt: skip
    assert await second_one_starts()


async def test_commits_in_pieces_are_found(tmp_path: Path, monkeypatch: Patch) -> None:
    """Each statement of a transaction by itself: a power cut finds the state between two of them."""

    async def breaks(folder: Path) -> bool:
        for seed in range(SEED, SEED + 12):
            (turn := folder / str(seed)).mkdir(parents=True)
            try:
                await one_cut(turn, seed)
            except (AssertionError, Failed):
                return True
        return False

    assert not await breaks(tmp_path / "as it is")

    @contextlib.contextmanager
    def write(self: Database) -> Iterator[sqlite3.Connection]:
        yield self._connection

    monkeypatch.setattr(Database, "write", write)
    assert await breaks(tmp_path / "in pieces")


async def test_a_full_disk_that_is_ignored_is_found(tmp_path: Path) -> None:
    async def sends(folder: Path, plant: Callable[[Rig], None] | None) -> bool:
        rig = Rig(folder / "state.db")
        await rig.start()

        def refuse(*_: object) -> None:
            raise Failed("cannot write the state file: disk full")

        rig.sender._journal.add_attempt = refuse  # type: ignore[method-assign]
        if plant is not None:
            plant(rig)
        with contextlib.suppress(Failed):
            await rig.sender.submit(plan_for(1))
        rig.stop()
        return rig.chain.broadcasts != []

    assert not await sends(tmp_path / "a", None)
    assert await sends(tmp_path / "b", keep_unwritten)


async def test_a_journal_others_may_read_is_found(tmp_path: Path, monkeypatch: Patch) -> None:
    async def modes(path: Path) -> set[int]:
        rig = Rig(path)
        await rig.start()
        rig.stop()
        return read_all(path.parent)[1]

    assert await modes(tmp_path / "a" / "state.db") == {0o600}
    monkeypatch.setattr(database, "_make_private", lambda path: path.parent.mkdir(parents=True))
    assert await modes(tmp_path / "b" / "state.db") != {0o600}


def test_a_log_that_masks_nothing_is_found(monkeypatch: Patch) -> None:
    def leaks() -> bool:
        logs.register_secret(ACCESS_KEY)
        return bool(secrets_in(str(logs._redact_line(None, "info", with_access_key("http://x"))).encode()))

    assert not leaks()
    monkeypatch.setattr(logs, "redact_text", lambda text: text)
    assert leaks()


def test_a_foreign_transaction_that_is_waited_for_for_ever_is_found(tmp_path: Path, monkeypatch: Patch) -> None:
    def goes_on(folder: Path) -> bool:
        folder.mkdir()
        world = World(folder)
        do_submit(world, 1, 0, 12, 1)
        do_drop(world)
        do_rival(world)
        for _ in range(8):
            do_settle(world)
            do_mine(world, 1, take=True)
        world.close()
        return not world.stopped

    assert not goes_on(tmp_path / "as it is")
    decide = keeper.send.sender.decide
    monkeypatch.setattr(
        keeper.send.sender,
        "decide",
        lambda slot, seen, settings: decide(slot, seen, replace(settings, foreign_after_blocks=10**9)),
    )
    assert goes_on(tmp_path / "planted")


def test_receipts_that_turn_up_later_and_are_not_taken_up_are_found(tmp_path: Path, monkeypatch: Patch) -> None:
    """A start without receipts stops the sender; the next one, with receipts, has to book what was mined."""
    monkeypatch.setattr(keeper.send.evidence, "_PAUSE_S", 0)

    def loses(folder: Path) -> bool:
        folder.mkdir()
        world = World(folder)
        do_submit(world, 1, 0, 12, 1)
        do_mine(world, 1, take=True)
        do_hide(world, hide=True)
        do_restart(world)
        assert world.stopped
        do_hide(world, hide=False)
        do_restart(world)
        try:
            world.check_end(base_fee_wei=10**9)
        except AssertionError:
            return True
        finally:
            world.close()
        return False

    assert not loses(tmp_path / "as it is")

    async def look_away(*_: object) -> None:
        return None

    monkeypatch.setattr(keeper.send.sender.TransactionSender, "_readopt", look_away)
    assert loses(tmp_path / "planted")
