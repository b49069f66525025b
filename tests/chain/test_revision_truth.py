"""The rules of a revision against its contracts, on random real markets, shaken again and again."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from keeper.devnet.layout import MarketKind
from keeper.lending.aave_v3.view import AaveV3View
from tests.chain.conftest import Watched, watch
from tests.conftest import TestSize
from tests.support.pool_truth import account_data
from tests.support.revision_check import Checker
from tests.support.revision_market import Planter, Shaker, open_market
from tests.support.revision_probe import Probe
from tests.support.revision_transactions import Transactions

SEED = 20_261_120
SHARED_EVENTS = (
    "50 % regime",
    "full close by health",
    "cap branch",
    "collateral off",
    "NO_LIQUIDITY",
    "RESERVE_PAUSED",
    "RESERVE_INACTIVE",
    "PRICE_ORACLE_SENTINEL_CHECK_FAILED",
    "e-mode inside",
    "e-mode outside",
    "same asset",
    "frozen",
    "aToken gift",
    "third-party supply",
)
EVENTS: dict[MarketKind, Sequence[str]] = {
    "aave-v3": (*SHARED_EVENTS, "e-mode with a price of its own"),
    "aave-v3.6": (
        *SHARED_EVENTS,
        "full close by size",
        "MUST_NOT_LEAVE_DUST",
        "max refused",
        "deficit over two reserves",
        "LIQUIDATION_GRACE_SENTINEL_CHECK_FAILED",
        "e-mode only collateral",
    ),
}


async def check_standing(watched: Watched, probe: Probe, view: AaveV3View, at_s: int) -> int:
    """Every account's figures, at the head and at the call's time; return how many are liquidatable then."""
    accounts = sorted({*view.accounts(), *watched.world.layout.borrowers})
    told = await account_data(watched.chain, view, accounts)
    later = await probe.health(accounts, view.head, at_s)
    for account in accounts:
        for when_s, truth in (
            (view.head.timestamp_s, (told[account][0], told[account][1], told[account][5])),
            (at_s, later[account]),
        ):
            health = view.health(account, when_s)
            assert health is not None
            if account in view.positions:
                ours = (health.collateral_base, health.debt_base, health.health_factor_wad)
                assert ours == truth, (account, when_s)
            else:
                assert truth[1] == 0, (account, when_s)
    unhealthy = [health.account for health in view.unhealthy(at_s)]
    assert unhealthy == [account for account in accounts if later[account][2] < 10**18]
    return len(unhealthy)


@pytest.mark.parametrize("kind", ["aave-v3", "aave-v3.6"])
@pytest.mark.timeout(3_600)
async def test_the_rules_are_the_contract(kind: MarketKind, compiled_fixtures: None, size: TestSize) -> None:
    borrowers, scenarios = size.pick(quick=200, prove=1_000), size.pick(quick=10, prove=25)
    least = size.pick(quick=1, prove=20)
    rng = random.Random(f"{kind} {SEED}")
    seen: Counter[str] = Counter()
    async with open_market(kind, borrowers, SEED) as world, watch(world) as watched:
        view = await watched.view()
        planter = Planter(world, view, rng)
        planted = await planter.plant(each=borrowers // 5)
        await planter.drain("CBTC", leave_raw=2_000_000)
        probe = await Probe.deploy(world, watched.chain, view)
        transactions = await Transactions.prepare(world, probe)
        shaker = Shaker(world, rng)
        for number in range(scenarios):
            await shaker.shake(number)
            view = await watched.view()
            at_s = view.head.timestamp_s + (12 if number % 4 == 2 else rng.choice((12, 600, 86_400, 1_000_000)))
            seen["liquidatable"] += await check_standing(watched, probe, view, at_s)
            checker = Checker(view=view, at_s=at_s, planted=planted, rng=rng, seen=seen)
            calls = checker.calls()
            checker.check_all(calls, await probe.liquidate(calls, view, view.head, at_s))
            sample = rng.sample(calls, min(len(calls), size.pick(quick=6, prove=10)))
            for call in sample:
                checker.check(checker.expect(call), await transactions.liquidate(call, view, at_s))
                seen["transactions"] += 1
    print(f"{kind}, seed {SEED}: {borrowers} borrowers, {scenarios} scenarios", dict(sorted(seen.items())))
    missing = {event: seen[event] for event in EVENTS[kind] if seen[event] < least}
    assert not missing, missing
