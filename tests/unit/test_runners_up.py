"""What the next best way of each sent plan would have netted: in the ledger, and never ahead of a send."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from support.lending import address
from support.markets import COLLATERAL, DEBT, Line, LineMarket, span
from support.planning import planner
from support.pool_chain import head

from keeper.daemon import Daemon
from keeper.domain.chain import Head
from keeper.estimate.gas import GasMemory
from keeper.estimate.planner import Planner
from keeper.estimate.service import Estimator
from keeper.send.channels.dry_run import DryRunSender
from keeper.store.store import Store, open_store
from keeper.watch.snapshot import Snapshot
from tests.faults.rig import Rig, plan_for
from tests.unit.estimate.test_simulate import FEES, RunChain, simulator

BIG, SMALL = address(0xA001), address(0xA002)
LINES = {
    BIG: {(DEBT, COLLATERAL): Line((span(1, 10**8),), 110, 100), (DEBT, DEBT): Line((span(1, 10**8),), 105, 100)},
    SMALL: {(DEBT, COLLATERAL): Line((span(1, 8 * 10**7),), 110, 100)},
}


@dataclass
class Stage:
    """Shows a daemon one block, and notes how much was booked when a runner-up came."""

    store: Store = field(default_factory=lambda: open_store(None))
    number: int = 1
    seen: list[tuple[str, int]] = field(default_factory=list)

    async def head(self) -> Head:
        return head(self.number)

    async def advance(self, to: Head) -> Snapshot:
        return Snapshot(head=to, inclusion_s=0, markets={"lines": LineMarket(lines=LINES)}, venues=None, feeds={})

    async def estimator(self, _: Snapshot) -> tuple[Planner, Estimator]:
        book = planner(LineMarket(lines=LINES))
        return book, Estimator(book, simulator(RunChain(), GasMemory()), FEES)

    def note(self, intent: str, net_base: int) -> None:
        self.seen.append((intent, len(self.store.entries())))
        self.store.note_runner_up(intent, net_base)

    def daemon(self, stop: asyncio.Event) -> Daemon:
        return Daemon(
            chain=self,  # type: ignore[arg-type]
            watcher=self,  # type: ignore[arg-type]
            sender=DryRunSender(self.store),
            make_estimator=self.estimator,
            live=False,
            patience_s=0,
            stop=stop,
            note_runner_up=self.note,
        )


async def test_runners_up_are_looked_for_when_everything_is_sent() -> None:
    stage = Stage()
    book = planner(LineMarket(lines=LINES))
    profile = book.profile("lines", BIG)
    assert profile is not None
    assert profile.runner_up is not None
    await stage.daemon(asyncio.Event()).once()
    found = [(entry.account, entry.detail["runner_up_net_base"]) for entry in stage.store.entries()]
    # the second pair of the big one has its turn at last, and then there is no other
    assert found == [(BIG, str(profile.runner_up.net_base)), (SMALL, None), (BIG, None)]
    assert [booked for _, booked in stage.seen] == [3]


async def test_a_newer_head_comes_first() -> None:
    """While there is one the search waits: it is taken up when nothing is left to send on the newest."""
    stage = Stage(number=2)
    daemon = stage.daemon(asyncio.Event())
    await daemon._step(head(1))
    assert stage.seen == []
    await daemon._step(head(2))
    assert stage.seen != []


async def test_the_figure_reaches_what_is_in_flight_and_what_is_booked(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "state.db")
    await rig.start()
    attempt = await rig.sender.submit(plan_for(1))
    assert not isinstance(attempt, str)
    rig.store.note_runner_up(attempt.intent, 7)
    await rig.sender.settle(rig.chain.mine())
    (entry,) = rig.store.entries()
    assert entry.detail["runner_up_net_base"] == "7"
    rig.store.note_runner_up(attempt.intent, 8)
    rig.store.note_runner_up("another", 9)
    (entry,) = rig.store.entries()
    assert entry.detail["runner_up_net_base"] == "8"
    rig.stop()
