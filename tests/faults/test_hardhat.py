"""The sender against a second client, whose pool really enforces how much dearer a replacement has to be."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from keeper.chain.connect import connect
from keeper.devnet.rpc import JsonRpc
from keeper.domain.attempts import Attempt
from keeper.domain.errors import RpcError
from keeper.domain.plans import Fees
from keeper.send.channels.public import PublicChannel
from keeper.send.dialects import Answer, read_answer
from keeper.send.fees import GasOffer, raise_offer
from keeper.store import open_store
from tests.conftest import TestSize
from tests.faults.fake_chain import CHAIN_ID, GWEI
from tests.faults.rig import plan_for
from tests.faults.test_sender_on_anvil import SIGNER, make_sender
from tests.support.hardhat import open_hardhat

SEED = 6
BUMPS = 4
pytestmark = [pytest.mark.node, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
async def hardhat() -> AsyncIterator[JsonRpc]:
    async with open_hardhat() as node:
        await node.call("hardhat_setBalance", SIGNER.address, hex(10**24))
        yield node


def signed(nonce: int, offer: GasOffer) -> tuple[bytes, str]:
    return SIGNER.sign(
        chain_id=CHAIN_ID, nonce=nonce, to=SIGNER.address, data=b"", gas_limit=21_000,
        fee_cap_wei=offer.fee_cap_wei, tip_wei=offer.tip_wei,
    )  # fmt: skip


async def hand_in(node: JsonRpc, raw: bytes) -> str:
    """Return what the node says: a hash, or its words."""
    try:
        return str(await node.call("eth_sendRawTransaction", "0x" + raw.hex()))
    except RpcError as error:
        return error.message


async def next_nonce(node: JsonRpc) -> int:
    return int(await node.call("eth_getTransactionCount", SIGNER.address, "latest"), 16)


async def base_fee_wei(node: JsonRpc) -> int:
    block: dict[str, Any] = await node.call("eth_getBlockByNumber", "pending", False)
    return int(block["baseFeePerGas"], 16)


async def test_row_06_every_bump_is_accepted_by_a_client_with_rules(hardhat: JsonRpc, size: TestSize) -> None:
    dice = random.Random(SEED)
    accepted = 0
    for _ in range(size.pick(quick=25, prove=250)):
        await hardhat.call("hardhat_setNextBlockBaseFeePerGas", hex(dice.choice([7, GWEI, 30 * GWEI])))
        base_wei = await base_fee_wei(hardhat)
        tip_wei = dice.choice([1, 7, 8, 9, 999, GWEI, dice.randrange(1, 10**11)])
        offers = [GasOffer(fee_cap_wei=base_wei + tip_wei + dice.choice([0, 1, 10**9]), tip_wei=tip_wei)]
        nonce = await next_nonce(hardhat)
        raw, transaction = signed(nonce, offers[0])
        assert await hand_in(hardhat, raw) == transaction
        for _ in range(BUMPS):
            offer = raise_offer(offers, base_fee_wei=base_wei, limit_wei=None)
            assert isinstance(offer, GasOffer)
            offers.append(offer)
            raw, transaction = signed(nonce, offer)
            assert await hand_in(hardhat, raw) == transaction
            accepted += 1
        await hardhat.call("hardhat_mine", "0x1")
        receipt = await hardhat.call("eth_getTransactionReceipt", transaction)
        assert receipt["status"] == "0x1"
    print(f"seed {SEED}: {accepted} bumps, all accepted")


async def test_row_06_half_a_bump_is_refused_and_understood(hardhat: JsonRpc) -> None:
    first = GasOffer(fee_cap_wei=100 * GWEI, tip_wei=10 * GWEI)
    nonce = await next_nonce(hardhat)
    raw, transaction = signed(nonce, first)
    assert await hand_in(hardhat, raw) == transaction
    for half in (
        GasOffer(fee_cap_wei=113 * GWEI, tip_wei=10 * GWEI),
        GasOffer(fee_cap_wei=100 * GWEI, tip_wei=12 * GWEI),
    ):
        raw, other = signed(nonce, half)
        assert read_answer(await hand_in(hardhat, raw), other) is Answer.REPLACE_UNDERPRICED
    await hardhat.call("hardhat_mine", "0x1")


async def test_row_07_what_is_known_is_taken_for_ours_by_its_hash_only(hardhat: JsonRpc) -> None:
    nonce = await next_nonce(hardhat)
    raw, transaction = signed(nonce, GasOffer(fee_cap_wei=100 * GWEI, tip_wei=GWEI))
    assert await hand_in(hardhat, raw) == transaction
    words = await hand_in(hardhat, raw)
    assert read_answer(words, transaction) is Answer.ALREADY_KNOWN
    assert read_answer(words, "0x" + "cd" * 32) is Answer.AMBIGUOUS
    await hardhat.call("hardhat_mine", "0x1")
    assert read_answer(await hand_in(hardhat, raw), transaction) in {Answer.NONCE_LOW, Answer.ALREADY_KNOWN}
    raw, transaction = signed(nonce, GasOffer(fee_cap_wei=200 * GWEI, tip_wei=GWEI))
    assert read_answer(await hand_in(hardhat, raw), transaction) is Answer.NONCE_LOW


async def test_row_06_what_the_base_fee_overtook_is_replaced_and_mined_on_a_second_client(
    hardhat: JsonRpc, tmp_path: Path
) -> None:
    async with await connect([hardhat.url], chain_id=CHAIN_ID) as chain:
        store = open_store(tmp_path / "state.db")
        sender = make_sender(chain, store, PublicChannel(chain))
        await sender.recover()
        base_wei = await base_fee_wei(hardhat)
        fees = Fees(fee_cap_wei=base_wei + 2 * GWEI, tip_wei=GWEI, expected_wei=base_wei + GWEI)
        attempt = await sender.submit(plan_for(1, fees=fees, deadline_block=10**6))
        assert isinstance(attempt, Attempt)
        await hardhat.call("hardhat_setNextBlockBaseFeePerGas", hex(base_wei + 5 * GWEI))
        entries = []
        for _ in range(12):
            await hardhat.call("hardhat_mine", "0x1")
            entries += await sender.settle(await chain.head())
            if not sender.in_flight():
                break
        hashes = store._database.rows("SELECT transaction_hash FROM attempts")
        sender.close()
        store.close()
    (entry,) = entries
    assert entry.status == "success"
    assert entry.transaction != attempt.transaction
    assert len(hashes) >= 2
