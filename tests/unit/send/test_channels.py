from collections.abc import Sequence

import pytest

from keeper.domain.errors import RpcError, Transient
from keeper.send.channels import Errand
from keeper.send.channels.private import Fallback, FallbackPolicy, PrivateChannel
from keeper.send.channels.public import PublicChannel
from keeper.send.dialects import Answer
from keeper.store.records import AttemptKind
from tests.faults.fake_chain import FakeChain

OURS = "0x" + "ab" * 32
PLAN = Errand(kind="plan", last_block=20)
KNOWN = RpcError(-32000, "already known")
FUNDS = RpcError(-32000, "insufficient funds")
LOST = Transient("timed out")


class ManyNodes(FakeChain):
    def __init__(self, replies: Sequence[str | RpcError | Transient]) -> None:
        super().__init__()
        self.replies = list(replies)
        self.asked = 0

    async def send_raw_to_all(self, raw: bytes) -> list[str | RpcError | Transient]:
        self.asked += 1
        return self.replies


@pytest.mark.parametrize(
    ("replies", "answer", "standing"),
    [
        ([OURS], Answer.ACCEPTED, "accepted"),
        ([FUNDS, LOST, OURS], Answer.ACCEPTED, "accepted"),
        ([LOST, KNOWN], Answer.ALREADY_KNOWN, "accepted"),
        ([FUNDS, LOST], Answer.AMBIGUOUS, "ambiguous"),
        ([FUNDS, FUNDS], Answer.FUNDS, "refused"),
        (["0x" + "cd" * 32], Answer.AMBIGUOUS, "ambiguous"),
        ([], Answer.AMBIGUOUS, "ambiguous"),
    ],
)
async def test_one_node_that_has_it_is_enough(
    replies: Sequence[str | RpcError | Transient], answer: Answer, standing: str
) -> None:
    found = await PublicChannel(ManyNodes(replies)).broadcast(b"", OURS, PLAN)
    assert (found.answer, found.standing) == (answer, standing)


class Builder:
    def __init__(self, reply: str | Exception = OURS) -> None:
        self.reply = reply
        self.taken: list[int | None] = []

    async def submit_raw(self, raw: bytes, last_block: int | None) -> str:
        self.taken.append(last_block)
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


@pytest.mark.parametrize(
    ("kind", "policy", "waited", "public"),
    [
        ("plan", "never", 100, False),
        ("plan", "after_blocks", 2, False),
        ("plan", "after_blocks", 3, True),
        ("bump", "after_blocks", 3, True),
        ("bump", "never", 100, False),
        ("cancel", "never", 0, True),
    ],
)
async def test_row_37_what_is_private_stays_so_as_long_as_the_policy_says(
    kind: AttemptKind, policy: Fallback, waited: int, public: bool
) -> None:
    nodes, builder = ManyNodes([OURS]), Builder()
    channel = PrivateChannel(builder, PublicChannel(nodes), FallbackPolicy(kind=policy, blocks=3))
    errand = Errand(kind=kind, waited_blocks=waited, last_block=20)
    assert (await channel.broadcast(b"", OURS, errand)).standing == "accepted"
    assert builder.taken == [20]
    assert nodes.asked == int(public)


async def test_a_relay_that_refuses_surely_frees_the_nonce_and_one_that_is_silent_does_not() -> None:
    public = PublicChannel(ManyNodes([OURS]))
    for reply, standing in ((FUNDS, "refused"), (LOST, "ambiguous"), (RpcError(-32000, "no idea"), "ambiguous")):
        channel = PrivateChannel(Builder(reply), public, FallbackPolicy())
        assert (await channel.broadcast(b"", OURS, PLAN)).standing == standing


def test_a_channel_says_whether_a_revert_can_land() -> None:
    public = PublicChannel(ManyNodes([]))
    assert public.reverts_can_land
    assert not PrivateChannel(Builder(), public, FallbackPolicy()).reverts_can_land
    assert PrivateChannel(Builder(), public, FallbackPolicy(kind="after_blocks", blocks=1)).reverts_can_land
