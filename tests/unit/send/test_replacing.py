"""What happens to a plan that is not mined."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from keeper.domain.attempts import Attempt
from keeper.domain.chain import Head
from keeper.domain.errors import Transient
from keeper.domain.plans import Fees
from keeper.send.guards import Caps, Guards
from keeper.send.replacing import Rerun
from keeper.send.settings import SendSettings
from keeper.store.records import Slot
from tests.faults.fake_chain import GWEI, SIGNER
from tests.faults.rig import Rig, plan_for

RERUN = Rerun(ok=True, profit_raw=1_000, gas_units=300_000)


class Rerunner:
    def __init__(self, *answers: Rerun | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[bytes, Sequence[bytes]]] = []

    async def __call__(self, slot: Slot, earlier: Sequence[bytes], head: Head) -> Rerun:
        self.asked.append((slot.payload.data, earlier))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def sent(rig: Rig) -> list[dict[str, Any]]:
    """Every different transaction that left, in order."""
    return [json.loads(raw) for raw in dict.fromkeys(rig.chain.broadcasts)]


async def restarted(rig: Rig, rerunner: Rerunner, **settings: Any) -> None:
    rig.settings = SendSettings(**settings)
    rig.resimulate = rerunner
    await rig.restart()


async def pass_blocks(rig: Rig, blocks: int) -> None:
    for _ in range(blocks):
        await rig.sender.settle(rig.chain.mine(take=False))


async def test_a_bump_changes_the_price_and_nothing_else(rig: Rig) -> None:
    await restarted(rig, Rerunner(RERUN))
    await rig.sender.submit(plan_for(1))
    await pass_blocks(rig, 3)
    first, second = sent(rig)
    fees = {"fee_cap_wei", "tip_wei"}
    assert {name for name in first if first[name] != second[name]} == fees
    assert all(second[name] * 1000 >= first[name] * 1125 for name in fees)
    (entry,) = await rig.sender.settle(rig.chain.mine())
    assert entry.status == "success"
    assert rig.store.audit()["findings"] == []


async def test_nothing_is_offered_more_before_its_time(rig: Rig) -> None:
    rerunner = Rerunner(RERUN)
    await restarted(rig, rerunner, bump_after_blocks=5)
    await rig.sender.submit(plan_for(1))
    await pass_blocks(rig, 4)
    assert (len(sent(rig)), rerunner.asked) == (1, [])


async def test_only_the_next_in_line_is_offered_more(rig: Rig) -> None:
    rerunner = Rerunner(RERUN)
    await restarted(rig, rerunner)
    for number in (1, 2):
        await rig.sender.submit(plan_for(number))
    await pass_blocks(rig, 3)
    assert [each["nonce"] for each in sent(rig)] == [0, 1, 0]
    assert rerunner.asked == [(b"plan 1", [])]


async def test_what_no_longer_fits_is_offered_more_at_once_after_what_stands_before_it(rig: Rig) -> None:
    rerunner = Rerunner(RERUN)
    await restarted(rig, rerunner)
    for number in (1, 2):
        await rig.sender.submit(plan_for(number))
    rig.chain.base_fee_wei = 4 * GWEI
    await pass_blocks(rig, 1)
    assert [each["nonce"] for each in sent(rig)] == [0, 1, 0, 1]
    assert rerunner.asked == [(b"plan 1", []), (b"plan 2", [b"plan 1"])]
    assert all(each["fee_cap_wei"] >= 8 * GWEI for each in sent(rig)[2:])


async def test_what_reverts_when_run_again_is_cancelled(rig: Rig) -> None:
    await restarted(rig, Rerunner(Rerun(ok=False)))
    await rig.sender.submit(plan_for(1))
    await pass_blocks(rig, 3)
    assert [(each["to"], each["data"]) for each in sent(rig)[1:]] == [(SIGNER, "")]
    (entry,) = await rig.sender.settle(rig.chain.mine())
    assert entry.status == "given-up"


async def test_what_earns_too_little_for_the_higher_price_waits_at_the_old_one(rig: Rig) -> None:
    # the fakes' native currency costs 1e-8 dollars: 1,000 units of profit buy 1e21 wei of gas
    await restarted(rig, Rerunner(Rerun(ok=True, profit_raw=1, gas_units=300 * 10**9)))
    await rig.sender.submit(plan_for(1))
    await pass_blocks(rig, 9)
    assert len(sent(rig)) == 1
    assert len(rig.chain.broadcasts) > 2


async def test_what_cannot_be_run_again_stays_as_it_is(rig: Rig) -> None:
    rerunner = Rerunner(Transient("timed out"), RERUN)
    await restarted(rig, rerunner)
    await rig.sender.submit(plan_for(1))
    await pass_blocks(rig, 3)
    assert len(sent(rig)) == 1
    await pass_blocks(rig, 1)
    assert len(sent(rig)) == 2


async def test_row_04_bumps_end_at_the_limit_and_the_deadline_still_cancels(rig: Rig) -> None:
    await restarted(rig, Rerunner(RERUN), max_gas_price_wei=4 * GWEI)
    await rig.sender.submit(plan_for(1, deadline_block=30))
    await pass_blocks(rig, 29)
    caps = [each["fee_cap_wei"] for each in sent(rig)]
    assert caps == sorted(caps)
    assert caps[-1] <= 4 * GWEI
    assert len(caps) == 3  # 3, 3.39 and 3.83 gwei
    assert {each["data"] for each in sent(rig)} == {b"plan 1".hex()}
    await pass_blocks(rig, 2)
    assert len(sent(rig)) == 3  # a cancellation would cost 4.3 gwei
    assert rig.store.audit()["findings"] == []


async def test_a_bump_needs_room_under_the_caps_before_it_is_signed(rig: Rig) -> None:
    worst = 400_000 * 3 * GWEI
    await restarted(rig, Rerunner(RERUN), guards=Guards(day=Caps(gas_wei=worst)))
    await rig.sender.submit(plan_for(1))
    signed = rig.signer.signed
    await pass_blocks(rig, 6)
    assert rig.signer.signed == signed
    await rig.sender.settle(rig.chain.mine())
    assert [entry.status for entry in rig.store.entries()] == ["success"]


async def test_a_chain_without_base_fees_gets_transactions_of_type_0(rig: Rig) -> None:
    rig.chain.base_fee_wei = 0
    await restarted(rig, Rerunner(RERUN))
    head = rig.chain.mine(take=False)
    fees = Fees(fee_cap_wei=2 * GWEI, tip_wei=2 * GWEI, expected_wei=2 * GWEI)
    plan = plan_for(1, fees=fees, deadline_block=8, head=head)
    assert isinstance(await rig.sender.submit(plan), Attempt)
    await pass_blocks(rig, 10)
    assert {each["legacy"] for each in sent(rig)} == {True}
    assert {each["fee_cap_wei"] - each["tip_wei"] for each in sent(rig)} == {0}
    assert sent(rig)[-1]["data"] == ""
    (entry,) = await rig.sender.settle(rig.chain.mine())
    assert entry.status == "given-up"


@pytest.mark.parametrize("restart", [False, True])
async def test_row_10_a_hole_left_by_a_reorg_is_filled(rig: Rig, restart: bool) -> None:
    rig.chain.use_nonce_elsewhere()
    await rig.sender.settle(await rig.chain.head())
    found = await rig.sender.submit(plan_for(1))
    assert isinstance(found, Attempt)
    assert found.nonce == 1
    await rig.sender.settle(rig.chain.reorg(1, keep_pool=False))  # the foreign transaction is gone for good
    if restart:
        await rig.restart()
        await rig.sender.settle(await rig.chain.head())
    await rig.sender.settle(rig.chain.mine(take=False))
    await rig.sender.settle(rig.chain.mine())
    await rig.sender.settle(rig.chain.mine())
    assert [(entry.kind, entry.status) for entry in rig.store.entries()] == [
        ("fill", "given-up"),
        ("liquidation", "success"),
    ]
    assert rig.store.audit()["findings"] == []


async def test_a_hole_somebody_fills_after_all_is_no_alarm(rig: Rig) -> None:
    rig.chain.use_nonce_elsewhere()
    await rig.sender.settle(await rig.chain.head())
    await rig.sender.submit(plan_for(1))
    await rig.sender.settle(rig.chain.reorg(1, keep_pool=False))
    await rig.sender.settle(rig.chain.mine(take=False))
    rig.chain.use_nonce_elsewhere()
    for _ in range(5):
        await rig.sender.settle(rig.chain.mine())
    assert [(entry.kind, entry.status) for entry in rig.store.entries()] == [("liquidation", "success")]
