"""What a rollup takes for the data is bounded, reserved and booked like gas."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.domain.attempts import Attempt
from keeper.domain.plans import SimulatedPlan
from keeper.send.guards import Caps, Guards
from keeper.send.intents import to_payload, to_stake
from keeper.send.replacing import Rerun
from keeper.send.settings import SendSettings
from tests.faults.fake_chain import GWEI, SIGNER
from tests.faults.rig import Rig, plan_for

GAS_WEI = 400_000 * 3 * GWEI
L1_FEE_WEI = 1_000 * GWEI
RESERVED_WEI = GAS_WEI + 2 * L1_FEE_WEI


def plan(number: int = 1, **changes: object) -> SimulatedPlan:
    fields = {"l1_fee_wei": L1_FEE_WEI, "l1_reserve_wei": 2 * L1_FEE_WEI, **changes}
    return replace(plan_for(number), **fields)  # type: ignore[arg-type]


def test_the_worst_case_of_a_plan_has_its_data_in_it() -> None:
    assert to_payload(plan()).worst_case_wei == RESERVED_WEI


def test_less_of_the_profit_is_left_for_gas() -> None:
    worth = {"profit_base": 10**9, "native_price_base": 10**8, "gas_units": 10, "base_unit": 10**8}
    without = to_stake(plan(**worth)).fee_ceiling_wei
    with_data = to_stake(plan(**worth, l1_fee_base=4 * 10**8)).fee_ceiling_wei
    assert (without, with_data) == (10**18, 6 * 10**17)


def test_data_that_is_gas_is_paid_at_the_price_of_gas() -> None:
    """Ten units of execution and forty of data: at most a fifth of what ten alone could cost, and nothing twice."""
    worth = {"profit_base": 10**9, "native_price_base": 10**8, "gas_units": 10, "base_unit": 10**8}
    found = to_stake(plan(**worth, l1_fee_base=4 * 10**8, l1_reserve_wei=0, l1_gas_units=40))
    assert found.fee_ceiling_wei == 10**18 // 5


async def test_the_signer_has_to_be_able_to_pay_for_it(rig: Rig) -> None:
    rig.chain.balances[SIGNER] = RESERVED_WEI - 1
    assert await rig.sender.submit(plan()) == "no_gas_funds"
    rig.chain.balances[SIGNER] = RESERVED_WEI
    assert isinstance(await rig.sender.submit(plan()), Attempt)


async def test_caps_count_it(rig: Rig) -> None:
    for cap_wei, outcome in ((RESERVED_WEI - 1, str), (RESERVED_WEI, Attempt)):
        rig.settings = SendSettings(guards=Guards(transaction=Caps(gas_wei=cap_wei)))
        await rig.restart()
        assert isinstance(await rig.sender.submit(plan()), outcome)


async def test_it_stays_reserved_over_a_restart_and_is_booked_as_paid(rig: Rig) -> None:
    rig.chain.l1_fee_wei = L1_FEE_WEI + 7
    assert isinstance(await rig.sender.submit(plan()), Attempt)
    await rig.restart()
    (slot,) = rig.store.journal(chain_id=31337, sender=SIGNER).live()
    assert (slot.payload.l1_fee_wei, slot.worst_case_wei) == (2 * L1_FEE_WEI, RESERVED_WEI)
    (entry,) = await rig.sender.settle(rig.chain.mine())
    assert entry.gas_cost_wei == 300_000 * 2 * GWEI + L1_FEE_WEI + 7
    assert entry.detail["l1_fee_wei"] == str(L1_FEE_WEI + 7)
    assert entry.detail["planned_l1_fee_wei"] == str(L1_FEE_WEI)
    assert rig.store.audit()["findings"] == []


@pytest.mark.parametrize(("l1_reserve_wei", "broadcasts"), [(0, 2), (10_000 * GWEI, 1)])
async def test_a_higher_price_has_to_leave_enough_for_it(rig: Rig, l1_reserve_wei: int, broadcasts: int) -> None:
    """13 % more makes the gas cost 1.017 of the 1.02 dollars that are earned; the data would take another cent."""

    async def run_again(*_: object) -> Rerun:
        return Rerun(ok=True, profit_raw=1_000, gas_units=300_000)

    rig.resimulate = run_again
    await rig.restart()
    worth = {"profit_base": 102 * 10**6, "native_price_base": 1_000 * 10**8, "base_unit": 10**8}
    await rig.sender.submit(plan(1, **worth, l1_reserve_wei=l1_reserve_wei))
    for _ in range(3):
        await rig.sender.settle(rig.chain.mine(take=False))
    assert len(set(rig.chain.broadcasts)) == broadcasts


async def test_a_cancellation_reserves_for_its_data_too(rig: Rig) -> None:
    await rig.sender.submit(replace(plan(), plan=replace(plan().plan, deadline_block=2)))
    await rig.sender.settle(rig.chain.mine(2, take=False))
    (slot,) = rig.store.journal(chain_id=31337, sender=SIGNER).live()
    assert [attempt.kind for attempt in slot.attempts] == ["plan", "cancel"]
    assert slot.worst_case_wei >= RESERVED_WEI
    assert rig.store.audit()["findings"] == []
