"""A jump is held against a second source, or against the last answer, and let go by confirmation only."""

from __future__ import annotations

import pytest

from keeper.domain.chain import Head
from keeper.domain.feeds import FeedRule, SequencerRule
from keeper.domain.units import Address, to_address
from keeper.oracles.jumps import JumpWatch, distance_bps
from keeper.oracles.sequencer import judge_sequencer

SOURCE, SECOND, TOKEN = (to_address(bytes([n]) * 20) for n in (1, 2, 3))


def _head(number: int, timestamp_s: int = 1_000_000) -> Head:
    return Head(
        number=number,
        hash=f"0x{number:064x}",
        parent_hash=f"0x{number - 1:064x}",
        timestamp_s=timestamp_s,
        base_fee_wei=0,
        gas_used=0,
        gas_limit=0,
    )


def _rule(*, second: Address | None = SECOND, blocks: int | None = None) -> FeedRule:
    return FeedRule(token=TOKEN, heartbeat_s=60, max_jump_bps=500, second_source=second, jump_blocks=blocks)


def test_second_source_bears_a_jump_out_or_holds_it() -> None:
    watch = JumpWatch()
    assert watch.judge(SOURCE, 1_000, 1_010, _rule(), _head(1)) is None
    held = watch.judge(SOURCE, 800, 1_000, _rule(), _head(2))
    assert held is not None
    assert "2000 bps" in held
    assert watch.judge(SOURCE, 800, 1_000, _rule(), _head(900)) is not None  # time alone confirms nothing
    assert watch.judge(SOURCE, 800, 810, _rule(), _head(901)) is None


def test_bound_itself_is_allowed_and_one_more_is_not() -> None:
    watch = JumpWatch()
    assert watch.judge(SOURCE, 10_500, 10_000, _rule(), _head(1)) is None
    assert watch.judge(SOURCE, 10_501, 10_000, _rule(), _head(1)) is not None
    assert watch.judge(SOURCE, 9_500, 10_000, _rule(), _head(1)) is None
    assert watch.judge(SOURCE, 9_499, 10_000, _rule(), _head(1)) is not None


def test_blocks_confirm_where_the_operator_says_so() -> None:
    watch = JumpWatch()
    rule = _rule(second=None, blocks=3)
    assert watch.judge(SOURCE, 1_000, None, rule, _head(10)) is None  # nothing to jump from
    assert watch.judge(SOURCE, 700, None, rule, _head(11)) is not None
    assert watch.judge(SOURCE, 700, None, rule, _head(13)) is not None
    assert watch.judge(SOURCE, 700, None, rule, _head(14)) is None
    assert watch.judge(SOURCE, 710, None, rule, _head(15)) is None


def test_jump_that_goes_back_starts_anew() -> None:
    watch = JumpWatch()
    rule = _rule(second=None, blocks=3)
    for number, answer, held in ((1, 1_000, False), (2, 500, True), (3, 1_000, False), (5, 500, True), (7, 500, True)):
        assert (watch.judge(SOURCE, answer, None, rule, _head(number)) is not None) is held
    assert watch.judge(SOURCE, 500, None, rule, _head(8)) is None


def test_silent_second_source_confirms_only_what_hardly_moved() -> None:
    watch = JumpWatch()
    first = watch.judge(SOURCE, 1_000, None, _rule(), _head(1))
    assert first is not None  # never compared yet
    assert "no answer" in first
    assert watch.judge(SOURCE, 1_000, 1_000, _rule(), _head(2)) is None
    assert watch.judge(SOURCE, 1_020, None, _rule(), _head(3)) is None
    assert watch.judge(SOURCE, 1_200, None, _rule(), _head(4)) is not None


def test_distance_is_rounded_up() -> None:
    assert distance_bps(10_000, 10_000) == 0
    assert distance_bps(100_000_001, 100_000_000) == 1
    assert distance_bps(1, 10_000) == 9_999


FEED = SequencerRule(feed=SOURCE, grace_s=3_600)


@pytest.mark.parametrize(
    ("words", "now_s", "reason"),
    [
        ((9, 0, 1_000, 1_000, 9), 4_601, None),
        ((9, 0, 1_000, 1_000, 9), 4_600, "sequencer_grace"),
        ((9, 1, 1_000, 1_000, 9), 10**9, "sequencer_down"),
        ((9, 0, 0, 1_000, 9), 10**9, "sequencer_unknown"),
        ((9, 2, 1_000, 1_000, 9), 10**9, "sequencer_unknown"),
        (None, 10**9, "sequencer_unknown"),
    ],
)
def test_sequencer(words: tuple[int, ...] | None, now_s: int, reason: str | None) -> None:
    fault = judge_sequencer(words, FEED, _head(1, now_s))
    assert (fault and fault[0]) == reason
