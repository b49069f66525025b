"""Whatever the chain does, what was mirrored is what the new branch says."""

from __future__ import annotations

import random

import pytest

from keeper.domain.chain import Head
from keeper.domain.errors import Stale, Transient
from keeper.observe import metrics
from keeper.watch.watcher import HEADS_KEPT, Watcher
from tests.support.branches import BLOCK_S, PAIR, Branches, Mirror, NoFeeds, block_hash


class Watched:
    """A watcher over one market and one set of pools on a chain with five blocks."""

    def __init__(self) -> None:
        self.chain = Branches()
        self.chain.grow("", "x", "y", "x z", "y")
        self.market = Mirror(self.chain)
        self.venues = Mirror(self.chain, address=PAIR)
        self.watcher = Watcher(self.chain, [self.market], self.venues, NoFeeds())  # type: ignore[arg-type, list-item]

    async def see(self, head: Head) -> None:
        """Advance to `head` and compare all mirrors with the chain."""
        snapshot = await self.watcher.advance(head)
        assert snapshot.head == head
        assert self.market.differences(head) == {}
        assert self.venues.differences(head) == {}

    def forget(self) -> None:
        """Start counting anew."""
        self.chain.asked.clear()
        self.chain.ranges.clear()
        self.market.calls.clear()
        self.venues.calls.clear()


@pytest.fixture
async def watched() -> Watched:
    """One that has seen the five blocks, one after another."""
    each = Watched()
    for height in range(5):
        await each.watcher.advance(each.chain.blocks[height][0])
    each.forget()
    return each


def reorgs() -> float:
    return metrics.REORGS._value.get()


async def test_the_first_head_starts_everything() -> None:
    each = Watched()
    await each.see(each.chain.blocks[-1][0])
    assert each.market.calls == ["start", "all"]
    assert each.venues.calls == ["start", "all"]


async def test_the_same_head_again_asks_for_no_logs(watched: Watched) -> None:
    await watched.see(watched.chain.blocks[-1][0])
    assert watched.chain.asked == {}
    assert watched.market.calls == ["logs"]


async def test_a_child_costs_the_logs_of_one_block(watched: Watched) -> None:
    await watched.see(watched.chain.grow("x w"))
    assert watched.chain.ranges == [(5, 5)]
    assert watched.chain.asked == {"logs": 1}
    assert watched.market.calls == ["logs"]


async def test_a_gap_is_filled(watched: Watched) -> None:
    before = reorgs()
    await watched.see(watched.chain.grow("x", "v", "", "y"))
    assert watched.chain.ranges == [(5, 8)]
    assert watched.market.calls == ["logs"]
    assert reorgs() == before


async def test_sideways(watched: Watched) -> None:
    """Another block of the same height, which does not write where the old one did."""
    before = reorgs()
    watched.chain.fork(3)
    await watched.see(watched.chain.grow("x", branch="b"))
    assert watched.market.calls == ["logs"]
    assert watched.venues.calls == ["all", "logs"]
    assert reorgs() == before + 1


async def test_a_new_branch_of_the_same_length_plus_one(watched: Watched) -> None:
    watched.chain.fork(2)
    await watched.see(watched.chain.grow("z", "z", "", branch="b"))
    assert watched.chain.ranges == [(3, 5)]


async def test_a_shorter_branch(watched: Watched) -> None:
    before = reorgs()
    watched.chain.fork(1)
    await watched.see(watched.chain.grow("", branch="b"))
    assert reorgs() == before + 1
    await watched.see(watched.chain.grow("x", "y", "z", branch="b"))


async def test_a_chain_taken_back_without_another_branch(watched: Watched) -> None:
    watched.chain.fork(2)
    await watched.see(watched.chain.blocks[-1][0])


async def test_deeper_than_anything_known() -> None:
    each = Watched()
    await each.see(each.chain.blocks[4][0])
    each.chain.fork(0)
    each.forget()
    await each.see(each.chain.grow("x", "", "q", "", "z", branch="b"))
    assert each.market.calls == ["all"]
    assert each.chain.ranges == [(0, 5)]


async def test_a_node_that_forgot_the_old_blocks(watched: Watched) -> None:
    watched.chain.fork(3)
    watched.chain.forget_below = 5
    await watched.see(watched.chain.grow("x", "y", branch="b"))


async def test_there_and_back_again(watched: Watched) -> None:
    old = watched.chain.blocks[4]
    watched.chain.fork(3)
    await watched.see(watched.chain.grow("z", branch="b"))
    watched.chain.fork(3)
    watched.chain.blocks.append(old)
    await watched.see(watched.chain.grow("w"))


async def test_logs_of_a_block_that_was_replaced_are_stale(watched: Watched) -> None:
    head = watched.chain.grow("x")
    watched.chain.swapped = block_hash("b", 5)
    with pytest.raises(Stale, match="block 5 was replaced"):
        await watched.watcher.advance(head)
    watched.chain.swapped = None
    await watched.see(head)


async def test_a_provider_that_wants_pages_makes_a_new_start(watched: Watched) -> None:
    watched.chain.most_blocks = 2
    await watched.see(watched.chain.grow("x", "y", "w"))
    assert watched.market.calls == ["start", "all"]


async def test_what_failed_is_caught_up_with_the_next_head(watched: Watched) -> None:
    watched.chain.failures = [Transient("no answer")]
    with pytest.raises(Transient):
        await watched.watcher.advance(watched.chain.grow("x"))
    watched.market.failures = [Transient("no answer")]
    with pytest.raises(Transient):
        await watched.watcher.advance(watched.chain.grow("v"))
    await watched.see(watched.chain.grow("y"))
    assert watched.chain.ranges[-1] == (5, 7)


async def test_a_failure_in_the_middle_of_a_reorg(watched: Watched) -> None:
    watched.chain.fork(3)
    head = watched.chain.grow("x", branch="b")
    for market_fails in (True, False):
        (watched.market if market_fails else watched.venues).failures = [Transient("no answer")]
        with pytest.raises(Transient):
            await watched.watcher.advance(head)
    await watched.see(watched.chain.grow("w", branch="b"))


async def test_a_block_that_was_half_taken_in_and_then_replaced(watched: Watched) -> None:
    """The market had been read at a block of which nothing else is remembered."""
    watched.venues.failures = [Transient("no answer")]
    with pytest.raises(Transient):
        await watched.watcher.advance(watched.chain.grow("x w"))
    watched.chain.fork(4)
    await watched.see(watched.chain.grow("y", branch="b"))


async def test_history_is_bounded(watched: Watched) -> None:
    for _ in range(HEADS_KEPT + 20):
        await watched.watcher.advance(watched.chain.grow(""))
    assert len(watched.watcher._known) <= HEADS_KEPT + 1


async def test_the_inclusion_time_is_after_the_head(watched: Watched) -> None:
    snapshot = await watched.watcher.advance(watched.chain.grow(""))
    assert snapshot.inclusion_s == snapshot.head.timestamp_s + BLOCK_S
    watched.chain.pending_s = snapshot.head.timestamp_s + BLOCK_S + 3
    snapshot = await watched.watcher.advance(watched.chain.grow(""))
    assert snapshot.inclusion_s == watched.chain.pending_s


@pytest.mark.parametrize("seed", range(30))
async def test_any_history(seed: int) -> None:
    """Random growth, reorganisations, gaps and failures: the mirrors never differ from the chain."""
    dice = random.Random(seed)
    each = Watched()
    await each.see(each.chain.blocks[-1][0])
    for step in range(40):
        if dice.random() < 0.3:
            each.chain.fork(max(0, len(each.chain.blocks) - 1 - dice.randint(1, 6)))
        writes = [" ".join(dice.sample("uvwxyz", dice.randint(0, 3))) for _ in range(dice.randint(1, 4))]
        head = each.chain.grow(*writes, branch=f"s{step}-")
        if dice.random() < 0.2:
            dice.choice([each.chain.failures, each.market.failures, each.venues.failures]).append(Transient("none"))
        try:
            await each.watcher.advance(head)
        except Transient:
            continue
        assert each.market.differences(head) == {}, step
        assert each.venues.differences(head) == {}, step
