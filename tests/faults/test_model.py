"""The sender against a model of the world: any order of faults, and every promise checked after each step.

Rules are the things that can happen; the invariants I1 to I14 of docs/reliability.md are checked on the journal by its
own audit, and on the chain by counting. One seed is one schedule.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from keeper.domain.errors import Failed, RpcError, Transient
from keeper.domain.plans import Fees
from keeper.send.guards import Caps, Guards
from keeper.send.replacing import Rerun
from keeper.send.settings import SendSettings
from tests.conftest import TestSize
from tests.faults.fake_chain import GWEI, SIGNER, transaction_hash
from tests.faults.rig import Rig, plan_for

SEED = 6
STEPS = 50
PLAN_WEI = 400_000 * 3 * GWEI
CAP_WEI = 12 * PLAN_WEI
SETTINGS = SendSettings(
    max_gas_price_wei=40 * GWEI,
    most_in_flight=6,
    watched_blocks=40,
    guards=Guards(day=Caps(gas_wei=CAP_WEI), max_consecutive_reverts=4),
)


class Crash(BaseException):
    """The process ends here; nothing it would have done afterwards happens."""


class World:
    """A sender, its chain and its file, with the faults that can befall them."""

    def __init__(self, folder: Path, setting: SendSettings = SETTINGS) -> None:
        self.loop = asyncio.new_event_loop()
        self.rig = Rig(folder / "state.db", settings=setting)
        self.rig.resimulate = self._rerun
        self.pays = True
        self.halted_at: int | None = None
        self.stopped = False
        self.crash_in: int | None = None
        self.words = ""
        self.plant: Callable[[Rig], None] | None = None
        self.run(self.rig.start)
        self._arm()

    def run(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return self.loop.run_until_complete(work())

    async def _rerun(self, *_: Any) -> Rerun:
        return Rerun(ok=self.pays, profit_raw=1_000, gas_units=300_000)

    def _arm(self) -> None:
        """Let the process die before or after any step that is on the way out."""
        sender = self.rig.sender
        for owner in (sender._journal, sender._wire._channel):
            for name in ("reserve", "reserve_more", "add_attempt", "broadcast", "note_broadcast", "release", "finish"):
                if hasattr(owner, name):
                    setattr(owner, name, self._watched(getattr(owner, name)))
        if self.plant is not None:  # around the watched steps: a mistake may change their order
            self.plant(self.rig)

    def _watched(self, step: Callable[..., Any]) -> Callable[..., Any]:
        if asyncio.iscoroutinefunction(step):

            async def around(*args: Any, **kwargs: Any) -> Any:
                self._pass()
                result = await step(*args, **kwargs)
                self._pass()
                return result

            return around

        def before_and_after(*args: Any, **kwargs: Any) -> Any:
            self._pass()
            result = step(*args, **kwargs)
            self._pass()
            return result

        return before_and_after

    def _pass(self) -> None:
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in < 0:
                self.crash_in = None
                raise Crash

    def guarded(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Do something with the sender; a crash is followed by a restart."""
        if self.stopped:
            return None
        try:
            return self.run(work)
        except Crash:
            self.restart()
        except Failed as error:
            self.stopped = True  # a human is asked for: nothing more is sent
            self.words = str(error)
        return None

    def restart(self) -> None:
        self.rig.stop()
        self.crash_in = None
        try:
            self.run(self.rig.start)
        except Failed as error:
            self.stopped = True
            self.words = str(error)
            return
        self._arm()
        self.stopped = False

    def close(self) -> None:
        self.rig.stop()
        self.loop.close()

    def plan_counts(self) -> Counter[str]:
        """How often each plan is on the chain."""
        mined = [one for one in self.rig.chain.mined() if one["sender"] == SIGNER and one["data"]]
        return Counter(one["data"] for one in mined)

    def check(self) -> None:
        """Hold every promise against the journal and the chain."""
        findings = self.rig.store.audit()["findings"]
        assert findings == [], findings
        signed = {
            row["transaction_hash"] for row in self.rig.store._database.rows("SELECT transaction_hash FROM attempts")
        }
        for raw in [
            *self.rig.chain.broadcasts,
            *(raw for block in self.rig.chain.blocks for raw in block.transactions),
        ]:
            ours = json.loads(raw)["data"] != b"rival".hex()
            assert not ours or transaction_hash(raw) in signed, "I1: bytes left that are not in the journal"
        assert all(count == 1 for data, count in self.plan_counts().items() if data != b"rival".hex()), "I2"
        self._check_cap()

    def check_end(self) -> None:
        """Let the world heal, and compare the journal with the chain: nothing is lost, nothing is booked wrongly."""
        chain = self.rig.chain
        chain.hide_receipts, chain.swallow, chain.base_fee_wei = False, 0, GWEI
        chain.answers.clear()
        for _ in range(40):
            do_settle(self)
            chain.mine()
        do_settle(self)
        assert not self.stopped, f"stopped without a cause: {self.words}"
        assert self.rig.sender.in_flight() == [], "lost: something is in flight for ever"
        booked = {entry.transaction: entry.status for entry in self.rig.store.entries()}
        mined = {"0x" + sha256(raw).hexdigest(): raw.decode() for block in chain.blocks for raw in block.transactions}
        assert set(booked) == set(mined), "the ledger and the chain differ"
        for transaction, text in mined.items():
            data = bytes.fromhex(json.loads(text)["data"])
            status = "given-up" if not data else "reverted" if data in chain.fails else "success"
            assert booked[transaction] == status, f"booked as {booked[transaction]}, was {status}"

    def _check_cap(self) -> None:
        rows = self.rig.store._database.rows(
            "SELECT coalesce(gas_paid_wei, '0') AS paid, reserved_wei, state FROM slots WHERE state != 'released'"
        )
        live = {"reserved", "signed", "sent"}
        assert sum(int(row["reserved_wei"] if row["state"] in live else row["paid"]) for row in rows) <= CAP_WEI, "cap"


ANSWERS = (
    None,
    Transient("timed out"),
    RpcError(-32000, "already known"),
    RpcError(-32000, "nonce too low"),
    RpcError(-32000, "replacement transaction underpriced"),
    RpcError(-32000, "insufficient funds"),
    RpcError(-32000, "txpool is full"),
    RpcError(-32000, "something new"),
)


def do_submit(world: World, number: int, epoch: int, deadline: int, gwei: int) -> None:
    head = world.rig.chain.blocks[-1].head
    fees = Fees(fee_cap_wei=3 * GWEI + gwei, tip_wei=GWEI, expected_wei=2 * GWEI)
    plan = plan_for(number, epoch=f"e{epoch}", deadline_block=head.number + deadline, fees=fees, head=head)
    plan = replace(plan, calldata=f"plan {number} in {epoch}".encode())
    world.guarded(lambda: world.rig.sender.submit(plan))


def do_settle(world: World) -> None:
    world.guarded(lambda: world.rig.sender.settle(world.rig.chain.blocks[-1].head))


def do_mine(world: World, blocks: int, *, take: bool) -> None:
    world.rig.chain.mine(blocks, take=take)


def do_reorg(world: World, depth: int, *, keep_pool: bool, fork: str) -> None:
    depth = min(depth, len(world.rig.chain.blocks) - 1)
    if depth > 0:
        world.rig.chain.reorg(depth, keep_pool=keep_pool, fork=fork)


def do_drop(world: World) -> None:
    world.rig.chain.pool.clear()


def do_rival(world: World) -> None:
    world.rig.chain.use_nonce_elsewhere()


def do_crash(world: World, after: int) -> None:
    world.crash_in = after


def do_restart(world: World) -> None:
    world.restart()


def do_answer(world: World, kind: int) -> None:
    if len(world.rig.chain.answers) < 4:
        world.rig.chain.answers.append(ANSWERS[kind])


def do_swallow(world: World) -> None:
    world.rig.chain.swallow = 1


def do_keep_old(world: World) -> None:
    world.rig.chain.keeps_old = 2


def do_mode(world: World, mode: Any) -> None:
    world.rig.store.set_mode(mode, "the model")


def do_fee(world: World, gwei: int) -> None:
    world.rig.chain.base_fee_wei = gwei * GWEI


def do_pays(world: World, *, pays: bool) -> None:
    world.pays = pays


def do_reverts(world: World, number: int, epoch: int) -> None:
    world.rig.chain.fails ^= {f"plan {number} in {epoch}".encode()}


def do_reverts_next(world: World, number: int, epoch: int) -> None:
    """Of the plans on their way one fails; which plans fail is never changed after they were mined."""
    waiting = [json.loads(raw)["data"] for raw in world.rig.chain.pool.values()]
    plans = sorted({data for data in waiting if data})
    if plans:
        world.rig.chain.fails.add(bytes.fromhex(plans[(number + epoch) % len(plans)]))


def do_hide(world: World, *, hide: bool) -> None:
    world.rig.chain.hide_receipts = hide


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

    @invariant()
    def promises_hold(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

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


FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - commits there cost no disk
FAULTS_THAT_STOP = {"hide"}


def moves(dice: random.Random) -> Iterator[tuple[str, Callable[[World], None]]]:
    """Yield one schedule: what happens, in words that say all of it."""
    while True:
        number, epoch = dice.randrange(6), dice.randrange(400)
        yield _pick(dice, number, epoch)


def _pick(dice: random.Random, number: int, epoch: int) -> tuple[str, Callable[[World], None]]:
    turn = dice.randrange(100)
    deadline, depth, after, blocks = dice.randint(1, 12), dice.randint(1, 6), dice.randrange(14), dice.randint(1, 3)
    flag, kind, gwei = dice.random() < 0.5, dice.randrange(len(ANSWERS)), dice.randint(1, 12)
    table: list[tuple[int, str, Callable[[World], None]]] = [
        (25, f"submit {number} {epoch} {deadline}", lambda w: do_submit(w, number, epoch, deadline, gwei)),
        (60, f"mine {blocks} {flag}", lambda w: (do_mine(w, blocks, take=flag or kind < 5), do_settle(w))[0]),
        (66, "settle", do_settle),
        (72, f"reorg {depth} {flag} {gwei}", lambda w: do_reorg(w, depth, keep_pool=flag, fork=f"f{gwei}")),
        (74, "drop", do_drop),
        (80, f"crash {after}", lambda w: do_crash(w, after)),
        (82, "restart", do_restart),
        (88, f"answer {kind}", lambda w: do_answer(w, kind)),
        (89, "swallow", do_swallow),
        (90, "keep old", do_keep_old),
        (92, f"mode {kind}", lambda w: do_mode(w, "halted" if kind == 0 else "drain" if kind == 1 else "active")),
        (95, f"fee {gwei}", lambda w: do_fee(w, gwei)),
        (97, f"pays {flag}", lambda w: do_pays(w, pays=flag)),
        (98, f"reverts {number}", lambda w: do_reverts_next(w, number, epoch)),
        (100, f"hide {flag}", lambda w: do_hide(w, hide=flag and kind < 2)),
    ]
    return next((name, act) for limit, name, act in table if turn < limit)


def play(
    seed: int, steps: int, *, to_the_end: bool = False, plant: Callable[[Rig], None] | None = None
) -> tuple[str, int]:
    """Run one schedule; return a digest of everything that left and everything written, and how many plans landed.

    `to_the_end` leaves out the faults that rightly stop the sender, and looks at what is left when all have healed.
    """
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        world = World(Path(folder))
        try:
            world.plant = plant
            world.restart()
            _run(world, seed, steps, to_the_end=to_the_end)
            database = world.rig.store._database
            rows = [
                tuple(row)
                for table in ("slots", "attempts", "history")
                for row in database.rows(f"SELECT * FROM {table}")  # noqa: S608 - three names of our own
            ]
            told = sha256(repr((world.rig.chain.broadcasts, rows)).encode()).hexdigest()
            return told, sum(world.plan_counts().values())
        finally:
            world.close()


def _run(world: World, seed: int, steps: int, *, to_the_end: bool) -> None:
    schedule = moves(random.Random(seed))
    for _ in range(steps):
        name, act = next(schedule)
        if to_the_end and name.split()[0] in FAULTS_THAT_STOP:
            continue
        act(world)
        try:
            world.check()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, at {name}: {error}") from error
    if to_the_end:
        world.check_end()


def test_a_schedule_replays_bit_equal() -> None:
    assert play(SEED, 300) == play(SEED, 300)
    assert play(SEED, 300) != play(SEED + 1, 300)


@pytest.mark.timeout(7200)
def test_many_steps_keep_every_promise(size: TestSize) -> None:
    schedules = size.pick(quick=10, prove=570, soak=33_000)
    landed = sum(play(SEED + number, 300, to_the_end=number % 2 == 0)[1] for number in range(schedules))
    print(f"seed {SEED}, {schedules} schedules of 300 steps, {landed} plans landed")
    assert landed > schedules
