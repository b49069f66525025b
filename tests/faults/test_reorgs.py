"""Hundreds of reorgs on a real node: whatever the chain takes back, nothing is booked wrongly, twice, or lost."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from keeper.domain.attempts import Attempt
from keeper.domain.errors import Failed
from tests.conftest import TestSize
from tests.faults.fake_chain import CHAIN_ID, GWEI
from tests.faults.test_sender_on_anvil import SIGNER, Net, net

__all__ = ["net"]

SEED = 6
SHAPES = ("sideways", "forward", "backward", "unseen")


async def mined(net: Net) -> list[dict[str, Any]]:
    """Every transaction of the signer on the chain as it is now."""
    found = []
    for number in range(await net.node.block_number() + 1):
        block = await net.node.rpc.call("eth_getBlockByNumber", hex(number), True)
        found += [one for one in block["transactions"] if one["from"].lower() == SIGNER.address.lower()]
    return found


async def check(net: Net, rivals: set[str]) -> None:
    """Compare the ledger with the chain."""
    found = [one for one in await mined(net) if one["hash"] not in rivals]
    booked = {entry.transaction: entry for entry in net.store.entries()}
    assert {one["hash"] for one in found} == set(booked)
    for one in found:
        assert booked[one["hash"]].status == ("given-up" if one["input"] == "0x" else "success")
    plans = Counter(one["input"] for one in found if one["input"] != "0x")
    assert all(count == 1 for count in plans.values())
    assert net.store.audit()["findings"] == []


async def settle_all(net: Net) -> None:
    for _ in range(15):
        await net.mine()
        if not net.sender.in_flight():
            return
    raise AssertionError(f"still in flight: {net.sender.in_flight()}")


async def bend(net: Net, shape: str, depth: int, dice: random.Random) -> None:
    """Take `depth` blocks back, and go on as the shape says."""
    if shape == "backward":
        await net.node.rpc.call("anvil_rollback", depth)
    else:
        await net.node.rpc.call("anvil_reorg", depth, [])
    if shape == "forward":
        for _ in range(dice.randint(1, 3)):
            await net.node.rpc.call("evm_mine")
    if shape == "unseen":
        await net.restart()
    await net.settle()


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_row_11_reorgs_of_four_shapes_leave_no_wrong_state(net: Net, size: TestSize) -> None:
    dice = random.Random(SEED)
    turns = size.pick(quick=30, prove=300)
    for _ in range(8):
        await net.mine()
    for turn in range(turns):
        assert isinstance(await net.submit(turn), Attempt)
        for _ in range(dice.randint(1, 4)):
            await net.mine()
        await bend(net, SHAPES[turn % len(SHAPES)], dice.randint(1, 6), dice)
        await settle_all(net)
        if turn % 10 == 9:
            await check(net, set())
    await check(net, set())
    assert len(await mined(net)) == turns
    print(f"seed {SEED}: {turns} reorgs, depth 1 to 6")


async def test_row_12_rivals_with_our_nonce_are_never_taken_for_ours(net: Net, size: TestSize) -> None:
    rivals: set[str] = set()
    for _ in range(8):
        await net.mine()
    for turn in range(size.pick(quick=3, prove=30)):
        attempt = await net.submit(turn)
        assert isinstance(attempt, Attempt)
        await net.mine()
        raw, transaction = SIGNER.sign(
            chain_id=CHAIN_ID, nonce=attempt.nonce, to=SIGNER.address, data=b"", gas_limit=21_000,
            fee_cap_wei=30 * GWEI, tip_wei=3 * GWEI,
        )  # fmt: skip
        rivals.add(transaction)
        await net.node.rpc.call("anvil_reorg", 1, [["0x" + raw.hex(), 0]])
        with pytest.raises(Failed, match="not in the journal"):
            await settle_all(net)
        await net.restart()
        await check(net, rivals)
    assert net.store.entries() == []
