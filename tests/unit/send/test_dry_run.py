from dataclasses import replace
from pathlib import Path

from keeper.domain.attempts import Attempt
from keeper.send.channels.dry_run import DryRunSender
from keeper.store import open_store
from tests.faults.fake_chain import FakeChain
from tests.faults.rig import Rig, plan_for


async def test_a_dry_run_books_the_expected_profit_and_sends_nothing(tmp_path: Path) -> None:
    store, chain = open_store(tmp_path / "state.db"), FakeChain()
    sender = DryRunSender(store)
    await sender.recover()
    attempt = await sender.submit(plan_for(1))
    assert isinstance(attempt, Attempt)
    assert attempt.transaction is None
    (entry,) = await sender.settle(chain.mine())
    assert (entry.status, entry.transaction, entry.block) == ("dry-run", None, None)
    assert (entry.expected_raw, entry.realised_raw, entry.gas_cost_wei) == (1_000, 0, 0)
    assert entry.detail["planned_gas_cost_wei"] == "600000000000000"
    assert await sender.settle(chain.mine()) == []
    assert sender.in_flight() == []
    sender.close()
    assert await sender.submit(plan_for(2)) == "stopping"
    assert store.entries() == [entry]
    store.close()


async def test_a_second_dry_run_reports_the_same_and_leaves_one_entry(tmp_path: Path) -> None:
    store, chain = open_store(tmp_path / "state.db"), FakeChain()
    booked = []
    for profit_raw in (1_000, 1_001):
        sender = DryRunSender(store)
        plan = plan_for(1)
        assert isinstance(await sender.submit(replace(plan, plan=replace(plan.plan, profit_raw=profit_raw))), Attempt)
        booked += await sender.settle(chain.mine())
        sender.close()
    assert [entry.expected_raw for entry in booked] == [1_000, 1_001]
    assert store.entries() == booked[1:]
    store.close()


async def test_a_dry_run_does_not_stand_in_the_way_of_the_real_one(rig: Rig) -> None:
    await DryRunSender(rig.store).submit(plan_for(1))
    assert isinstance(await rig.sender.submit(plan_for(1)), Attempt)
