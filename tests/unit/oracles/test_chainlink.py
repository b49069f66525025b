"""Every way a feed can be unusable, judged in block time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from keeper.chain.client import RpcChain
from keeper.chain.connect import connect
from keeper.devnet.anvil import Anvil
from keeper.domain.chain import Head
from keeper.domain.feeds import FeedRule, FeedStatus
from keeper.domain.units import Address, to_address
from keeper.oracles.chainlink import DEFAULT_HEARTBEAT_S, ChainlinkFeeds
from tests.support.proxy import RpcProxy

TOKEN = to_address(b"\x70" * 20)
SOURCE = to_address(b"\x50" * 20)
PRICE = 1_234 * 10**8


def _answering(answers: dict[str, list[int]]) -> bytes:
    """Return the code of a contract that answers these selectors with these words, and reverts on others.

    Words stand behind the code and are copied out: PUSH2 size, DUP1, PUSH2 offset, PUSH1 0, CODECOPY, ...
    """
    tests, bodies = b"", b""
    step = 11  # DUP1 PUSH4 selector EQ PUSH2 target JUMPI
    start = 6 + step * len(answers) + 5
    words = {
        selector: b"".join((word % 2**256).to_bytes(32, "big") for word in row) for selector, row in answers.items()
    }
    data_at = start + 15 * len(answers)
    for index, (selector, data) in enumerate(words.items()):
        target = (start + 15 * index).to_bytes(2, "big")
        tests += b"\x80\x63" + bytes.fromhex(selector) + b"\x14\x61" + target + b"\x57"
        size, offset = len(data).to_bytes(2, "big"), data_at.to_bytes(2, "big")
        bodies += b"\x5b\x61" + size + b"\x80\x61" + offset + b"\x60\x00\x39\x60\x00\xf3" + b"\x00"
        data_at += len(data)
    head = b"\x60\x00\x35\x60\xe0\x1c"
    return head + tests + b"\x60\x00\x80\xfd\x00" + bodies + b"".join(words.values())


ROUND, DECIMALS, ANSWER = "feaf968c", "313ce567", "50d25bcd"


def _feed(
    *, answer: int = PRICE, updated_at_s: int, round_id: int = 5, answered_in: int = 5, decimals: int = 8
) -> bytes:
    return _answering({ROUND: [round_id, answer, updated_at_s, updated_at_s, answered_in], DECIMALS: [decimals]})


@pytest.fixture
async def chain(anvil: Anvil) -> AsyncIterator[RpcChain]:
    async with await connect([anvil.http_url], chain_id=31337) as connected:
        yield connected


async def _judge(chain: RpcChain, anvil: Anvil, code: bytes, rule: FeedRule | None = None) -> FeedStatus:
    await anvil.set_code(SOURCE, code)
    await anvil.mine()
    feeds = ChainlinkFeeds(chain, {} if rule is None else {TOKEN: rule})
    statuses = await feeds.read({TOKEN: SOURCE}, await chain.head())
    assert list(statuses) == [TOKEN]
    return statuses[TOKEN]


async def _now(chain: RpcChain) -> int:
    return (await chain.head()).timestamp_s


def _rule(heartbeat_s: int = 3_600, low: str | None = None, high: str | None = None) -> FeedRule:
    return FeedRule(
        token=TOKEN,
        heartbeat_s=heartbeat_s,
        min_answer=None if low is None else Decimal(low),
        max_answer=None if high is None else Decimal(high),
    )


async def test_fresh_answer_is_usable(chain: RpcChain, anvil: Anvil) -> None:
    now_s = await _now(chain)
    status = await _judge(chain, anvil, _feed(updated_at_s=now_s - 100), _rule(low="1234", high="1234"))
    assert status.usable
    assert (status.answer, status.updated_at_s, status.stale) == (PRICE, now_s - 100, False)


@pytest.mark.parametrize(("answer", "reason"), [(0, "feed_negative_or_zero"), (-5, "feed_negative_or_zero")])
async def test_answer_must_be_positive(chain: RpcChain, anvil: Anvil, answer: int, reason: str) -> None:
    status = await _judge(chain, anvil, _feed(answer=answer, updated_at_s=await _now(chain)))
    assert (status.reason, status.answer) == (reason, answer)
    assert str(answer) in status.detail


async def test_incomplete_rounds_are_refused(chain: RpcChain, anvil: Anvil) -> None:
    unanswered = await _judge(chain, anvil, _feed(updated_at_s=0))
    assert (unanswered.reason, unanswered.stale) == ("feed_round_incomplete", False)
    carried = await _judge(chain, anvil, _feed(updated_at_s=await _now(chain), answered_in=4))
    assert carried.reason == "feed_round_incomplete"
    assert "round 5" in carried.detail
    assert "round 4" in carried.detail


async def test_age_is_counted_in_block_time(chain: RpcChain, anvil: Anvil) -> None:
    """The chain's clock is months ahead of this machine's; only the blocks count."""
    updated_at_s = await _now(chain) + 10_000_000
    await anvil.set_next_timestamp(updated_at_s)
    fresh = await _judge(chain, anvil, _feed(updated_at_s=updated_at_s), _rule(60))
    assert fresh.usable
    await anvil.set_next_timestamp(updated_at_s + 60)
    assert (await _judge(chain, anvil, _feed(updated_at_s=updated_at_s), _rule(60))).usable
    await anvil.set_next_timestamp(updated_at_s + 61)
    late = await _judge(chain, anvil, _feed(updated_at_s=updated_at_s), _rule(60))
    assert (late.reason, late.stale, late.answer) == ("feed_stale", True, PRICE)
    assert "61 s" in late.detail
    assert "60 s" in late.detail


async def test_heartbeat_has_a_default(chain: RpcChain, anvil: Anvil) -> None:
    now_s = await _now(chain) + 200_000
    await anvil.set_next_timestamp(now_s)
    assert (await _judge(chain, anvil, _feed(updated_at_s=now_s - DEFAULT_HEARTBEAT_S))).usable
    await anvil.set_next_timestamp(now_s + 1)
    assert (await _judge(chain, anvil, _feed(updated_at_s=now_s - DEFAULT_HEARTBEAT_S))).reason == "feed_stale"


async def test_answer_from_the_future_is_refused_beyond_an_hour(chain: RpcChain, anvil: Anvil) -> None:
    now_s = await _now(chain) + 1_000
    await anvil.set_next_timestamp(now_s)
    assert (await _judge(chain, anvil, _feed(updated_at_s=now_s + 3_600))).usable
    await anvil.set_next_timestamp(now_s + 1)
    status = await _judge(chain, anvil, _feed(updated_at_s=now_s + 3_602))
    assert (status.reason, status.stale) == ("feed_from_future", False)


@pytest.mark.parametrize(
    ("low", "high", "decimals", "reason"),
    [
        ("1234", None, 8, None),
        ("1234.00000001", None, 8, "feed_out_of_bounds"),
        (None, "1233.99999999", 8, "feed_out_of_bounds"),
        (None, "1234", 8, None),
        ("0.9", "1.1", 8, "feed_out_of_bounds"),
        ("0.0000001234", "0.0000001234", 18, None),
    ],
)
async def test_bounds_are_in_units_of_the_feed(
    chain: RpcChain, anvil: Anvil, low: str | None, high: str | None, decimals: int, reason: str | None
) -> None:
    code = _feed(updated_at_s=await _now(chain), decimals=decimals)
    status = await _judge(chain, anvil, code, _rule(low=low, high=high))
    assert status.reason == reason


async def test_bounds_need_the_decimals(chain: RpcChain, anvil: Anvil) -> None:
    now_s = await _now(chain)
    code = _answering({ROUND: [5, PRICE, now_s, now_s, 5]})
    assert (await _judge(chain, anvil, code)).usable
    assert (await _judge(chain, anvil, code, _rule(low="1"))).reason == "feed_out_of_bounds"


async def test_source_without_rounds_is_usable_where_no_age_is_demanded(chain: RpcChain, anvil: Anvil) -> None:
    code = _answering({ANSWER: [PRICE]})
    status = await _judge(chain, anvil, code)
    assert (status.usable, status.answer, status.updated_at_s, status.stale) == (True, PRICE, None, False)
    demanded = await _judge(chain, anvil, code, _rule())
    assert demanded.reason == "feed_age_unknown"
    assert "3600 s" in demanded.detail
    assert (await _judge(chain, anvil, _answering({ANSWER: [0]}))).reason == "feed_negative_or_zero"


@pytest.mark.parametrize(
    "code", [b"", bytes.fromhex("60006000fd"), bytes.fromhex("5b600056"), bytes.fromhex("60ff6000f3"), b"\x00"]
)
async def test_source_that_says_nothing_sound_is_refused(chain: RpcChain, anvil: Anvil, code: bytes) -> None:
    """No code, a revert, an endless loop, zeros, and nothing at all."""
    status = await _judge(chain, anvil, code)
    assert not status.usable
    if code != bytes.fromhex("60ff6000f3"):
        assert (status.reason, status.answer) == ("feed_reverted", None)
        assert SOURCE in status.detail


async def test_bad_feed_leaves_the_others_alone_and_shared_sources_are_read_once(anvil: Anvil) -> None:
    tokens: list[Address] = [to_address(bytes((0x71 + i,)) * 20) for i in range(4)]
    broken, good = to_address(b"\x51" * 20), to_address(b"\x52" * 20)
    async with RpcProxy(anvil.http_url) as proxy, await connect([proxy.http_url], chain_id=31337) as chain:
        await anvil.set_code(broken, bytes.fromhex("5b600056"))
        await anvil.set_code(good, _feed(updated_at_s=await _now(chain)))
        await anvil.mine()
        head: Head = await chain.head()
        sources = dict(zip(tokens, (good, broken, good, good), strict=True))
        statuses = await ChainlinkFeeds(chain, {}).read(sources, head)
        assert [statuses[token].usable for token in tokens] == [True, False, True, True]
        assert await ChainlinkFeeds(chain, {}).read({}, head) == {}
        before = proxy.count()
        await ChainlinkFeeds(chain, {}).read(dict.fromkeys(tokens, good), head)
        assert proxy.count() == before + 1
