"""The sender against a real node: pool, receipts, reorgs and refusals as anvil has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from keeper.chain.client import RpcChain
from keeper.chain.connect import connect
from keeper.chain.signer import KeySigner
from keeper.devnet.anvil import Anvil, AnvilOptions
from keeper.domain.attempts import Attempt, LedgerEntry
from keeper.domain.errors import Failed
from keeper.domain.plans import Fees
from keeper.send.channels import Errand
from keeper.send.channels.public import PublicChannel
from keeper.send.dialects import Broadcast
from keeper.send.sender import TransactionSender
from keeper.send.settings import SendSettings
from keeper.store import Store, open_store
from tests.faults.fake_chain import CHAIN_ID, GWEI
from tests.faults.rig import expected, plan_for, realise
from tests.support.proxy import Fault, RpcProxy

SIGNER = KeySigner.from_hex("6b" * 32)
FEES = Fees(fee_cap_wei=20 * GWEI, tip_wei=GWEI, expected_wei=2 * GWEI)
# Deploys one byte of code: STOP.
CREATION = bytes.fromhex("6001600c60003960016000f300")


class LossyChannel(PublicChannel):
    """The public channel, of which a test can pull the plug while an answer is awaited."""

    def __init__(self, chain: RpcChain) -> None:
        super().__init__(chain)
        self.unplugged = False
        self.waiting = asyncio.Event()

    async def broadcast(self, raw: bytes, transaction: str, errand: Errand) -> Broadcast:
        result = await super().broadcast(raw, transaction, errand)
        if self.unplugged:
            self.waiting.set()
            await asyncio.Event().wait()
        return result


@dataclass
class Net:
    """One node and a sender on it."""

    node: Anvil
    chain: RpcChain
    store: Store
    path: Path
    channel: LossyChannel
    sender: TransactionSender

    async def submit(self, number: int, **changes: object) -> Attempt | str:
        return await self.sender.submit(plan_for(number, **{"fees": FEES, "deadline_block": 10**6, **changes}))

    async def settle(self) -> list[LedgerEntry]:
        return await self.sender.settle(await self.chain.head())

    async def mine(self) -> list[LedgerEntry]:
        await self.node.rpc.call("evm_mine")
        return await self.settle()

    async def restart(self) -> None:
        self.sender.close()
        self.store.close()
        self.store = open_store(self.path)
        self.channel = LossyChannel(self.chain)
        self.sender = make_sender(self.chain, self.store, self.channel)
        await self.sender.recover()


def make_sender(chain: RpcChain, store: Store, channel: PublicChannel) -> TransactionSender:
    return TransactionSender(
        chain=chain,
        chain_id=CHAIN_ID,
        signer=SIGNER,
        store=store,
        channel=channel,
        settings=SendSettings(),
        realise=realise,
        expected=expected,
    )


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Net]:
    async with Anvil(AnvilOptions(chain_id=CHAIN_ID, no_mining=True)) as node:
        await node.set_balance(SIGNER.address, 10**20)
        async with await connect([node.http_url], chain_id=CHAIN_ID) as chain:
            path = tmp_path / "state.db"
            store, channel = open_store(path), LossyChannel(chain)
            made = Net(node, chain, store, path, channel, make_sender(chain, store, channel))
            await made.sender.recover()
            yield made
            made.sender.close()
            made.store.close()


async def test_gas_in_the_ledger_is_what_left_the_account(net: Net) -> None:
    for number in range(5):
        assert isinstance(await net.submit(number), Attempt)
    before = await net.chain.balance_wei(SIGNER.address)
    entries = await net.mine()
    assert [entry.status for entry in entries] == ["success"] * 5
    assert before - await net.chain.balance_wei(SIGNER.address) == sum(entry.gas_cost_wei for entry in entries)


async def test_a_deployment_leaves_code_where_it_says(net: Net) -> None:
    assert isinstance(await net.sender.submit_deploy(CREATION, 100_000, FEES), Attempt)
    (entry,) = await net.mine()
    assert await net.chain.code(entry.detail["contract_address"]) == b"\0"  # type: ignore[arg-type]


async def test_row_03_a_dropped_transaction_is_back_within_two_blocks(net: Net) -> None:
    attempt = await net.submit(1)
    assert isinstance(attempt, Attempt)
    await net.node.rpc.call("anvil_dropTransaction", attempt.transaction)
    found = [entry for _ in range(3) for entry in await net.mine()]
    assert [entry.transaction for entry in found] == [attempt.transaction]


async def test_row_02_a_reply_lost_on_the_way_is_not_a_transaction_lost(net: Net) -> None:
    """The node took the bytes, the answer never came: the same bytes again, "already imported", one nonce used."""
    async with RpcProxy(net.node.http_url) as proxy, await connect([proxy.http_url], chain_id=CHAIN_ID) as lossy:
        proxy.break_with(Fault(kind="swallow"), method="eth_sendRawTransaction", times=1)
        net.sender.close()
        net.sender = make_sender(lossy, net.store, PublicChannel(lossy))
        await net.sender.recover()
        attempt = await net.submit(1)
        assert isinstance(attempt, Attempt)
        assert proxy.count("eth_sendRawTransaction") == 1
        await net.sender.recover()  # as a start after a crash would: hands the same bytes out again
        assert proxy.count("eth_sendRawTransaction") == 2
        (entry,) = await net.mine()
    assert (entry.transaction, entry.status) == (attempt.transaction, "success")
    assert await net.chain.nonce(SIGNER.address) == 1


async def test_a_reorg_withdraws_the_entry_and_brings_the_transaction_back(net: Net) -> None:
    attempt = await net.submit(1)
    assert isinstance(attempt, Attempt)
    assert len(await net.mine()) == 1
    await net.node.rpc.call("anvil_reorg", 1, [])
    await net.settle()
    assert net.store.entries() == []
    found = [entry for _ in range(3) for entry in await net.mine()]
    assert [entry.transaction for entry in found] == [attempt.transaction]
    assert net.store.entries() == found


async def test_a_rival_with_the_same_nonce_in_a_reorg_is_somebody_else(net: Net) -> None:
    await net.submit(1)
    await net.mine()
    raw, _ = SIGNER.sign(
        chain_id=CHAIN_ID,
        nonce=0,
        to=SIGNER.address,
        data=b"",
        gas_limit=21_000,
        fee_cap_wei=30 * GWEI,
        tip_wei=3 * GWEI,
    )
    await net.node.rpc.call("anvil_reorg", 1, [["0x" + raw.hex(), 0]])
    for _ in range(SendSettings().foreign_after_blocks):
        await net.mine()
    with pytest.raises(Failed, match="not in the journal"):
        await net.mine()
    assert net.store.entries() == []


async def test_row_05_what_a_dearer_block_pushed_out_is_cancelled_at_its_deadline(net: Net) -> None:
    attempt = await net.submit(1, deadline_block=1)
    assert isinstance(attempt, Attempt)
    await net.node.set_next_base_fee(50 * GWEI)  # above its fee cap: anvil throws it out
    assert await net.mine() == []
    (entry,) = await net.mine()
    assert (entry.status, entry.realised_raw) == ("given-up", 0)
    assert entry.transaction != attempt.transaction
    assert entry.gas_cost_wei > 0
    assert isinstance(await net.submit(2, fees=Fees(fee_cap_wei=10**12, tip_wei=GWEI, expected_wei=1)), Attempt)


async def test_row_36_an_empty_account_sends_nothing(net: Net) -> None:
    await net.node.set_balance(SIGNER.address, 10**9)
    assert await net.submit(1) == "no_gas_funds"
    assert await net.node.rpc.call("txpool_status") == {"pending": "0x0", "queued": "0x0"}
    await net.node.set_balance(SIGNER.address, 10**20)
    await net.restart()
    assert isinstance(await net.submit(1), Attempt)


async def test_row_36_a_node_that_says_no_funds_frees_the_nonce(net: Net) -> None:
    await net.submit(1)  # the balance is known from here on
    await net.node.set_balance(SIGNER.address, 10**9)
    assert await net.submit(2) == "no_gas_funds"
    await net.node.set_balance(SIGNER.address, 10**20)
    attempt = await net.submit(3)
    assert isinstance(attempt, Attempt)
    assert attempt.nonce == 1


async def test_ended_in_the_middle_of_a_send_the_next_start_goes_on(net: Net) -> None:
    net.channel.unplugged = True
    task = asyncio.create_task(net.submit(1))
    async with asyncio.timeout(10):
        await net.channel.waiting.wait()
    assert (await net.node.rpc.call("txpool_status"))["pending"] == "0x1"
    net.sender.stop()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await net.restart()
    assert await net.submit(1) == "already_in_flight"
    (entry,) = await net.mine()
    assert (entry.status, entry.detail["nonce"]) == ("success", 0)


async def test_row_27_a_second_sender_on_the_same_state_is_refused(net: Net) -> None:
    store = open_store(net.path)
    second = make_sender(net.chain, store, PublicChannel(net.chain))
    with pytest.raises(Failed, match="another keeper"):
        await second.recover()
    net.sender.close()
    await second.recover()
    second.close()
    store.close()
