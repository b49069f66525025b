"""A power cut within a commit: the log ends in a torn write, and the next start goes on from the commit before."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keeper.send.settings import SendSettings
from keeper.store import open_store
from tests.conftest import TestSize
from tests.faults.fake_chain import SIGNER, transaction_hash
from tests.faults.rig import Rig, plan_for

SEED = 6
PLANS = 6
COMMITS = ("reserve", "reserve_more", "add_attempt", "note_broadcast", "finish", "release", "reopen")


class PowerCut(BaseException):
    """The machine is off; nothing that would have been done afterwards happens."""


class Socket:
    """Cuts the power at the chosen commit: of what it appended to the log, a random part is on the disk."""

    def __init__(self, rig: Rig, folder: Path, at: int, dice: random.Random) -> None:
        self.rig, self.folder, self.left, self.dice = rig, folder, at, dice
        journal = rig.sender._journal
        for name in COMMITS:
            setattr(journal, name, self._cutting(getattr(journal, name)))

    def _cutting(self, commit: Callable[..., Any]) -> Callable[..., Any]:
        def around(*given: Any, **named: Any) -> Any:
            log = self.rig.path.with_name(f"{self.rig.path.name}-wal")
            before = log.stat().st_size
            result = commit(*given, **named)
            self.left -= 1
            if self.left:
                return result
            shutil.copy(self.rig.path, self.folder)
            content = log.read_bytes()
            torn = content[: self.dice.randint(before, len(content))]
            (self.folder / log.name).write_bytes(torn + self.dice.choice([b"", bytes(4096), self.dice.randbytes(700)]))
            raise PowerCut

        return around


async def live(rig: Rig, dice: random.Random) -> None:
    """Send and settle until the power goes, or all is done."""
    try:
        for number in range(PLANS):
            await rig.sender.submit(plan_for(number, deadline_block=10**6))
            if dice.random() < 0.6:
                await rig.sender.settle(rig.chain.mine(take=dice.random() < 0.7))
    except PowerCut:
        pass


async def one_cut(folder: Path, seed: int) -> str:
    """Return at which commit the power went; fail when anything is untrue, lost or done twice afterwards."""
    dice = random.Random(seed)
    rig = Rig(folder / "state.db", settings=SendSettings(bump_after_blocks=2))
    await rig.start()
    (after := folder / "after").mkdir()
    socket = Socket(rig, after, dice.randint(1, 30), dice)
    await live(rig, dice)
    rig.stop()
    if socket.left > 0:
        return "never"
    rig.path = after / "state.db"
    store = open_store(rig.path)
    findings = store.audit()["findings"]
    store.close()
    assert findings == [], findings
    await rig.start()
    for number in range(PLANS):
        await rig.sender.submit(plan_for(number, deadline_block=10**6))
    while rig.sender.in_flight():
        await rig.sender.settle(rig.chain.mine())
    rows = rig.store._database.rows("SELECT transaction_hash FROM attempts")
    signed = {row["transaction_hash"] for row in rows}
    rig.stop()
    assert {transaction_hash(raw) for raw in rig.chain.broadcasts} <= signed
    plans = Counter(one["data"] for one in rig.chain.mined() if one["sender"] == SIGNER and one["data"])
    assert plans == {f"plan {number}".encode().hex(): 1 for number in range(PLANS)}
    return "cut"


async def test_row_26_a_power_cut_within_a_commit_loses_nothing_and_doubles_nothing(
    tmp_path: Path, size: TestSize
) -> None:
    ends: Counter[str] = Counter()
    for number in range(size.pick(quick=20, prove=300)):
        (folder := tmp_path / str(number)).mkdir()
        ends[await one_cut(folder, SEED + number)] += 1
    print(f"seed {SEED}: {dict(ends)}")
    assert ends["cut"] > sum(ends.values()) // 2
