"""Runs sold anew: where sales meet in a pool, where a pool is used twice, and which debt keeps its own token."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations, product

import pytest
from support.lending import address
from support.markets import ACCOUNT, COLLATERAL, DEBT, HUB, Line, LineMarket, span
from support.plans import PLAN
from support.pool_chain import v2_pool, v3_pool

from keeper.domain.lending import LiquidationCall, Outcome
from keeper.domain.swaps import Leg, Route
from keeper.domain.units import Address
from keeper.estimate.gas import GasMemory, GasPrice
from keeper.estimate.reprice import carry_out
from keeper.estimate.runs import weigh, weigh_again, weigh_divided
from keeper.estimate.scene import Choice, Scene
from keeper.venues.pools import Pool
from keeper.venues.routes import RouteIndex
from keeper.venues.view import BookView

OTHER, THIRD = address(0xA1), address(0xA2)
MILLION = 10**12
GRID = 40


def scene(*pools: Pool, gwei: int = 0, market: LineMarket | None = None) -> Scene:
    return Scene(
        view=market or LineMarket(lines={}),
        venues=BookView({pool.address: pool for pool in pools}, RouteIndex(pools, [HUB])),
        at_s=12,
        balances={},
        gas=GasPrice(wei_per_gas=gwei * 10**9, native_price_base=2000 * 10**8),
        memory=GasMemory(),
    )


def step(debt: Address, collateral: Address, repaid_raw: int, received_raw: int) -> Outcome:
    call = LiquidationCall(account=ACCOUNT, debt=debt, collateral=collateral, cover_raw=repaid_raw)
    return Outcome(call=call, repaid_raw=repaid_raw, received_raw=received_raw, fee_raw=0, health_after_wad=10**18)


def flat(number: int, sold: Address, bought: Address, depth: int) -> Pool:
    """A pool at one to one in one wide range."""
    low, high = sorted((sold, bought), key=str.lower)
    return v3_pool(number, (low, high), tick=0, positions=[(-60_000, 60_000, depth)], fee=500, spacing=60)


def weighed(place: Scene, steps: tuple[Outcome, ...]) -> tuple[Choice, Choice]:
    """A run as it is weighed while many are looked at, and as it is in the end."""
    at_first = weigh(place, steps)
    assert at_first is not None
    return at_first, weigh_again(place, at_first)


def pools_of(run: Choice) -> list[tuple[int, ...]]:
    """The numbers of the pools of each leg."""
    return sorted(tuple(int(hop.pool, 16) - 0x7000 for hop in leg.route) for leg in run.legs)


def along(place: Scene, *numbers: int) -> Route:
    """The route through these pools."""
    wanted = tuple(address(0x7000 + number) for number in numbers)
    sides = product((COLLATERAL, HUB), (DEBT,))
    return next(r for side in sides for r in place.venues.routes(*side) if tuple(h.pool for h in r) == wanted)


def sold(place: Scene, *parts: tuple[Route, int]) -> tuple[Leg, ...]:
    quoted = [place.venues.quote(route, amount_raw) for route, amount_raw in parts if amount_raw]
    return tuple(Leg(quotes=quotes) for quotes in quoted if quotes)


def test_sales_that_meet_in_a_pool_make_room_for_each_other() -> None:
    """The hub's own sale leaves the pool behind the hub to the collateral that has no other good way."""
    place = scene(
        v2_pool(1, COLLATERAL, DEBT, MILLION, MILLION),
        v2_pool(2, COLLATERAL, HUB, 40 * MILLION, 40 * MILLION),
        v2_pool(3, HUB, DEBT, 2 * MILLION, 2 * MILLION),
        flat(4, HUB, DEBT, 3 * MILLION),
    )
    held_raw = 6 * MILLION // 10
    steps = step(DEBT, COLLATERAL, MILLION // 4, held_raw), step(DEBT, HUB, MILLION // 4, held_raw)
    at_first, best = weighed(place, steps)
    assert best.rank > at_first.rank + at_first.rank // 1_000
    direct, through, near, far = (along(place, *numbers) for numbers in ((1,), (2, 3), (3,), (4,)))
    for one, other in product(range(GRID + 1), repeat=2):
        part, share = held_raw * one // GRID, held_raw * other // GRID
        parts = ((direct, part), (through, held_raw - part), (near, share), (far, held_raw - share))
        tried = weigh_divided(place, steps, sold(place, *parts))
        assert tried is not None
        assert best.rank >= tried.rank * 9_999 // 10_000


def test_a_leg_through_a_pool_that_is_used_already_costs_less_gas() -> None:
    """The way through the hub brings a little more than the gas of its two hops, once the second is warm."""
    place = scene(
        flat(1, COLLATERAL, DEBT, 10**15),
        v2_pool(2, COLLATERAL, HUB, 10**6 * MILLION, 10**6 * MILLION + 5 * 10**8 * 10**6, fee=100),
        v2_pool(3, HUB, DEBT, 10**6 * MILLION, 10**6 * MILLION, fee=100),
        gwei=10,
    )
    steps = step(DEBT, COLLATERAL, 9 * 10**8, 10**9), step(DEBT, HUB, 9 * 10**8, 10**9)
    at_first, best = weighed(place, steps)
    assert pools_of(at_first) == [(1,), (3,)]
    assert pools_of(best) == [(2, 3), (3,)]
    assert best.rank > at_first.rank
    assert sum(leg.amount_out_raw for leg in best.legs) > sum(leg.amount_out_raw for leg in at_first.legs)


def seized_debt() -> tuple[Scene, tuple[Outcome, ...]]:
    """A debt whose own token is seized for another debt, and sells for more than buying it costs."""
    line, same = Line((span(1, MILLION),), 110, 100), Line((span(1, MILLION),), 105, 100)
    market = LineMarket(lines={ACCOUNT: {(DEBT, OTHER): same, (OTHER, COLLATERAL): line}})
    place = scene(
        v2_pool(1, OTHER, DEBT, 100 * MILLION, 104 * MILLION),
        v2_pool(2, COLLATERAL, OTHER, 20 * MILLION, 20 * MILLION),
        v2_pool(3, COLLATERAL, DEBT, 4 * MILLION, 4 * MILLION),
        market=market,
    )
    calls = [
        LiquidationCall(account=ACCOUNT, debt=d, collateral=c, cover_raw=raw)
        for d, c, raw in ((DEBT, OTHER, MILLION // 4), (OTHER, COLLATERAL, MILLION))
    ]
    done = [market.outcome(call, 12) for call in calls]
    return place, tuple(each for each in done if isinstance(each, Outcome))


def test_what_is_seized_of_a_debts_own_token_may_be_sold_for_more_than_it_spares() -> None:
    place, steps = seized_debt()
    at_first, best = weighed(place, steps)
    (sale,) = (leg for leg in best.legs if leg.token_in == OTHER)
    assert best.profit_token == DEBT
    assert sale.amount_in_raw >= steps[0].received_raw
    assert best.rank > at_first.rank + at_first.rank // 1000


def test_a_run_that_sells_a_debts_own_token_comes_to_what_it_says() -> None:
    """The executor sells all of a token that no lender is owed: the plan counts on just that."""
    place, steps = seized_debt()
    _, best = weighed(place, steps)
    plan = replace(
        PLAN, steps=best.steps, legs=best.legs, funds=best.funds, profit_token=best.profit_token, inclusion_s=12
    )
    carried = carry_out(plan, place.view, place.venues, 12)
    assert carried is not None
    assert carried.plan.legs == best.legs
    assert carried.plan.profit_raw == best.profit_raw


def several_debts(seed: int) -> tuple[Scene, tuple[Outcome, ...]]:
    """A run of two or three debts, some of whose own tokens are seized, before some of the pools there could be."""
    rng = random.Random(seed)
    pools: list[Pool] = []
    for sold_token, bought in combinations((COLLATERAL, DEBT, OTHER, THIRD, HUB), 2):
        if rng.random() < 0.75:
            depth = int(MILLION * 10 ** rng.uniform(0, 2))
            pools.append(v2_pool(len(pools) + 1, sold_token, bought, depth, int(depth * rng.uniform(0.97, 1.03))))
    debts = rng.sample([DEBT, OTHER, THIRD], rng.choice((2, 3)))
    pairs = [(debt, rng.choice([COLLATERAL, HUB, *debts])) for debt in debts]
    line = Line((span(1, 10 * MILLION),), 110, 100)
    market = LineMarket(lines={ACCOUNT: dict.fromkeys(pairs, line)}, flash_bps=rng.choice((0, 5)))
    place = scene(*pools, gwei=rng.choice((0, 1)), market=market)
    steps = [
        market.outcome(
            LiquidationCall(
                account=ACCOUNT, debt=debt, collateral=collateral, cover_raw=int(MILLION * rng.uniform(0.02, 0.4))
            ),
            12,
        )
        for debt, collateral in pairs
    ]
    return place, tuple(each for each in steps if isinstance(each, Outcome))


@pytest.mark.parametrize("first", [0, 100, 200, 300, 500, 800])
def test_runs_of_several_debts_come_to_what_they_say(first: int) -> None:
    """The last leg of a token sells all the rest of it, on chain: also where what it brought first was bought later."""
    runs = 0
    for seed in range(first, first + 100):
        place, steps = several_debts(seed)
        at_first = weigh(place, steps)
        for run in () if at_first is None else (at_first, weigh_again(place, at_first)):
            plan = replace(
                PLAN, steps=run.steps, legs=run.legs, funds=run.funds, profit_token=run.profit_token, inclusion_s=12
            )
            carried = carry_out(plan, place.view, place.venues, 12)
            assert carried is not None, seed
            assert (carried.plan.profit_raw, carried.plan.legs) == (run.profit_raw, run.legs), seed
            runs += 1
    assert runs > 50


def test_one_sale_alone_is_left_as_it_is() -> None:
    place = scene(v2_pool(1, COLLATERAL, DEBT, 100 * MILLION, 100 * MILLION))
    at_first, best = weighed(place, (step(DEBT, COLLATERAL, MILLION, 11 * MILLION // 10),))
    assert best is at_first


def test_of_several_collaterals_the_one_whose_pool_can_lend_is_sold_first() -> None:
    market = LineMarket(lines={}, flash_bps=50)
    place = scene(v2_pool(1, HUB, DEBT, 100 * MILLION, 100 * MILLION), flat(2, COLLATERAL, DEBT, 10**15), market=market)
    steps = step(DEBT, HUB, 10**9, 11 * 10**8), step(DEBT, COLLATERAL, 10**11, 11 * 10**10)
    run = weigh(place, steps)
    assert run is not None
    assert [fund.source for fund in run.funds] == ["uniswap-v3-flash"]
    assert [leg.token_in for leg in run.legs] == [COLLATERAL, HUB]


def test_a_leg_is_added_where_a_sale_has_too_few() -> None:
    place = scene(
        v2_pool(1, COLLATERAL, DEBT, MILLION, MILLION),
        v2_pool(2, COLLATERAL, DEBT, MILLION, MILLION),
        v2_pool(3, HUB, DEBT, MILLION, MILLION),
    )
    steps = step(DEBT, COLLATERAL, MILLION // 20, MILLION // 10), step(DEBT, HUB, MILLION // 20, MILLION // 10)
    legs = sold(place, (along(place, 1), MILLION // 10), (along(place, 3), MILLION // 10))
    poor = weigh_divided(place, steps, legs)
    assert poor is not None
    best = weigh_again(place, poor)
    assert pools_of(best) == [(1,), (2,), (3,)]
    halves = [leg.amount_in_raw for leg in best.legs if leg.token_in == COLLATERAL]
    assert abs(halves[0] - halves[1]) < MILLION // 1_000
