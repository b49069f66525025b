"""The sizer against every amount there is, on markets small enough to try them all."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from support.markets import ACCOUNT, COLLATERAL, DEBT, HUB, LineMarket, everything, line_market, span
from support.pool_chain import v2_pool

from keeper.domain.units import MAX_UINT256
from keeper.estimate.curve import PairCurve
from keeper.estimate.gas import GasMemory, GasPrice
from keeper.estimate.scene import Choice, Scene
from keeper.estimate.sizing import best_choice
from keeper.estimate.steps import largest_step, least_step, lowers_health
from keeper.venues.routes import RouteIndex
from keeper.venues.uniswap_v2 import V2Pool
from keeper.venues.view import BookView

FREE_GAS = GasPrice(wei_per_gas=0, native_price_base=2000 * 10**8)


def book(*pools: V2Pool) -> BookView:
    by_address = {pool.address: pool for pool in pools}
    return BookView(by_address, RouteIndex(pools, [HUB]))


def curve(market: LineMarket, pools: BookView, gas: GasPrice = FREE_GAS, own_raw: int = 0) -> PairCurve:
    scene = Scene(view=market, venues=pools, at_s=12, balances={DEBT: own_raw}, gas=gas, memory=GasMemory())
    return PairCurve(scene, ACCOUNT, DEBT, COLLATERAL)


def best_of(pair: PairCurve) -> Choice | None:
    return best_choice(pair.scene, ACCOUNT, [pair])


def brute(pair: PairCurve) -> Choice | None:
    """Try every accepted amount."""
    best: Choice | None = None
    for each in pair.ranges:
        covers = [MAX_UINT256] if each.cover_max else range(each.low_raw, each.high_raw + 1)
        for cover in covers:
            choice = pair.choice(cover)
            if choice is not None and (best is None or choice.rank > best.rank):
                best = choice
    return best


DEEP = v2_pool(1, COLLATERAL, DEBT, 10**15, 10**15)


def test_deep_pools_take_the_largest_repay() -> None:
    best = best_of(curve(line_market(span(1, 10**9)), book(DEEP)))
    assert best is not None
    assert 10**9 - 2 <= best.outcome.repaid_raw <= 10**9


def test_thin_pools_take_less() -> None:
    pair = curve(line_market(span(1, 20_000)), book(v2_pool(1, COLLATERAL, DEBT, 100_000, 100_000)))
    best, exact = best_of(pair), brute(pair)
    assert best is not None
    assert exact is not None
    assert exact.profit_raw - best.profit_raw <= 1
    assert best.outcome.repaid_raw < 20_000


@pytest.mark.parametrize("seed", range(40))
def test_no_amount_and_no_route_nets_more(seed: int) -> None:
    dice = random.Random(seed)
    size = dice.randrange(50, 3000)
    middle = dice.randrange(1, size)
    market = line_market(
        span(1, middle), span(middle, size), everything(size), numerator=dice.randrange(101, 140), denominator=100
    )
    pools = book(
        *(v2_pool(n, COLLATERAL, DEBT, dice.randrange(10**3, 10**6), dice.randrange(10**3, 10**6)) for n in range(2)),
        v2_pool(5, COLLATERAL, HUB, dice.randrange(10**3, 10**6), dice.randrange(10**3, 10**6)),
        v2_pool(6, HUB, DEBT, dice.randrange(10**3, 10**6), dice.randrange(10**3, 10**6)),
    )
    pair = curve(market, pools)
    best, exact = best_of(pair), brute(pair)
    assert (best is None) == (exact is None)
    if best is not None and exact is not None and exact.profit_raw > 0:
        assert exact.profit_raw - best.profit_raw <= 1  # each floor on the way is a unit of noise on the curve
        assert best == pair.choice(best.outcome.call.cover_raw)


def test_a_coarse_collateral_is_bought_with_the_least_repay_that_brings_it() -> None:
    market = line_market(span(1, 10**6), numerator=1, denominator=900)
    pair = curve(market, book(v2_pool(1, COLLATERAL, DEBT, 10**9, 10**12)))
    best = best_of(pair)
    assert best is not None
    one_less = pair.outcome(best.outcome.repaid_raw - 1)
    assert one_less is not None
    assert one_less.received_raw == best.outcome.received_raw - 1


def test_gas_decides_between_routes_that_pay_alike() -> None:
    pools = book(
        v2_pool(1, COLLATERAL, DEBT, 10**12, 10**12),
        v2_pool(5, COLLATERAL, HUB, 10**12, 10**12, fee=1000),
        v2_pool(6, HUB, DEBT, 10**12, 10**12, fee=1000),
    )
    market = line_market(span(1, 10**6))
    cheap = best_of(curve(market, pools))
    dear = best_of(curve(market, pools, GasPrice(wei_per_gas=10**9, native_price_base=2000 * 10**8)))
    assert cheap is not None
    assert dear is not None
    assert [len(leg.quotes) for leg in cheap.legs] == [2]
    assert [len(leg.quotes) for leg in dear.legs] == [1]


def test_own_money_pays_no_premium() -> None:
    market = line_market(span(1, 10**6))
    flash = best_of(curve(market, book(DEEP)))
    own = best_of(curve(market, book(DEEP), own_raw=10**6))
    assert flash is not None
    assert own is not None
    assert (flash.funds[0].source, own.funds[0].source) == ("aave-flash-loan", "own")
    assert own.funds[0].premium_raw == 0
    assert own.profit_raw == flash.profit_raw + flash.funds[0].premium_raw


@pytest.mark.parametrize(("own_raw", "lent_raw"), [(700, 0), (0, 700), (700, 300), (300, 700)])
def test_a_source_that_has_less_than_the_best_amount_is_used_up(own_raw: int, lent_raw: int) -> None:
    market = replace(line_market(span(1, 20_000)), flash_liquidity_raw=lent_raw, flash_bps=0)
    pair = curve(market, book(v2_pool(1, COLLATERAL, DEBT, 100_000, 100_000)), own_raw=own_raw)
    best, most = best_of(pair), brute(pair)
    assert best is not None
    assert most is not None
    assert best.rank == most.rank
    assert 0 < best.outcome.repaid_raw <= 700


def test_asking_for_everything_funds_a_margin() -> None:
    best = best_of(curve(line_market(everything(10**6)), book(DEEP)))
    assert best is not None
    assert best.outcome.call.cover_raw == MAX_UINT256
    assert 10**6 < best.funds[0].amount_raw <= 10**6 + 100


def test_one_token_on_both_sides_sells_nothing() -> None:
    market = line_market(span(1, 10**6))
    same = LineMarket(lines={ACCOUNT: {(DEBT, DEBT): market.lines[ACCOUNT][DEBT, COLLATERAL]}})
    scene = Scene(view=same, venues=book(), at_s=12, balances={}, gas=FREE_GAS, memory=GasMemory())
    best = best_of(PairCurve(scene, ACCOUNT, DEBT, DEBT))
    assert best is not None
    assert best.legs == ()
    assert best.proceeds_raw == best.outcome.received_raw


def test_max_repays_the_most_whatever_it_earns() -> None:
    thin = book(v2_pool(1, COLLATERAL, DEBT, 100_000, 100_000))
    largest = largest_step(curve(line_market(span(1, 20_000), everything(20_000)), thin))
    assert largest is not None
    assert largest.outcome.repaid_raw == 20_000
    assert largest.profit_raw < 0


def test_target_health_is_reached_by_the_least_repay_and_not_by_one_less() -> None:
    market = line_market(span(1, 10**6))  # health rises by 1e12 a unit, from 0.95
    pair = curve(market, book(DEEP))
    least = least_step(pair, 10**18)
    assert least is not None
    assert least.outcome.repaid_raw == 50_000
    below = pair.outcome(49_999)
    assert below is not None
    assert below.health_after_wad < 10**18
    assert least_step(pair, 2 * 10**18) is None


def test_a_spiral_is_named() -> None:
    market = line_market(span(1, 10**6))
    assert not lowers_health(curve(market, book(DEEP)), market.health_wad)
    line = market.lines[ACCOUNT][DEBT, COLLATERAL]
    falling = LineMarket(lines={ACCOUNT: {(DEBT, COLLATERAL): type(line)(line.ranges, 11, 10, -(10**9))}})
    assert lowers_health(curve(falling, book(DEEP)), falling.health_wad)


def test_without_a_route_there_is_no_choice() -> None:
    assert best_of(curve(line_market(span(1, 10)), book())) is None
