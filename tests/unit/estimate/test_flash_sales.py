"""Sales in which a pool lends, worked out to the end: how much it sells itself, and what is sold past it."""

from __future__ import annotations

from dataclasses import replace

from support.markets import ACCOUNT, COLLATERAL, DEBT, HUB, line_market, span
from support.pool_chain import v2_pool, v3_pool

from keeper.domain.lending import LiquidationCall, Outcome
from keeper.domain.swaps import Leg
from keeper.estimate.curve import PairCurve
from keeper.estimate.flash_sales import relieve
from keeper.estimate.gas import GasMemory, GasPrice
from keeper.estimate.runs import finish, weigh, weigh_divided
from keeper.estimate.scene import Choice, Scene
from keeper.estimate.sequence import RunSearch
from keeper.venues.pools import Pool
from keeper.venues.routes import RouteIndex
from keeper.venues.view import BookView

MARKET = replace(line_market(span(1, 10**12)), flash_bps=200)
REPAID, RECEIVED = 10**11, 11 * 10**10
CALL = LiquidationCall(account=ACCOUNT, debt=DEBT, collateral=COLLATERAL, cover_raw=REPAID)
STEP = Outcome(call=CALL, repaid_raw=REPAID, received_raw=RECEIVED, fee_raw=0, health_after_wad=10**18)
LOW, HIGH = sorted((COLLATERAL, DEBT), key=str.lower)
LENDER = v3_pool(1, (LOW, HIGH), tick=0, positions=[(-60_000, 60_000, 4 * 10**12)], fee=500, spacing=60)
THIN = v2_pool(2, COLLATERAL, DEBT, 10**11, 10**11)
HUB_POOLS = (v2_pool(3, COLLATERAL, HUB, 3 * 10**12, 3 * 10**12), v2_pool(4, HUB, DEBT, 3 * 10**12, 3 * 10**12))


def scene(*pools: Pool, gwei: int = 0) -> Scene:
    return Scene(
        view=MARKET,
        venues=BookView({pool.address: pool for pool in pools}, RouteIndex(pools, [HUB])),
        at_s=12,
        balances={},
        gas=GasPrice(wei_per_gas=gwei * 10**9, native_price_base=2000 * 10**8),
        memory=GasMemory(),
    )


def alone(place: Scene) -> tuple[Leg, ...]:
    """All of it sold into the pool that lends."""
    route = next(route for route in place.venues.routes(COLLATERAL, DEBT) if route[-1].pool == LENDER.address)
    quotes = place.venues.quote(route, RECEIVED)
    assert quotes is not None
    return (Leg(quotes=quotes),)


def brought(legs: tuple[Leg, ...]) -> int:
    return sum(leg.amount_out_raw for leg in legs)


def numbers_of(run: Choice) -> list[list[int]]:
    """The numbers of the pools of each leg, in order."""
    return [[int(hop.pool, 16) - 0x7000 for hop in leg.route] for leg in run.legs]


def test_a_lender_is_relieved_until_moving_more_brings_nothing() -> None:
    place = scene(LENDER, THIN)
    sale = next(relieve(place, alone(place), REPAID))
    first, second = sale
    assert first.route[-1].pool == LENDER.address
    assert first.amount_out_raw >= REPAID
    assert brought(sale) > brought(alone(place))
    for by_raw in (-RECEIVED // 10_000, RECEIVED // 10_000):
        one = place.venues.quote(first.route, first.amount_in_raw + by_raw)
        other = place.venues.quote(second.route, second.amount_in_raw - by_raw)
        assert one is not None
        assert other is not None
        assert one[-1].amount_out_raw < REPAID or one[-1].amount_out_raw + other[-1].amount_out_raw <= brought(sale)


def test_nothing_is_sold_past_a_lender_that_all_else_is_worse_than() -> None:
    place = scene(LENDER, v2_pool(2, COLLATERAL, DEBT, 10**11, 9 * 10**10))
    assert list(relieve(place, alone(place), REPAID)) == []


def test_a_thin_pool_of_one_hop_relieves_a_lender_better_than_deep_ones_of_two() -> None:
    """What the lender need not sell is best sold through the hub; what is best sold past the lender is far less."""
    lender = v3_pool(1, (LOW, HIGH), tick=0, positions=[(-60_000, 60_000, 10**14)], fee=500, spacing=60)
    hub_pools = [v2_pool(n, *side, 10**16, 10**16, fee=1_250) for n, side in ((3, (COLLATERAL, HUB)), (4, (HUB, DEBT)))]
    place = scene(lender, v2_pool(2, COLLATERAL, DEBT, 2 * 10**12, 2 * 10**12, fee=1), *hub_pools, gwei=1)
    run = weigh_divided(place, (STEP,), alone(place))
    assert run is not None
    best = finish(place, run)
    assert [fund.source for fund in best.funds] == ["uniswap-v3-flash"]
    assert numbers_of(best) == [[1], [2]]
    past = [sale for sale in relieve(place, run.legs, REPAID) if len(sale[1].route) > 1]
    assert past
    assert best.net_base > max(place.base_of(DEBT, brought(sale) - REPAID) for sale in past)


def test_a_lender_is_relieved_where_what_it_need_not_sell_is_best_divided() -> None:
    place = scene(LENDER, THIN, *HUB_POOLS)
    rest = place.venues.sell(COLLATERAL, DEBT, RECEIVED // 15, lambda _: 0, frozenset({LENDER.address}))
    assert rest is not None
    assert len(rest) == 2
    run = weigh_divided(place, (STEP,), alone(place))
    assert run is not None
    best = finish(place, run)
    assert numbers_of(best) == [[1], [3, 4]]
    assert best.rank > run.rank


def test_a_leg_that_brings_less_than_its_gas_is_dropped() -> None:
    place = scene(v2_pool(1, COLLATERAL, DEBT, 10**16, 10**16), v2_pool(2, COLLATERAL, DEBT, 10**16, 10**16), gwei=20)
    whole = weigh(place, (STEP,))
    assert whole is not None
    routes = place.venues.routes(COLLATERAL, DEBT)
    halves = [place.venues.quote(route, RECEIVED // 2) for route in routes]
    run = weigh_divided(place, (STEP,), tuple(Leg(quotes=quotes) for quotes in halves if quotes))
    assert run is not None
    assert len(run.legs) == 2
    best = finish(place, run)
    assert len(best.legs) == 1
    assert best.rank == whole.rank > run.rank


def test_a_leg_that_earns_its_gas_stays() -> None:
    place = scene(v2_pool(1, COLLATERAL, DEBT, 10**12, 10**12), v2_pool(2, COLLATERAL, DEBT, 10**12, 10**12), gwei=1)
    run = weigh(place, (STEP,))
    assert run is not None
    assert len(run.legs) == 2
    assert finish(place, run) is run


def test_a_single_step_repays_what_is_best_where_the_lender_alone_has_to_pay_it() -> None:
    """All pools together would take more at the same price; the lender's premium-free loan is worth taking less."""
    place = scene(v3_pool(1, (LOW, HIGH), tick=0, positions=[(-60_000, 60_000, 10**12)], fee=500, spacing=60), THIN)
    curve = PairCurve(place, ACCOUNT, DEBT, COLLATERAL)
    best = RunSearch(place, ACCOUNT, [curve], "single").run()
    assert best is not None
    assert [fund.source for fund in best.funds] == ["uniswap-v3-flash"]
    around = best.outcome.repaid_raw
    for part in range(-200, 201):
        tried = curve.choice(around + around * part // 2_000)
        tried = None if tried is None else finish(place, tried)
        assert tried is None or best.rank >= tried.rank * 99_999 // 100_000
