"""The searches that optimality is measured by, against the deployed contracts: pools, runs, and runs at other times."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from eth_abi.abi import decode, encode
from eth_utils import keccak
from support.desk import BLOCK_S, Desk, open_desk
from support.search_one import Found, search_one
from support.search_ours import best, venues_of
from support.search_plans import as_plan, execute, near_runs, neighbours
from support.search_pools import Product, Ranges, own_pools
from support.search_runs import design_of
from support.search_sale import Case
from support.search_worlds import opened

from keeper.devnet.layout import MarketKind
from keeper.devnet.world import World
from keeper.domain.chain import Call
from keeper.domain.units import Address
from keeper.estimate.gas import GasMemory
from keeper.estimate.reprice import replay
from tests.conftest import TestSize

SINGLE = "(address,address,uint256,uint24,uint160)"
QUOTE_V3 = bytes(keccak(text=f"quoteExactInputSingle({SINGLE})")[:4])
QUOTE_V2 = bytes(keccak(text="getAmountsOut(uint256,address[])")[:4])
KINDS: tuple[MarketKind, MarketKind] = ("aave-v3", "aave-v3.6")


async def test_the_searches_pools_are_the_contracts(aave_world: World, size: TestSize) -> None:
    dice = random.Random(20261120)
    async with open_desk(aave_world) as desk:
        head = await desk.chain.head()
        pools = own_pools((await desk.venues.advance(head, None)).pools.values())
        drawn = [dice.choice(list(pools.values())) for _ in range(size.pick(quick=300, prove=4_000))]
        asked = [(pool, dice.choice(pool.tokens), int(10 ** dice.uniform(3, 30))) for pool in drawn]
        answers = await desk.chain.read([quote_call(aave_world, *each) for each in asked], head)
    seen: Counter[str] = Counter()
    for (pool, token, amount), answer in zip(asked, answers, strict=True):
        ours = pool.exact(token, amount)
        if isinstance(pool, Product):
            told = decode(["uint256[]"], answer.data)[0][-1] if answer.ok else 0
            assert (ours[0] if ours else 0) == told or amount + max(pool.held) >= 1 << 112
            seen["pair"] += 1
        else:
            assert ours is not None
            out, root, crossed, _ = decode(["uint256", "uint160", "uint32", "uint256"], answer.data)
            after = ours[1]
            assert isinstance(after, Ranges)
            assert (ours[0], after.root) == (out, root)
            seen["crossed" if crossed else "within a range"] += 1
    print(dict(seen))
    assert min(seen[each] for each in ("pair", "crossed", "within a range")) >= len(asked) // 20


def quote_call(world: World, pool: Product | Ranges, token: Address, amount: int) -> Call:
    """The contract's own quote of one swap."""
    other = pool.tokens[1 - pool.tokens.index(token)]
    if isinstance(pool, Ranges):
        quoter = next(venue.quoter for venue in world.venues if venue.quoter)
        data = QUOTE_V3 + encode([SINGLE], [(token, other, amount, pool.fee, 0)])
        return Call(to=quoter, data=data)
    router = next(venue.router for venue in world.venues if venue.protocol == "uniswap-v2" and venue.router)
    return Call(to=router, data=QUOTE_V2 + encode(["uint256", "address[]"], [amount, [token, other]]))


async def cases_of(desk: Desk, limit: int) -> list[Case]:
    """All accounts that can be liquidated as things stand on the chain, with the pools as they are."""
    head = await desk.chain.head()
    view = await desk.market.advance(head, None)
    pools = dict((await desk.venues.advance(head, None)).pools)
    at_s = head.timestamp_s + BLOCK_S
    dice = random.Random(head.number)
    found = [
        Case(
            name=f"{desk.world.market.kind} {health.account}",
            view=view,
            at_s=at_s,
            account=health.account,
            pools=pools,
            native=desk.world.tokens["WETH"],
            wei_per_gas=int(10 ** dice.uniform(8, 10)),
            memory=GasMemory(),
        )
        for health in view.unhealthy(at_s)
    ]
    return dice.sample(found, min(limit, len(found)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.timeout(3_600)
async def test_runs_pay_what_the_search_says(kind: MarketKind, size: TestSize, compiled_fixtures: None) -> None:
    """Winners and their neighbours, by the executor's real calldata; at other times what `reprice` says."""
    dice = random.Random(f"{kind} 20261120")
    seen: Counter[str] = Counter()
    async with opened(kind, depth_usd=800_000, borrowers=60, seed=20261120) as world, open_desk(world) as desk:
        for fall in (-9, -8, -10):
            await world.shock({"WETH": fall, "WBTC": fall - 2, "LINK": fall - 4})
            for case in await cases_of(desk, size.pick(quick=2, prove=12)):
                await check_case(desk, case, dice, seen)
    print(kind, dict(seen))
    assert seen["best"] >= size.pick(quick=4, prove=25)
    assert seen["paid"] > seen["lost"]


async def check_case(desk: Desk, case: Case, dice: random.Random, seen: Counter[str]) -> None:
    """The best single liquidation by the search, the best run by the sizer, and what lies near them."""
    found = search_one(case, 300)
    if found is not None and found.profit_raw > 0:
        for name, near in neighbours(case, found, dice):
            await check_run(desk, case, name, near, dice, seen)
    choice = best(case)
    if choice is not None and choice.profit_raw > 0 and len(choice.steps) > 1:
        parts = [(leg.route, leg.amount_in_raw) for leg in choice.legs]
        seen[f"{len(choice.steps)} steps"] += 1
        for name, near in near_runs(case, design_of(choice.steps, parts, choice.profit_token), dice):
            await check_run(desk, case, f"{name}, several steps", near, dice, seen)


async def check_run(desk: Desk, case: Case, name: str, found: Found, dice: random.Random, seen: Counter[str]) -> None:
    """The contracts pay what was computed, at the time it was computed for and at another one."""
    executor, head = desk.world.layout.executor, case.view.head
    assert executor is not None
    plan = as_plan(case, found)
    paid = await execute(desk.chain, executor, plan, at=head, at_s=case.at_s)
    seen[name] += 1
    if found.profit_raw < 0:
        assert paid.profit_raw is None, (case.name, name)
        seen["lost"] += 1
        return
    assert paid.profit_raw == found.profit_raw, (case.name, name, found, paid)
    assert paid.steps == tuple((step.repaid_raw, step.received_raw) for step in found.steps)
    seen["paid"] += 1
    later_s = case.at_s + dice.randrange(1, 600)
    later = await execute(desk.chain, executor, plan, at=head, at_s=later_s)
    (expected,) = replay([(plan, later_s)], {plan.market: case.view}, venues_of(case))
    assert later.profit_raw == (expected if expected is not None and expected >= 0 else None), (case.name, name)
    seen["later, the same" if later.profit_raw == paid.profit_raw else "later, other"] += 1
