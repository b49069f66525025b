"""Every figure of a liquidation, against the deployed pool, in simulated blocks."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from keeper.domain.lending import LiquidationCall, Outcome, Receive, Refused
from keeper.domain.units import MAX_UINT256, Address
from keeper.lending.aave_v3.view import AaveV3View
from tests.chain.conftest import Watched
from tests.conftest import TestSize
from tests.support.pool_truth import account_data, assert_same

Pair = tuple[Address, Address, Address]
RECEIVES: tuple[Receive, Receive] = ("underlying", "atoken")


def volatile(watched: Watched) -> list[str]:
    return [asset.symbol for asset in watched.world.market.assets if asset.spec.volatile]


async def fall(watched: Watched, percent: int) -> AaveV3View:
    await watched.world.shock(dict.fromkeys(volatile(watched), percent), pools_follow=False)
    return await watched.view()


def unhealthy_pairs(view: AaveV3View, at_s: int) -> list[Pair]:
    return [(health.account, *pair) for health in view.unhealthy(at_s) for pair in view.pairs(health.account)]


async def check_health(watched: Watched, view: AaveV3View) -> None:
    """Our list of unhealthy accounts and every figure of every account are the pool's own."""
    accounts = sorted({*view.accounts(), *watched.world.layout.borrowers})
    told = await account_data(watched.chain, view, accounts)
    at_s = view.head.timestamp_s
    for account, words in told.items():
        health = view.health(account, at_s)
        assert health is not None
        assert (health.collateral_base, health.debt_base, health.health_factor_wad) == (words[0], words[1], words[5])
    ours = [health.account for health in view.unhealthy(at_s)]
    assert ours == sorted(account for account, words in told.items() if words[5] < 10**18)


async def check_pair(watched: Watched, view: AaveV3View, pair: Pair, rng: random.Random, seen: Counter[str]) -> None:
    """The largest call, the borders of the accepted ranges, and random amounts of one pair."""
    account, debt, collateral = pair
    at_s = view.head.timestamp_s + 12
    largest = view.largest(account, debt, collateral, at_s)
    covers = {0, 1, MAX_UINT256}
    bound = 10**6
    if isinstance(largest, Outcome):
        bound = largest.repaid_raw
        covers |= {largest.call.cover_raw, bound - 1, bound, bound + 1, bound + bound // 1000 + 1}
    for item in view.ranges(account, debt, collateral, at_s):
        covers |= set() if item.cover_max else {item.low_raw, item.high_raw, item.high_raw + 1}
    covers |= {rng.randint(1, 2 * bound) for _ in range(4)}
    best = 0
    for receive in RECEIVES:
        for cover in sorted(covers):
            call = LiquidationCall(
                account=account, debt=debt, collateral=collateral, cover_raw=max(cover, 0), receive=receive
            )
            ours = view.outcome(call, at_s)
            (truth,) = await watched.truth.liquidate([call], view, at_s)
            assert_same(ours, truth)
            if isinstance(ours, Outcome):
                best = max(best, truth.repaid_raw)
                after = view.after(call, at_s)
                position = after.positions.get(account)
                assert (position is not None) == truth.position.has_debt
                if position is not None:
                    assert position == truth.position
                seen["capped" if ours.repaid_raw < min(cover, bound) else "taken"] += 1
                seen["deficit"] += bool(ours.deficits)
                seen["closed"] += ours.health_after_wad == MAX_UINT256
            else:
                seen[ours.code] += 1
    if isinstance(largest, Outcome):
        assert best == largest.repaid_raw
    else:
        assert best == 0
        seen["refused pair"] += 1
    check_ranges(view, pair, at_s)


def check_ranges(view: AaveV3View, pair: Pair, at_s: int) -> None:
    """Explicit amounts are accepted as they are, now and minutes later."""
    for item in view.ranges(*pair, at_s):
        for later_s in (at_s, at_s + 300):
            for cover in (MAX_UINT256,) if item.cover_max else (item.low_raw, item.high_raw):
                call = LiquidationCall(account=pair[0], debt=pair[1], collateral=pair[2], cover_raw=cover)
                outcome = view.outcome(call, later_s)
                assert isinstance(outcome, Outcome), (item, outcome)
                if not item.cover_max:
                    assert outcome.repaid_raw == cover


async def check_all(watched: Watched, view: AaveV3View, count: int, seed: str, seen: Counter[str]) -> None:
    await check_health(watched, view)
    rng = random.Random(seed)
    pairs = unhealthy_pairs(view, view.head.timestamp_s + 12)
    for pair in rng.sample(pairs, min(count, len(pairs))):
        await check_pair(watched, view, pair, rng, seen)
        seen["pairs"] += 1


async def test_real_aave_takes_and_gives_what_we_say(aave: Watched, size: TestSize) -> None:
    seen: Counter[str] = Counter()
    for step, percent in enumerate((-10, -15, -20)):
        view = await fall(aave, percent)
        await check_all(aave, view, size.pick(quick=12, prove=200), f"aave {step}", seen)
    print(dict(seen))
    assert seen["pairs"] >= 30
    assert seen["taken"]
    assert seen["INVALID_BURN_AMOUNT"]


@pytest.mark.parametrize("policy", range(4))
async def test_bundled_market_takes_and_gives_what_we_say(bundled: Watched, policy: int, size: TestSize) -> None:
    await bundled.world.set_policy(policy)
    seen: Counter[str] = Counter()
    for step, percent in enumerate((-12, -20, -30)):
        view = await fall(bundled, percent)
        assert view.revision == 1000 + policy
        await check_all(bundled, view, size.pick(quick=8, prove=200), f"bundled {policy} {step}", seen)
    print(view.policy, dict(seen))
    assert seen["pairs"] >= 20
    if policy == 2:
        assert seen["MUST_NOT_LEAVE_DUST"]
        assert seen["deficit"]


async def test_calls_in_one_block_meet_what_the_earlier_ones_left(aave: Watched, size: TestSize) -> None:
    view = await fall(aave, -25)
    at_s = view.head.timestamp_s + 12
    rng = random.Random("sequence")
    pairs = unhealthy_pairs(view, at_s)
    state, sequence, expected = view, [], []
    for pair in rng.sample(pairs, min(size.pick(quick=20, prove=100), len(pairs))):
        largest = state.largest(*pair, at_s)
        if isinstance(largest, Refused):
            continue
        sequence.append(largest.call)
        expected.append(largest)
        state = state.after(largest.call, at_s)
    assert len(sequence) >= 10
    for ours, truth in zip(expected, await aave.truth.liquidate(sequence, view, at_s), strict=True):
        assert_same(ours, truth)
