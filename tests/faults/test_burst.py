"""Very many liquidations at once, on a node that refuses, loses and forgets some of them."""

from __future__ import annotations

import random
from collections import Counter

from keeper.domain.attempts import Attempt
from keeper.domain.errors import RpcError, Transient
from keeper.send.settings import SendSettings
from tests.faults.fake_chain import SIGNER
from tests.faults.rig import Rig, plan_for

SEED = 6
PLANS = 200
ANSWERS = [None] * 8 + [
    Transient("timed out"),
    RpcError(-32000, "txpool is full"),
    RpcError(-32000, "nonce too low"),
]


def gap(rig: Rig) -> bool:
    """Whether something of ours waits for a nonce that nobody is about to use."""
    waiting = sorted(nonce for sender, nonce in rig.chain.pool if sender == SIGNER)
    held = {attempt.nonce for attempt in rig.sender.in_flight()}
    following = rig.chain._next_nonce(SIGNER)
    return any(nonce not in held for nonce in range(following, max(waiting, default=following)))


async def test_row_10_a_burst_of_200_is_mined_or_given_up_and_leaves_no_gap(rig: Rig) -> None:
    rig.settings = SendSettings(most_in_flight=256)
    await rig.restart()
    dice = random.Random(SEED)
    rig.chain.answers = [dice.choice(ANSWERS) for _ in range(PLANS)]
    answers = [await rig.sender.submit(plan_for(number, deadline_block=12)) for number in range(PLANS)]
    refused = [answer for answer in answers if isinstance(answer, str)]
    sent = [answer for answer in answers if isinstance(answer, Attempt)]
    assert set(refused) == {"pool_full"}
    assert [attempt.nonce for attempt in sent] == list(range(len(sent)))
    for _ in range(30):
        if dice.random() < 0.3 and rig.chain.pool:
            rig.chain.pool.pop(dice.choice(sorted(rig.chain.pool)))
        await rig.sender.settle(rig.chain.mine(take=dice.random() < 0.5))
        assert not gap(rig)
    assert rig.sender.in_flight() == []
    ended = Counter(entry.status for entry in rig.store.entries())
    print(f"seed {SEED}: {len(refused)} refused by the node, {dict(ended)}")
    assert sum(ended.values()) == len(sent)
    assert set(ended) <= {"success", "given-up"}
    assert rig.store.audit()["findings"] == []
