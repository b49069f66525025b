"""A sender on its chain and its file, what can befall them, and schedules of all that."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sqlite3
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog

from keeper.domain.attempts import Attempt, LedgerEntry
from keeper.domain.errors import Failed, RpcError, Transient
from keeper.domain.plans import Fees, SimulatedPlan
from keeper.send.guards import NO_GUARDS, Caps, Guards
from keeper.send.replacing import Rerun
from keeper.send.settings import SendSettings
from keeper.store import journal, ledger, rows
from keeper.store.records import Slot
from tests.faults import promises
from tests.faults.fake_chain import GWEI, SIGNER, fields_of
from tests.faults.rig import Rig, plan_for

FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - commits there cost no disk
PLAN_WEI = 400_000 * 3 * GWEI
L1_FEE_WEI = 10**12
SETTINGS = SendSettings(
    max_gas_price_wei=40 * GWEI,
    most_in_flight=6,
    most_failures=2,
    watched_blocks=40,
    guards=Guards(
        day=Caps(gas_wei=12 * PLAN_WEI),
        max_consecutive_reverts=4,
        max_drawdown_usd_e8=4_000,
        balance_floor_wei=PLAN_WEI,
    ),
)
ROOMY = SendSettings(most_in_flight=6, watched_blocks=40)
"""Without limits on prices and sums: whatever should be replaced can be."""


class Crash(BaseException):
    """The process ends here; nothing it would have done afterwards happens."""


class World:
    """A sender, its chain and its file, with the faults that can befall them."""

    def __init__(self, folder: Path, setting: SendSettings = SETTINGS) -> None:
        self.loop = asyncio.new_event_loop()
        self.halt_file = folder / "HALT"
        self.rig = Rig(folder / "state.db", settings=replace(setting, halt_file=self.halt_file))
        self.rig.chain.l1_fee_wei = L1_FEE_WEI
        self.rig.chain.balances[SIGNER] = 8 * PLAN_WEI
        self.rig.resimulate = self._rerun
        self.pays = True
        self.stopped = False
        self.crash_in: int | None = None
        self.words = ""
        self.plant: Callable[[Rig], None] | None = None
        self.asked: list[tuple[int, int]] = []
        self.steps = 0
        self.steps_stopped = 0
        self._held: tuple[object, ...] = ()
        self._taken_over: set[int] = set()
        self._started_at = 0
        self.run(self.rig.start)
        self._arm()

    def run(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return self.loop.run_until_complete(work())

    async def _rerun(self, *_: Any) -> Rerun:
        return Rerun(ok=self.pays, profit_raw=2_000, gas_units=300_000)

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

    # --- what the sender does ---------------------------------------------------------------------------------------

    def submit(self, plan: SimulatedPlan) -> None:
        before = promises.look(self.rig)
        found = self._guarded(lambda: self.rig.sender.submit(plan))
        if isinstance(found, Attempt):
            promises.check_admitted(self.rig, plan.plan.account, before)

    def settle(self) -> None:
        before = promises.look(self.rig)
        if self._guarded(lambda: self.rig.sender.settle(self.rig.chain.blocks[-1].head)) is not None:
            promises.check_done(self.rig, before)
            self._check_doubtful(before)
            if self.pays:
                promises.check_at_hand(self.rig)

    def restart(self) -> None:
        before = promises.look(self.rig)
        self.rig.stop()
        self.crash_in = None
        self.rig.chain.receipts_behind = self.rig.chain.nonce_behind = 0  # no node lags for as long as a start may take
        try:
            self.run(self.rig.start)
        except Failed as error:
            self.stopped = True
            self.words = str(error)
            return
        self._arm()
        self.stopped = False
        self._taken_over = {slot_id for slot_id, _, _ in before.live}
        self._started_at = before.sequence
        promises.check_done(self.rig, before)
        self._check_doubtful(before)

    def hold(self) -> None:
        """Hold what has to be true at any moment, except where nothing it looks at has changed since it was held."""
        rig, chain, connection = self.rig, self.rig.chain, self.rig.store._database._connection
        others = connection.execute("PRAGMA data_version").fetchone()[0]
        written = (rig.store, connection.total_changes, others, rig.settings)
        turned = (chain.turns, len(chain.broadcasts), frozenset(chain.fails))
        if self._held[:1] != (written,):
            promises.check_journal(rig)
        if self._held != (written, turned):
            promises.check_chain(rig)
        self._held = (written, turned)

    def _check_doubtful(self, before: promises.Before) -> None:
        setting = self.rig.settings
        if not self.pays and setting.guards == NO_GUARDS and setting.max_gas_price_wei is None:
            reopened = promises.reopened_since(self.rig, self._started_at)
            promises.check_doubtful(self.rig, before, self._taken_over | reopened)

    def _guarded(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
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

    def close(self) -> None:
        self.rig.stop()
        self.loop.close()

    def check_end(self, *, base_fee_wei: int) -> None:
        """Let the world heal, for the last time at a higher base fee, and look at what is left."""
        chain = self.rig.chain
        chain.hide_receipts, chain.swallow, chain.refusing_nodes = False, 0, 0
        chain.receipts_behind = chain.nonce_behind = 0
        chain.answers.clear()
        chain.echoes.clear()
        chain.base_fee_wei = base_fee_wei
        self._pass_blocks(40)
        if self.rig.sender._holes:  # none is filled when halted, or beyond the caps: the operator has to act
            self.rig.store.set_mode("drain", "the model")
            self.rig.settings = replace(self.rig.settings, guards=NO_GUARDS)
            self.restart()
            self._pass_blocks(10)
        assert not self.stopped, f"stopped without a cause: {self.words}"
        promises.check_end(self.rig)

    def _pass_blocks(self, blocks: int) -> None:
        for _ in range(blocks):
            self.settle()
            self.rig.chain.mine()
        self.settle()


# --- what can befall them -------------------------------------------------------------------------------------------

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
ECHOES = (
    Transient("bad gateway"),
    RpcError(-32000, "already known"),
    RpcError(-32000, "nonce too low"),
    RpcError(-32000, "something new"),
)
"""Said after the bytes were taken, as by a gateway that asked twice."""


def do_submit(world: World, number: int, epoch: int, deadline: int, gwei: int) -> None:
    head = world.rig.chain.blocks[-1].head
    fees = Fees(fee_cap_wei=3 * GWEI + gwei, tip_wei=GWEI, expected_wei=2 * GWEI)
    plan = plan_for(number, epoch=f"e{epoch}", deadline_block=head.number + deadline, fees=fees, head=head)
    world.asked.append((number, epoch))
    # the gas of every other plan has a price that can use up its profit
    price_base = 500_000 if number % 2 else 1
    calldata = f"plan {number} in {epoch}".encode()
    world.submit(replace(plan, calldata=calldata, native_price_base=price_base, l1_reserve_wei=2 * L1_FEE_WEI))


def do_submit_again(world: World, back: int, deadline: int, gwei: int) -> None:
    """Ask once more for one of the plans asked for lately."""
    if world.asked:
        number, epoch = world.asked[-1 - back % min(len(world.asked), 4)]
        do_submit(world, number, epoch, deadline, gwei)


def do_settle(world: World) -> None:
    world.settle()


def do_mine(world: World, blocks: int, *, take: bool) -> None:
    world.rig.chain.mine(blocks, take=take)


def do_reorg(world: World, depth: int, *, keep_pool: bool, fork: str, shorter: int = 0) -> None:
    chain = world.rig.chain
    depth = min(depth, len(chain.blocks) - 1)
    if depth > 0:
        chain.reorg(depth, keep_pool=keep_pool, fork=fork, shorter=shorter)
        for place, raw in list(chain.pool.items()):
            if fields_of(raw)["data"] == promises.RIVAL.hex():
                del chain.pool[place]  # nobody sends it again
    _let_strangers_be_seen(world)


def do_drop(world: World) -> None:
    world.rig.chain.pool.clear()


def do_rival(world: World) -> None:
    world.rig.chain.use_nonce_elsewhere()


def do_stranger(world: World, epoch: int, *, gone: bool, mode: str) -> None:
    """Somebody uses a nonce while nothing of ours is in flight; a reorg may undo that below what is sent next."""
    journal, free = world.rig.sender._journal, world.rig.chain._next_nonce(SIGNER)
    # a reorg nobody told the sender of puts what it holds for mined in flight again
    taken_back = any(slot.nonce >= free for slot in journal.mined_since(0))
    if taken_back or journal.live() or world.rig.chain.pool:
        return
    do_lag(world, 0, 0)  # who lags would not hear of it, and use the same nonce
    do_rival(world)
    do_settle(world)
    if gone:
        do_submit(world, epoch % 6, epoch, 12, 1)
        do_reorg(world, 1, keep_pool=False, fork="s")
        do_mode(world, mode)
        for _ in range(2):
            do_settle(world)


def do_reorg_unseen(world: World, depth: int, blocks: int) -> None:
    """The chain turns, and goes on, while no sender runs."""
    do_reorg(world, depth, keep_pool=False, fork="u")
    do_mine(world, blocks, take=False)
    do_restart(world)


def do_crash(world: World, after: int) -> None:
    world.crash_in = after


def do_restart(world: World) -> None:
    world.restart()


def do_answer(world: World, kind: int) -> None:
    if len(world.rig.chain.answers) < 4:
        world.rig.chain.answers.append(ANSWERS[kind])


def do_echo(world: World, kind: int) -> None:
    world.rig.chain.echoes.append(ECHOES[kind % len(ECHOES)])


def do_refuse_elsewhere(world: World, times: int) -> None:
    world.rig.chain.refusing_nodes = times


def do_swallow(world: World) -> None:
    world.rig.chain.swallow = 1


def do_lag(world: World, receipts: int, nonce: int) -> None:
    world.rig.chain.receipts_behind, world.rig.chain.nonce_behind = receipts, nonce
    _let_strangers_be_seen(world)


def _let_strangers_be_seen(world: World) -> None:
    """No node lags behind a stranger's block: told of an older nonce the sender would use it, and have to stop."""
    chain, since = world.rig.chain, 0
    for block in reversed(chain.blocks):
        if any(fields_of(raw)["data"] == promises.RIVAL.hex() for raw in block.transactions):
            break
        since += 1
    chain.nonce_behind = min(chain.nonce_behind, since)


def do_keep_old(world: World) -> None:
    world.rig.chain.keeps_old = 2


def do_mode(world: World, mode: Any) -> None:
    world.rig.store.set_mode(mode, "the model")


def do_halt_file(world: World) -> None:
    world.halt_file.touch()
    do_settle(world)
    world.halt_file.unlink()


def do_fee(world: World, gwei: int) -> None:
    world.rig.chain.base_fee_wei = gwei * GWEI


def do_pays(world: World, *, pays: bool) -> None:
    world.pays = pays


def do_reverts(world: World, number: int, epoch: int) -> None:
    world.rig.chain.fails ^= {f"plan {number} in {epoch}".encode()}


def do_reverts_next(world: World, number: int, epoch: int) -> None:
    """Of the plans on their way one fails; which plans fail is never changed after they were mined."""
    waiting = [fields_of(raw)["data"] for raw in world.rig.chain.pool.values()]
    plans = sorted({data for data in waiting if data})
    if plans:
        world.rig.chain.fails.add(bytes.fromhex(plans[(number + epoch) % len(plans)]))


def do_hide(world: World, *, hide: bool) -> None:
    world.rig.chain.hide_receipts = hide


# --- schedules ------------------------------------------------------------------------------------------------------

FAULTS_THAT_STOP = {"hide"}


def moves(dice: random.Random) -> Iterator[tuple[str, Callable[[World], None]]]:
    """Yield one schedule: what happens, in words that say all of it."""
    while True:
        number, epoch = dice.randrange(6), dice.randrange(400)
        yield _pick(dice, number, epoch)


def _pick(dice: random.Random, number: int, epoch: int) -> tuple[str, Callable[[World], None]]:
    turn = dice.randrange(141)
    deadline, depth, after, blocks = dice.randint(1, 12), dice.randint(1, 6), dice.randrange(14), dice.randint(1, 3)
    flag, kind, gwei = dice.random() < 0.5, dice.randrange(len(ANSWERS)), dice.randint(1, 12)
    shorter, fork = depth // 2 if kind < 2 else 0, f"f{gwei}"
    mode = "halted" if kind < 2 else "active"
    table: list[tuple[int, str, Callable[[World], None]]] = [
        (25, f"submit {number} {epoch} {deadline}", lambda w: do_submit(w, number, epoch, deadline, gwei)),
        (60, f"mine {blocks} {flag}", lambda w: (do_mine(w, blocks, take=flag or kind < 5), do_settle(w))[0]),
        (66, "settle", do_settle),
        (72, f"reorg {depth} {flag} {gwei}", lambda w: do_reorg(w, depth, keep_pool=flag, fork=fork, shorter=shorter)),
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
        (107, f"submit again {number} {deadline}", lambda w: do_submit_again(w, number, deadline, gwei)),
        (109, f"echo {kind}", lambda w: do_echo(w, kind)),
        (111, f"refuse elsewhere {number}", lambda w: do_refuse_elsewhere(w, number)),
        (113, f"lag {kind % 3} {number % 3}", lambda w: do_lag(w, kind % 3, number % 3)),
        (115, f"stranger {epoch} {flag}", lambda w: do_stranger(w, epoch, gone=flag, mode=mode)),
        (116, "halt file", do_halt_file),
        (118, "active", lambda w: do_mode(w, "active")),
        (120, f"reverts {epoch}", lambda w: do_reverts_next(w, epoch, number)),
        (123, f"echo {kind}", lambda w: do_echo(w, kind)),
        (127, f"lag {kind % 3} {number % 3}", lambda w: do_lag(w, kind % 3, number % 3)),
        (130, f"stranger {epoch} {flag}", lambda w: do_stranger(w, epoch, gone=flag, mode=mode)),
        (133, f"reorg unseen {depth} {blocks}", lambda w: do_reorg_unseen(w, depth, blocks)),
        (135, "drop", do_drop),
        (141, f"reverts {number} {epoch}", lambda w: do_reverts_next(w, number, epoch)),
    ]  # fmt: skip
    return next((name, act) for limit, name, act in table if turn < limit)


@contextlib.contextmanager
def quick_reading() -> Iterator[None]:
    """Make each record of the journal once: the same row gives the same record. And log nothing."""
    slots: dict[object, Slot] = {}
    entries: dict[object, LedgerEntry] = {}

    def to_slot(row: sqlite3.Row, attempts: Sequence[sqlite3.Row]) -> Slot:
        key = (tuple(row), *map(tuple, attempts))
        return slots.get(key) or slots.setdefault(key, rows.to_slot(row, attempts))

    def to_entry(row: sqlite3.Row) -> LedgerEntry:
        key = tuple(row)
        return entries.get(key) or entries.setdefault(key, rows.to_entry(row))

    logging_as_it_was = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(journal, "to_slot", to_slot)
            patch.setattr(ledger, "to_entry", to_entry)
            yield
    finally:
        structlog.configure(**logging_as_it_was)


class Played(NamedTuple):
    """A digest of everything that left and was written, plans that landed, steps, of these with the sender stopped."""

    told: str
    landed: int
    steps: int
    steps_stopped: int


def play(
    seed: int,
    steps: int,
    *,
    to_the_end: bool = False,
    plant: Callable[[Rig], None] | None = None,
    setting: SendSettings = SETTINGS,
) -> Played:
    """Run one schedule; return what came of it.

    `to_the_end` leaves out the faults that rightly stop the sender, and looks at what is left when all have healed.
    """
    with quick_reading(), tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        world = World(Path(folder), setting)
        try:
            world.plant = plant
            world.restart()
            _run(world, seed, steps, to_the_end=to_the_end)
            database = world.rig.store._database
            told = [
                tuple(row)
                for table in ("slots", "attempts", "history")
                for row in database.rows(f"SELECT * FROM {table}")  # noqa: S608 - three names of our own
            ]
            written = repr((world.rig.chain.broadcasts, told)).replace(folder, "")  # its name is new each time
            landed = promises.plan_counts(world.rig).total()
            return Played(sha256(written.encode()).hexdigest(), landed, world.steps, world.steps_stopped)
        finally:
            world.close()


def _run(world: World, seed: int, steps: int, *, to_the_end: bool) -> None:
    schedule = moves(random.Random(seed))
    for _ in range(steps):
        name, act = next(schedule)
        if to_the_end and name.split()[0] in FAULTS_THAT_STOP:
            continue
        world.steps += 1
        world.steps_stopped += world.stopped
        try:
            act(world)
            world.hold()
            assert not (to_the_end and world.stopped), f"stopped without a cause: {world.words}"
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, at {name}: {error}") from error
    if to_the_end:
        limit_wei = world.rig.settings.max_gas_price_wei or 40 * GWEI
        world.check_end(base_fee_wei=GWEI if seed % 2 else min(12 * GWEI, limit_wei // 3))
