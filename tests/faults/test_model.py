"""The sender against a model of the world: any order of faults, and every promise checked after each step.

Rules are the things that can happen; the invariants I1 to I14 of docs/reliability.md are checked on the journal by its
own audit, and on the chain by counting. One seed is one schedule.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from keeper.domain.errors import Failed
from tests.conftest import TestSize
from tests.faults import promises
from tests.faults.parts import note, seeds
from tests.faults.rig import Rig
from tests.faults.world import (
    ANSWERS,
    FOLDER,
    World,
    do_answer,
    do_crash,
    do_drop,
    do_echo,
    do_fee,
    do_halt_file,
    do_hide,
    do_keep_old,
    do_lag,
    do_mine,
    do_mode,
    do_pays,
    do_reorg,
    do_restart,
    do_reverts,
    do_rival,
    do_settle,
    do_stranger,
    do_submit,
    do_swallow,
    play,
)

SEED = 6
STEPS = 50


class Model(RuleBasedStateMachine):
    """Hypothesis chooses the order; shrinking finds the shortest that breaks something."""

    world: World

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory(dir=FOLDER)
        self.world = World(Path(self.folder.name))

    @rule(number=st.integers(0, 5), epoch=st.integers(0, 3), deadline=st.integers(1, 12), gwei=st.integers(0, 3))
    def submit(self, number: int, epoch: int, deadline: int, gwei: int) -> None:
        do_submit(self.world, number, epoch, deadline, gwei)

    @rule()
    def settle(self) -> None:
        do_settle(self.world)

    @rule(blocks=st.integers(1, 4), take=st.booleans())
    def mine(self, blocks: int, take: bool) -> None:
        do_mine(self.world, blocks, take=take)
        do_settle(self.world)

    @rule(depth=st.integers(1, 6), keep_pool=st.booleans(), fork=st.text("ab", min_size=1, max_size=3))
    def reorg(self, depth: int, keep_pool: bool, fork: str) -> None:
        do_reorg(self.world, depth, keep_pool=keep_pool, fork=fork)

    @rule()
    def drop(self) -> None:
        do_drop(self.world)

    @rule(after=st.integers(0, 12))
    def crash(self, after: int) -> None:
        do_crash(self.world, after)

    @rule()
    def restart(self) -> None:
        do_restart(self.world)

    @rule(kind=st.integers(0, len(ANSWERS) - 1))
    def answer(self, kind: int) -> None:
        do_answer(self.world, kind)

    @rule()
    def swallow(self) -> None:
        do_swallow(self.world)

    @rule()
    def keep_old(self) -> None:
        do_keep_old(self.world)

    @rule(mode=st.sampled_from(["active", "active", "drain", "halted"]))
    def mode(self, mode: str) -> None:
        do_mode(self.world, mode)

    @rule(gwei=st.integers(1, 12))
    def fee(self, gwei: int) -> None:
        do_fee(self.world, gwei)

    @rule(pays=st.booleans())
    def pays(self, pays: bool) -> None:
        do_pays(self.world, pays=pays)

    @rule(number=st.integers(0, 5), epoch=st.integers(0, 3))
    def reverts(self, number: int, epoch: int) -> None:
        do_reverts(self.world, number, epoch)

    @rule()
    def rival(self) -> None:
        do_rival(self.world)

    @rule(hide=st.booleans())
    def hide(self, hide: bool) -> None:
        do_hide(self.world, hide=hide)

    @rule(kind=st.integers(0, 3))
    def echo(self, kind: int) -> None:
        do_echo(self.world, kind)

    @rule(receipts=st.integers(0, 2), nonce=st.integers(0, 2))
    def lag(self, receipts: int, nonce: int) -> None:
        do_lag(self.world, receipts, nonce)

    @rule()
    def halt_file(self) -> None:
        do_halt_file(self.world)

    @invariant()
    def promises_hold(self) -> None:
        if hasattr(self, "world"):
            promises.check_always(self.world.rig)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.close()
            self.folder.cleanup()


@pytest.mark.timeout(7200)
def test_the_model_keeps_every_promise(size: TestSize) -> None:
    examples = size.pick(quick=60, prove=600)
    run_state_machine_as_test(
        Model,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


# --- many more steps, without shrinking -------------------------------------------------------------------------------


def test_a_schedule_replays_bit_equal() -> None:
    assert play(SEED, 300) == play(SEED, 300)
    assert play(SEED, 300) != play(SEED + 1, 300)


def test_the_schedules_stranger_leaves_a_nonce_of_ours_alone_that_a_reorg_freed_unseen(tmp_path: Path) -> None:
    """Somebody who takes it is a cause to stop, and `to_the_end` promises that there is none."""
    world = World(tmp_path)
    do_submit(world, 1, 0, 12, 1)
    for _ in range(6):
        do_mine(world, 1, take=True)
        do_settle(world)
    assert world.rig.sender.in_flight() == []
    do_reorg(world, 6, keep_pool=False, fork="u")
    do_stranger(world, 0, gone=False, mode="active")
    assert world.rig.chain.mined() == []
    do_mine(world, 1, take=False)
    do_settle(world)
    assert [attempt.nonce for attempt in world.rig.sender.in_flight()] == [0]
    world.close()


def test_a_stranger_on_the_nonce_of_a_plan_that_a_reorg_took_back_stops_the_sender(tmp_path: Path) -> None:
    world = World(tmp_path)
    do_submit(world, 1, 0, 12, 1)
    for _ in range(6):
        do_mine(world, 1, take=True)
        do_settle(world)
    assert [entry.status for entry in world.rig.store.entries()] == ["success"]
    do_reorg(world, 6, keep_pool=False, fork="u")
    do_rival(world)
    for _ in range(6):
        do_settle(world)
        do_mine(world, 1, take=True)
    assert world.stopped
    assert "nonce 0 of" in world.words
    assert world.rig.store.entries() == []
    assert [one["data"] for one in world.rig.chain.mined()] == [promises.RIVAL.hex()]
    world.close()


def test_a_stranger_a_lagging_node_does_not_tell_of_stops_the_sender(tmp_path: Path) -> None:
    """The plan is signed with a nonce that is used already; with the answer lost nobody can tell whether it is out."""
    world = World(tmp_path)
    do_rival(world)
    world.rig.chain.nonce_behind = 1
    do_crash(world, 6)  # told that the nonce is too low, and not there any more to write it down
    do_submit(world, 1, 0, 12, 1)
    for _ in range(6):
        do_settle(world)
        do_mine(world, 1, take=True)
    assert world.stopped
    assert "nonce 0 of" in world.words
    assert world.rig.store.entries() == []
    world.close()


@pytest.mark.parametrize("seed", [750, 1444, 1518])
def test_no_node_of_the_schedules_hides_a_stranger(seed: int) -> None:
    """In these a node lagged behind the stranger's block, and the sender stopped as it has to."""
    play(seed, 300, to_the_end=True)


def test_a_lag_ends_where_a_stranger_was_also_when_blocks_go_away(tmp_path: Path) -> None:
    world = World(tmp_path)
    do_rival(world)
    do_mine(world, 3, take=True)
    do_lag(world, 0, 2)
    assert world.rig.chain.nonce_behind == 2
    do_reorg(world, 3, keep_pool=False, fork="s", shorter=2)
    assert world.rig.chain.nonce_behind == 1
    world.close()


@pytest.mark.timeout(7200)
def test_many_steps_keep_every_promise(size: TestSize) -> None:
    schedules = size.pick(quick=10, prove=570, soak=33_000)
    counts, broken = Counter[str](), []
    for seed in (turns := seeds(SEED, schedules)):
        try:
            played = play(seed, 300, to_the_end=(seed - SEED) % 2 == 0)
        except (AssertionError, Failed) as error:  # the other seeds are played all the same
            broken.append(f"seed {seed}: {error}")
            note("model", seed, {}, str(error))
            continue
        found = {"steps": played.steps, "with the sender stopped": played.steps_stopped, "landed": played.landed}
        note("model", seed, found)
        counts.update(found)
    print(f"seeds {turns}: {dict(counts)}")
    assert broken == []
    assert counts["landed"] > len(turns)


def all_that_is_held(rig: Rig) -> dict[str, object]:
    """Everything the promises are held against, as far as it can change."""
    database, tables = rig.store._database, ("slots", "intents", "attempts", "history", "ledger", "meta")
    written = [tuple(row) for table in tables for row in database.rows(f"SELECT * FROM {table}")]  # noqa: S608
    mined = [(block.head.hash, tuple(block.transactions)) for block in rig.chain.blocks]
    return {"journal": written, "chain": [written, mined, set(rig.chain.broadcasts), set(rig.chain.fails)]}


def test_what_is_not_looked_at_again_has_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`World.hold` looks at a promise again only after a change; here every step is compared with the last look."""
    looked: dict[str, object] = {}

    def look(name: str) -> Callable[[Rig], None]:
        return lambda rig: looked.update({name: all_that_is_held(rig)[name]})

    def hold_and_compare(world: World) -> None:
        hold(world)
        assert looked == all_that_is_held(world.rig)

    hold = World.hold
    monkeypatch.setattr(promises, "check_journal", look("journal"))
    monkeypatch.setattr(promises, "check_chain", look("chain"))
    monkeypatch.setattr(World, "hold", hold_and_compare)
    for seed in range(SEED, SEED + 4):
        play(seed, 150, to_the_end=seed % 2 == 0)
