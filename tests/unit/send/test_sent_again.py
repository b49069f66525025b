"""Bytes whose ground may have shifted (of an earlier run, or reorged) are run again before they are sent again."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from keeper.domain.chain import Head
from keeper.domain.errors import RpcError, Transient
from keeper.send.replacing import Rerun
from keeper.store.records import Slot
from tests.faults.fake_chain import SIGNER
from tests.faults.rig import Rig, plan_for

Happened = Callable[[Rig, Any], Awaitable[list[str]]]
WORKS = Rerun(ok=True, profit_raw=1_000, gas_units=300_000)
REVERTS = Rerun(ok=False)


class Rerunner:
    """Answers always the same, and remembers what it was asked."""

    def __init__(self, answer: Rerun | Exception) -> None:
        self.answer = answer
        self.asked: list[bytes] = []

    async def __call__(self, slot: Slot, earlier: Sequence[bytes], head: Head) -> Rerun:
        self.asked.append(slot.payload.data)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def after_a_restart(rig: Rig, rerunner: Rerunner) -> list[str]:
    """The calldata of what the next run hands out."""
    await rig.sender.submit(plan_for(1))
    rig.resimulate = rerunner
    before = len(rig.chain.broadcasts)
    await rig.restart()
    return [json.loads(raw)["data"] for raw in rig.chain.broadcasts[before:]]


async def after_a_reorg(rig: Rig, rerunner: Rerunner) -> list[str]:
    """The calldata of what goes out when the chain has taken a mined plan back."""
    rig.resimulate = rerunner
    await rig.restart()
    await rig.sender.submit(plan_for(1))
    await rig.sender.settle(rig.chain.mine())
    assert rerunner.asked == []
    before = len(rig.chain.broadcasts)
    for turn in range(2):
        await rig.sender.settle(rig.chain.reorg(1, keep_pool=False, fork=str(turn)))
        await rig.sender.settle(rig.chain.mine(take=False))
    return [json.loads(raw)["data"] for raw in rig.chain.broadcasts[before:]]


@pytest.mark.parametrize("happened", [after_a_restart, after_a_reorg])
async def test_what_would_revert_now_is_taken_back(rig: Rig, happened: Happened) -> None:
    rerunner = Rerunner(REVERTS)
    sent = await happened(rig, rerunner)
    assert rerunner.asked[0] == b"plan 1"
    assert set(sent) == {""}
    (entry,) = await rig.sender.settle(rig.chain.mine())
    assert entry.status == "given-up"
    assert json.loads(rig.chain.broadcasts[-1])["to"] == SIGNER


@pytest.mark.parametrize("happened", [after_a_restart, after_a_reorg])
@pytest.mark.parametrize("answer", [WORKS, Transient("timed out")], ids=["works", "cannot be told"])
async def test_what_still_works_or_cannot_be_told_is_sent_as_it_is(
    rig: Rig, happened: Happened, answer: Rerun | Exception
) -> None:
    rerunner = Rerunner(answer)
    sent = await happened(rig, rerunner)
    assert rerunner.asked[0] == b"plan 1"
    assert set(sent) == {b"plan 1".hex()}
    (entry,) = await rig.sender.settle(rig.chain.mine())
    assert entry.status == "success"


async def test_a_halted_start_takes_back_what_is_in_flight(rig: Rig) -> None:
    await rig.sender.submit(plan_for(1))
    rig.store.set_mode("halted", "the test")
    before = len(rig.chain.broadcasts)
    await rig.restart()
    assert [json.loads(raw)["data"] for raw in rig.chain.broadcasts[before:]] == [""]


async def test_bytes_that_were_surely_refused_can_be_signed_again(rig: Rig) -> None:
    rig.chain.answers.append(RpcError(-32000, "txpool is full"))
    assert await rig.sender.submit(plan_for(1)) == "pool_full"
    await rig.sender.submit(plan_for(1))
    (entry,) = await rig.sender.settle(rig.chain.mine())
    assert (entry.status, len(set(rig.chain.broadcasts))) == ("success", 1)
    assert rig.store.audit()["findings"] == []
