"""The brake: written first, obeyed then."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from keeper.domain.attempts import Attempt
from keeper.send.guards import Guards
from keeper.send.settings import SendSettings
from keeper.store import open_store
from keeper.store.records import Mode
from tests.conftest import TestSize
from tests.faults.fake_chain import SIGNER, FakeSigner
from tests.faults.rig import Rig, plan_for

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("mode", "code"), [("halted", "halted"), ("drain", "draining")])
async def test_row_30_after_a_halt_nothing_new_is_reserved(rig: Rig, mode: Mode, code: str) -> None:
    await rig.sender.submit(plan_for(1))
    other = open_store(rig.path)  # as another process does
    other.set_mode(mode, "the test")
    assert await rig.sender.submit(plan_for(2)) == code
    await rig.restart()
    assert await rig.sender.submit(plan_for(2)) == code
    other.set_mode("active", "the test")
    assert isinstance(await rig.sender.submit(plan_for(2)), Attempt)
    assert other.audit()["findings"] == []
    other.close()


async def test_halted_takes_back_what_is_in_flight_and_drain_lets_it_finish(rig: Rig) -> None:
    await rig.sender.submit(plan_for(1))
    rig.store.set_mode("drain", "the test")
    await rig.sender.settle(rig.chain.mine(take=False))
    assert rig.signer.signed == 1
    rig.store.set_mode("halted", "the test")
    await rig.sender.settle(rig.chain.mine(take=False))
    (entry,) = await rig.sender.settle(rig.chain.mine())
    assert (entry.status, rig.signer.signed) == ("given-up", 2)
    assert rig.store.audit()["findings"] == []


@pytest.mark.parametrize("seen_by", ["submit", "settle"])
async def test_row_30_a_halt_file_is_remembered_after_it_is_gone(rig: Rig, tmp_path: Path, seen_by: str) -> None:
    file = tmp_path / "HALT"
    rig.settings = SendSettings(halt_file=file)
    await rig.restart()
    file.touch()
    if seen_by == "submit":
        assert await rig.sender.submit(plan_for(1)) == "halted"
    else:
        await rig.sender.settle(rig.chain.mine())
    file.unlink()
    await rig.restart()
    assert await rig.sender.submit(plan_for(1)) == "halted"
    assert rig.store.mode().reason == f"the file {file} exists"


async def test_row_31_reverts_in_a_row_halt_until_resumed(rig: Rig) -> None:
    rig.settings = SendSettings(guards=Guards(max_consecutive_reverts=2))
    await rig.restart()
    for number in (1, 2):
        rig.chain.fails.add(f"plan {number}".encode())
        assert isinstance(await rig.sender.submit(plan_for(number)), Attempt)
        await rig.sender.settle(rig.chain.mine())
    assert await rig.sender.submit(plan_for(3)) == "breaker_reverts"
    assert (rig.store.mode().mode, rig.signer.signed) == ("halted", 2)
    assert await rig.sender.submit(plan_for(3)) == "halted"
    rig.store.set_mode("active", "resumed")
    assert isinstance(await rig.sender.submit(plan_for(3)), Attempt)
    assert rig.store.audit()["findings"] == []


async def test_the_balance_floor_is_kept_in_the_worst_case(rig: Rig) -> None:
    worst = 400_000 * 3 * 10**9
    rig.settings = SendSettings(guards=Guards(balance_floor_wei=10**18))
    await rig.restart()
    rig.chain.balances[SIGNER] = 10**18 + 2 * worst
    assert isinstance(await rig.sender.submit(plan_for(1)), Attempt)
    assert isinstance(await rig.sender.submit(plan_for(2)), Attempt)
    assert await rig.sender.submit(plan_for(3)) == "below_balance_floor"


class TimedSigner(FakeSigner):
    last_s = 0.0

    def sign(self, **fields: object) -> tuple[bytes, str]:
        self.last_s = time.monotonic()
        return super().sign(**fields)  # type: ignore[arg-type]


HALT = """
import sys, time
from pathlib import Path
from keeper.store import open_store
store = open_store(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
store.set_mode("halted", "the test")
print(time.monotonic(), flush=True)
"""


async def test_row_30_the_last_signature_comes_soon_after_the_halt_is_written(tmp_path: Path, size: TestSize) -> None:
    """Another process halts while plans are submitted as fast as they can be."""
    worst_s = -1.0
    for turn in range(size.pick(quick=3, prove=50)):
        rig = Rig(tmp_path / f"{turn}.db", settings=SendSettings(most_in_flight=10**6))
        rig.signer = TimedSigner()
        await rig.start()
        command = [sys.executable, "-c", HALT, str(rig.path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as brake:  # noqa: ASYNC220 - its lines are awaited between submissions
            assert brake.stdin is not None
            assert brake.stdout is not None
            assert brake.stdout.readline() == "ready\n"
            number, answer = 0, None
            while answer != "halted" and number < 5_000:
                number += 1
                answer = await rig.sender.submit(plan_for(number))
                if number == 20:
                    brake.stdin.write("now\n")
                    brake.stdin.flush()
            halted_s = float(brake.stdout.readline())
        assert answer == "halted"
        worst_s = max(worst_s, rig.signer.last_s - halted_s)
        rig.stop()
    print(f"from the halt on disk to the last signature: {1000 * worst_s:.1f} ms at worst")
    assert worst_s < 0.5
