"""The sender on a chain in memory: one nonce per decision, evidence before any end, the journal before the wire."""

import json

import pytest

from keeper.domain.attempts import Attempt
from keeper.domain.errors import ConfigError, Failed, RpcError, Transient
from keeper.domain.plans import Fees
from keeper.send.settings import SendSettings
from tests.faults.fake_chain import DEBT, GWEI, SIGNER, transaction_hash
from tests.faults.rig import Rig, plan_for


async def sent(rig: Rig, number: int, **changes: object) -> Attempt:
    found = await rig.sender.submit(plan_for(number, **changes))
    assert isinstance(found, Attempt), found
    return found


async def test_a_plan_is_sent_mined_and_booked(rig: Rig) -> None:
    attempt = await sent(rig, 1)
    assert (attempt.nonce, attempt.state) == (0, "sent")
    head = rig.chain.mine()
    (entry,) = await rig.sender.settle(head)
    assert (entry.status, entry.transaction, entry.block) == ("success", attempt.transaction, head.number)
    assert (entry.profit_token, entry.expected_raw, entry.realised_raw) == (DEBT, 1_000, 1_001)
    assert entry.gas_cost_wei == 300_000 * 2 * GWEI
    assert entry.detail["block_timestamp_s"] == head.timestamp_s
    assert rig.sender.in_flight() == []
    assert await rig.sender.settle(rig.chain.mine()) == []
    assert rig.store.entries() == [entry]


async def test_nonces_are_dense_across_many_plans(rig: Rig) -> None:
    nonces = [(await sent(rig, number)).nonce for number in range(12)]
    assert nonces == list(range(12))
    entries = await rig.sender.settle(rig.chain.mine())
    assert [entry.status for entry in entries] == ["success"] * 12
    assert (await sent(rig, 12)).nonce == 12


async def test_the_status_of_the_receipt_decides(rig: Rig) -> None:
    rig.chain.fails.add(b"plan 1")
    await sent(rig, 1)
    (entry,) = await rig.sender.settle(rig.chain.mine())
    assert (entry.status, entry.realised_raw, entry.expected_raw) == ("reverted", 0, 1_000)
    assert entry.gas_cost_wei > 0


async def test_what_succeeded_is_never_sent_again(rig: Rig) -> None:
    await sent(rig, 1)
    assert await rig.sender.submit(plan_for(1)) == "already_in_flight"
    assert await rig.sender.submit(plan_for(1, epoch="e1")) == "account_in_flight"
    await rig.sender.settle(rig.chain.mine())
    assert await rig.sender.submit(plan_for(1)) == "already_done"
    assert (await sent(rig, 1, epoch="e1")).nonce == 1


async def test_what_keeps_failing_is_left_alone(rig: Rig) -> None:
    rig.chain.fails.add(b"plan 1")
    for _ in range(rig.settings.most_failures):
        await sent(rig, 1)
        await rig.sender.settle(rig.chain.mine())
    assert await rig.sender.submit(plan_for(1)) == "failed_too_often"


async def test_a_lost_reply_keeps_the_nonce_and_the_bytes(rig: Rig) -> None:
    rig.chain.swallow = 1
    attempt = await sent(rig, 1)
    assert rig.chain.pool[SIGNER, 0] == rig.chain.broadcasts[0]
    await rig.sender.settle(rig.chain.mine(take=False))  # in doubt: handed out again, "already known" is success
    assert rig.chain.broadcasts == [rig.chain.broadcasts[0]] * 2
    (entry,) = await rig.sender.settle(rig.chain.mine())
    assert entry.transaction == attempt.transaction
    assert rig.signer.signed == 1


async def test_a_transaction_dropped_by_the_pool_is_sent_again_within_two_blocks(rig: Rig) -> None:
    await sent(rig, 1)
    rig.chain.pool.clear()
    for _ in range(2):
        await rig.sender.settle(rig.chain.mine())
    assert (SIGNER, 0) in rig.chain.pool
    (entry,) = await rig.sender.settle(rig.chain.mine())
    assert entry.status == "success"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("insufficient funds for gas * price + value", "no_gas_funds"),
        ("intrinsic gas too low", "refused_by_node"),
        ("transaction underpriced", "fee_too_low"),
        ("txpool is full", "pool_full"),
        ("tx fee (2.10 ether) exceeds the configured cap (1.00 ether)", "node_fee_cap"),
    ],
)
async def test_a_sure_refusal_gives_the_nonce_back(rig: Rig, words: str, code: str) -> None:
    rig.chain.answers = [RpcError(-32000, words)]
    assert await rig.sender.submit(plan_for(1)) == code
    assert rig.sender.in_flight() == []
    assert (await sent(rig, 2)).nonce == 0


@pytest.mark.parametrize(
    "words", ["nonce too low", "replacement transaction underpriced", "something new", "nonce too high"]
)
async def test_a_doubtful_answer_keeps_the_slot(rig: Rig, words: str) -> None:
    rig.chain.answers = [RpcError(-32000, words)]
    assert (await sent(rig, 1)).nonce == 0
    assert (await sent(rig, 2)).nonce == 1


async def test_a_refusal_after_a_doubtful_answer_does_not_free_the_nonce(rig: Rig) -> None:
    """The first answer was lost: the bytes may be out. A later refusal proves nothing about them."""
    rig.chain.answers = [Transient("timed out"), RpcError(-32000, "insufficient funds")]
    await sent(rig, 1)
    for _ in range(2):
        await rig.sender.settle(rig.chain.mine(take=False))
    assert [attempt.nonce for attempt in rig.sender.in_flight()] == [0]
    assert (await sent(rig, 2)).nonce == 1


async def test_row_08_receipts_that_lag_behind_the_nonce_are_awaited(rig: Rig) -> None:
    await sent(rig, 1)
    rig.chain.hide_receipts = True
    for _ in range(rig.settings.foreign_after_blocks):
        assert await rig.sender.settle(rig.chain.mine()) == []
    rig.chain.hide_receipts = False
    (entry,) = await rig.sender.settle(rig.chain.mine())
    assert entry.status == "success"
    assert len(rig.chain.broadcasts) == 1


async def test_row_09_a_nonce_used_by_somebody_else_stops_the_sender(rig: Rig) -> None:
    rig.chain.answers = [RpcError(-32000, "nonce too low")]
    await sent(rig, 1)
    rig.chain.use_nonce_elsewhere()
    for _ in range(rig.settings.foreign_after_blocks):
        await rig.sender.settle(await rig.chain.head())
        rig.chain.mine()
    with pytest.raises(Failed, match=r"nonce 0 of .* was used by a transaction that is not in the journal"):
        await rig.sender.settle(await rig.chain.head())
    sender = await rig.restart()  # a human started it again: it goes on with the next nonce
    found = await sender.submit(plan_for(2))
    assert isinstance(found, Attempt)
    assert found.nonce == 1


async def test_past_its_deadline_a_transaction_is_replaced_by_nothing(rig: Rig) -> None:
    await sent(rig, 1, deadline_block=2)
    await rig.sender.settle(rig.chain.mine(2, take=False))
    old, new = (json.loads(raw) for raw in (rig.chain.broadcasts[0], rig.chain.broadcasts[-1]))
    assert (new["to"], new["data"], new["value_wei"], new["nonce"]) == (SIGNER, "", 0, old["nonce"])
    assert all(new[name] * 1000 >= old[name] * 1125 for name in ("fee_cap_wei", "tip_wei"))
    (entry,) = await rig.sender.settle(rig.chain.mine())
    assert (entry.status, entry.realised_raw) == ("given-up", 0)
    assert entry.gas_cost_wei == 21_000 * min(new["fee_cap_wei"], GWEI + new["tip_wei"])
    assert entry.transaction == transaction_hash(rig.chain.broadcasts[-1])


async def test_the_plan_mined_after_all_is_booked_as_what_it_was(rig: Rig) -> None:
    """A cancellation was sent, but the plan's own transaction came first: every hash of a slot is looked at."""
    attempt = await sent(rig, 1, deadline_block=2)
    first = rig.chain.broadcasts[0]
    await rig.sender.settle(rig.chain.mine(2, take=False))
    rig.chain.pool[SIGNER, 0] = first
    (entry,) = await rig.sender.settle(rig.chain.mine())
    assert (entry.status, entry.transaction) == ("success", attempt.transaction)


async def test_a_replacement_never_pays_more_than_the_limit(rig: Rig) -> None:
    rig.settings = SendSettings(max_gas_price_wei=3 * GWEI)
    await rig.restart()
    await sent(rig, 1, deadline_block=2)
    await rig.sender.settle(rig.chain.mine(2, take=False))
    assert {json.loads(raw)["fee_cap_wei"] for raw in rig.chain.broadcasts} == {3 * GWEI}
    assert [attempt.nonce for attempt in rig.sender.in_flight()] == [0]


@pytest.mark.parametrize("depth", [1, 2, 5])
async def test_a_reorg_reopens_what_was_booked(rig: Rig, depth: int) -> None:
    attempt = await sent(rig, 1)
    await rig.sender.settle(rig.chain.mine())
    await rig.sender.settle(rig.chain.mine(depth - 1))
    assert len(rig.store.entries()) == 1
    await rig.sender.settle(rig.chain.reorg(depth))
    assert rig.store.entries() == []
    assert [found.transaction for found in rig.sender.in_flight()] == [attempt.transaction]
    (entry,) = await rig.sender.settle(rig.chain.mine())
    assert entry.transaction == attempt.transaction
    assert rig.signer.signed == 1


async def test_a_reorg_that_loses_the_transaction_sends_the_same_bytes_again(rig: Rig) -> None:
    await sent(rig, 1)
    await rig.sender.settle(rig.chain.mine())
    await rig.sender.settle(rig.chain.reorg(1, keep_pool=False))
    await rig.sender.settle(rig.chain.mine(2))
    await rig.sender.settle(rig.chain.mine())
    assert [entry.status for entry in rig.store.entries()] == ["success"]
    assert rig.signer.signed == 1


async def test_a_chain_that_became_shorter_took_the_transaction_back(rig: Rig) -> None:
    await sent(rig, 1)
    before = rig.chain.mine(take=False)
    await rig.sender.settle(rig.chain.mine())
    assert len(rig.store.entries()) == 1
    rig.chain.blocks.pop()
    await rig.sender.settle(before)
    assert rig.store.entries() == []
    assert len(rig.sender.in_flight()) == 1


async def test_a_reorg_between_two_runs_is_noticed_at_the_start(rig: Rig) -> None:
    await sent(rig, 1)
    await rig.sender.settle(rig.chain.mine())
    rig.stop()
    rig.chain.reorg(1)
    await rig.start()
    assert rig.store.entries() == []
    assert len(rig.sender.in_flight()) == 1


async def test_more_confirmations_wait_longer(rig: Rig) -> None:
    rig.settings = SendSettings(confirmations=3)
    await rig.restart()
    await sent(rig, 1)
    assert await rig.sender.settle(rig.chain.mine()) == []
    assert await rig.sender.settle(rig.chain.mine()) == []
    assert len(await rig.sender.settle(rig.chain.mine())) == 1


async def test_without_funds_for_the_worst_case_nothing_is_sent(rig: Rig) -> None:
    one_plan_wei = 400_000 * 3 * GWEI
    rig.chain.balances[SIGNER] = 2 * one_plan_wei - 1
    await sent(rig, 1)
    assert await rig.sender.submit(plan_for(2)) == "no_gas_funds"
    assert len(rig.chain.broadcasts) == 1


async def test_the_balance_is_read_again_when_it_may_have_changed(rig: Rig) -> None:
    await sent(rig, 1)
    rig.chain.balances[SIGNER] = 0
    await rig.sender.settle(rig.chain.mine())
    assert await rig.sender.submit(plan_for(2)) == "no_gas_funds"  # what was mined has been paid for
    rig.chain.balances[SIGNER] = 10**20
    await sent(rig, 2)  # somebody sent some
    rig.chain.balances[SIGNER] = 0
    rig.chain.answers = [RpcError(-32000, "insufficient funds")]
    assert await rig.sender.submit(plan_for(3)) == "no_gas_funds"  # the node knew better
    assert await rig.sender.submit(plan_for(3)) == "no_gas_funds"
    assert len(rig.chain.broadcasts) == 3


async def test_the_gate_refuses_what_comes_too_late_or_costs_too_much(rig: Rig) -> None:
    rig.settings = SendSettings(max_gas_price_wei=3 * GWEI, most_in_flight=1)
    await rig.restart()
    dear = Fees(fee_cap_wei=4 * GWEI, tip_wei=GWEI, expected_wei=2 * GWEI)
    assert await rig.sender.submit(plan_for(1, fees=dear)) == "gas_price_above_cap"
    assert await rig.sender.submit(plan_for(1, deadline_block=0)) == "deadline_passed"
    await sent(rig, 1)
    assert await rig.sender.submit(plan_for(2)) == "too_many_in_flight"


async def test_after_stop_nothing_more_is_taken(rig: Rig) -> None:
    await sent(rig, 1)
    rig.sender.stop()
    assert await rig.sender.submit(plan_for(2)) == "stopping"
    assert len(rig.sender.in_flight()) == 1


async def test_a_deployment_is_a_transaction_like_any_other(rig: Rig) -> None:
    fees = Fees(fee_cap_wei=3 * GWEI, tip_wei=GWEI, expected_wei=2 * GWEI)
    first = await rig.sender.submit_deploy(b"code", 1_000_000, fees)
    again = await rig.sender.submit_deploy(b"code", 1_000_000, fees)
    assert first == again  # still in flight: the same one
    (entry,) = await rig.sender.settle(rig.chain.mine())
    assert (entry.kind, entry.status, entry.profit_token, entry.realised_raw) == ("deploy", "success", None, 0)
    assert entry.detail["contract_address"] is not None
    second = await rig.sender.submit_deploy(b"code", 1_000_000, fees)  # asked for once more, on purpose
    assert isinstance(second, Attempt)
    assert second.nonce == 1


async def test_a_lagging_node_does_not_make_a_nonce_be_used_twice(rig: Rig) -> None:
    await sent(rig, 1)
    await rig.sender.settle(rig.chain.mine())
    lagging = rig.chain.blocks[-1].transactions
    rig.chain.blocks[-1].transactions = []  # its nonce goes back, its blocks do not
    await rig.sender.settle(await rig.chain.head())
    rig.chain.blocks[-1].transactions = lagging
    assert (await sent(rig, 2)).nonce == 1


async def test_the_journal_of_another_chain_is_refused(rig: Rig) -> None:
    await sent(rig, 1)
    rig.chain.blocks[0].head = rig.chain.mine(fork="another")
    with pytest.raises(ConfigError, match="made on another chain"):
        await rig.restart()
