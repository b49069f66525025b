"""The time a transaction sent now is planned for."""

from __future__ import annotations

import pytest

from keeper.domain.chain import Head
from keeper.watch.inclusion import BlockTimes


def head(number: int, timestamp_s: int) -> Head:
    return Head(
        number=number,
        hash=f"0x{number:064x}",
        parent_hash="0x" + "00" * 32,
        timestamp_s=timestamp_s,
        base_fee_wei=1,
        gas_used=0,
        gas_limit=1,
    )


def seen(*heads: Head) -> BlockTimes:
    times = BlockTimes()
    for each in heads:
        times.saw(each)
    return times


def test_the_nodes_word_counts_when_it_is_later_than_the_head() -> None:
    times = seen(head(1, 100))
    assert times.inclusion_s(head(1, 100), 107) == 107
    assert times.inclusion_s(head(1, 100), 100) == 101
    assert times.inclusion_s(head(1, 100), 90) == 101


def test_without_a_word_and_without_history_the_next_second() -> None:
    assert seen().inclusion_s(head(1, 100), None) == 101


@pytest.mark.parametrize(
    ("times_s", "gap_s"), [([0, 12, 24], 12), ([0, 12, 24, 25], 12), ([0, 2, 14, 16, 28], 2), ([0, 0, 0], 1)]
)
def test_the_low_median_of_recent_gaps(times_s: list[int], gap_s: int) -> None:
    heads = [head(number, at) for number, at in enumerate(times_s)]
    assert seen(*heads).inclusion_s(heads[-1], None) == heads[-1].timestamp_s + gap_s


def test_skipped_heads_count_with_the_blocks_between() -> None:
    assert seen(head(1, 0), head(5, 48)).inclusion_s(head(5, 48), None) == 60


def test_a_head_that_goes_back_starts_anew() -> None:
    """A saved chain that is loaded again, or a reorganisation, says nothing about the gaps before it."""
    times = seen(head(1, 0), head(2, 600), head(3, 1200), head(2, 601))
    assert times.inclusion_s(head(2, 601), None) == 602


def test_only_recent_heads_count() -> None:
    slow = [head(number, 100 * number) for number in range(5)]
    fast = [head(5 + number, 401 + 2 * number) for number in range(8)]
    assert seen(*slow, *fast).inclusion_s(fast[-1], None) == fast[-1].timestamp_s + 2
