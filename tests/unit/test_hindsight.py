"""What is remembered of plans and heads, and what a mined plan is compared with."""

from __future__ import annotations

from dataclasses import replace

from support.lending import address
from support.markets import ACCOUNT, COLLATERAL, DEBT, Line, LineMarket, span
from support.plans import FUND, called, plan
from support.pool_chain import head, v2_pool

from keeper.hindsight import Hindsight, Ride
from keeper.venues.view import BookView, RouteIndex
from keeper.watch.snapshot import Snapshot

POOL = v2_pool(1, COLLATERAL, DEBT, 10**9, 10**9)
POOLS = BookView({POOL.address: POOL}, RouteIndex([POOL], []))
OTHER = address(0xACD)


def snapshot(number: int, numerator: int = 110) -> Snapshot:
    line = {(DEBT, COLLATERAL): Line((span(1, 10**6),), numerator, 100)}
    market = LineMarket(lines={ACCOUNT: line, OTHER: line})
    return Snapshot(head=head(number), inclusion_s=0, markets={"lines": market}, venues=POOLS, feeds={})


def after(number: int) -> int:
    """The time of the block after one."""
    return head(number).timestamp_s + 12


def earned(received_raw: int, sold_before_raw: int = 0) -> int:
    pool = POOL.after(COLLATERAL, sold_before_raw) if sold_before_raw else POOL
    proceeds_raw = pool.quote(COLLATERAL, received_raw)
    assert proceeds_raw is not None
    return proceeds_raw - 10**6 - FUND.premium_raw


def test_a_plan_is_compared_with_the_newest_market_before_its_block() -> None:
    hindsight = Hindsight()
    hindsight.see(base := snapshot(1))
    hindsight.remember("a", Ride(plan=plan()), base, ())
    assert hindsight.expected_raw("a", after(1)) == earned(1_100_000)
    hindsight.see(snapshot(2, numerator=120))
    assert hindsight.expected_raw("a", after(1)) == earned(1_100_000)  # that head is its own block
    assert hindsight.expected_raw("a", after(2)) == earned(1_200_000)
    hindsight.see(snapshot(2, numerator=130))  # a reorganisation replaced it
    assert hindsight.expected_raw("a", after(2)) == earned(1_300_000)


def test_what_was_mined_before_it_has_moved_the_pools() -> None:
    hindsight = Hindsight()
    first, second = Ride(plan=plan()), Ride(plan=plan(steps=called(account=OTHER)))
    hindsight.remember("a", first, snapshot(1), ())
    hindsight.remember("b", second, snapshot(1), (first,))
    assert hindsight.expected_raw("b", after(1)) == earned(1_100_000)  # the first one never made it
    hindsight.expected_raw("a", after(1))
    assert hindsight.expected_raw("b", after(1)) == earned(1_100_000, sold_before_raw=1_100_000)


def test_what_is_not_known_is_not_guessed() -> None:
    hindsight = Hindsight()
    assert hindsight.expected_raw("a", 1) is None
    hindsight.remember("a", Ride(plan=plan()), replace(snapshot(1), venues=None), ())
    assert hindsight.expected_raw("a", 1) is None


def test_a_plan_is_forgotten_when_no_reorganisation_can_mine_it_again() -> None:
    """What holds on to an old snapshot holds on to every change of the book since."""
    hindsight = Hindsight()
    hindsight.remember("mined", Ride(plan=plan(), mined_s=1), snapshot(10), ())
    hindsight.remember("never", Ride(plan=plan()), snapshot(10), ())
    hindsight.see(snapshot(138))
    assert all(hindsight.expected_raw(each, after(10)) is not None for each in ("mined", "never"))
    hindsight.see(snapshot(139))
    assert all(hindsight.expected_raw(each, after(10)) is None for each in ("mined", "never"))


def test_old_plans_are_forgotten_mined_ones_first() -> None:
    hindsight = Hindsight()
    for number in range(80):
        hindsight.remember(str(number), Ride(plan=plan(), mined_s=1 if number < 20 else None), snapshot(1), ())
    known = [number for number in range(80) if hindsight.expected_raw(str(number), after(1)) is not None]
    assert known == [*range(12, 20), *range(20, 80)]
