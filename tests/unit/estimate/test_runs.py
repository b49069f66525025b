"""What runs come to: which pool lends, which collateral pays which debt, and when a search ends."""

from __future__ import annotations

from dataclasses import replace

from support.lending import NOW_S, address, reserve, view
from support.markets import ACCOUNT, COLLATERAL, DEBT, HUB, NATIVE, Line, LineMarket, span
from support.plans import PLAN
from support.pool_chain import v2_pool, v3_pool

from keeper.domain.lending import LiquidationCall, Outcome, Refused
from keeper.domain.units import MAX_UINT256, RAY, WAD
from keeper.estimate.curve import PairCurve
from keeper.estimate.flows import best_division, find_divisions
from keeper.estimate.gas import GasMemory, GasPrice
from keeper.estimate.reprice import carry_out
from keeper.estimate.runs import weigh
from keeper.estimate.scene import Scene
from keeper.estimate.sequence import RunSearch
from keeper.estimate.sketch import Sketcher
from keeper.estimate.walk import Walker
from keeper.lending.aave_v3.state import Position
from keeper.venues.pools import Pool
from keeper.venues.routes import RouteIndex
from keeper.venues.view import BookView

OTHER_DEBT = HUB
FREE_GAS = GasPrice(wei_per_gas=0, native_price_base=2000 * 10**8)
DEAR_GAS = GasPrice(wei_per_gas=10**10, native_price_base=2000 * 10**8)
HEALS = 10**4


def scene(market: LineMarket, *pools: Pool, gas: GasPrice = FREE_GAS) -> Scene:
    venues = BookView({pool.address: pool for pool in pools}, RouteIndex(pools, []))
    return Scene(view=market, venues=venues, at_s=12, balances={}, gas=gas, memory=GasMemory())


def concentrated(number: int, liquidity: int, fee: int = 500) -> Pool:
    low, high = sorted((COLLATERAL, DEBT), key=str.lower)
    return v3_pool(number, (low, high), tick=0, positions=[(-60_000, 60_000, liquidity)], fee=fee, spacing=60)


def one_pair(high_raw: int) -> LineMarket:
    return LineMarket(lines={ACCOUNT: {(DEBT, COLLATERAL): Line((span(1, high_raw),), 110, 100, HEALS)}})


def two_debts(high_raw: int) -> LineMarket:
    """One collateral against two debts; neither repay heals the account."""
    line = Line((span(1, high_raw),), 110, 100, HEALS)
    market = LineMarket(lines={ACCOUNT: {(DEBT, COLLATERAL): line, (OTHER_DEBT, COLLATERAL): line}})
    return replace(market, prices={OTHER_DEBT: 10**8})


def outcome_of(market: LineMarket, debt: str, cover_raw: int) -> Outcome:
    token = DEBT if debt == DEBT else OTHER_DEBT
    call = LiquidationCall(account=ACCOUNT, debt=token, collateral=COLLATERAL, cover_raw=cover_raw)
    answer = market.outcome(call, 12)
    assert not isinstance(answer, Refused)
    return answer


def test_the_pool_that_is_sold_into_lends_what_is_repaid() -> None:
    market = one_pair(10**9)
    run = weigh(scene(market, concentrated(1, 10**15)), (outcome_of(market, DEBT, 10**9),))
    assert run is not None
    assert [fund.source for fund in run.funds] == ["uniswap-v3-flash"]
    assert run.funds[0].premium_raw == 0


def test_what_the_lending_pool_need_not_take_is_sold_where_it_brings_more() -> None:
    market = replace(one_pair(10**9), flash_bps=200)
    thin = scene(market, concentrated(1, 4 * 10**10), v2_pool(2, COLLATERAL, DEBT, 10**10, 10**10))
    run = weigh(thin, (outcome_of(market, DEBT, 10**9),))
    assert run is not None
    assert run.funds[0].source == "uniswap-v3-flash"
    lender, rest = run.legs
    assert lender.quotes[-1].hop.venue == "uniswap-v3"
    assert lender.amount_out_raw >= 10**9
    assert rest.amount_in_raw == run.outcome.received_raw - lender.amount_in_raw
    alone = thin.venues.quote(lender.route, run.outcome.received_raw)
    assert alone is not None
    assert run.proceeds_raw > alone[-1].amount_out_raw


def test_each_debt_is_paid_back_in_its_own_token() -> None:
    market = two_debts(10**9)
    place = scene(
        market, v2_pool(1, COLLATERAL, DEBT, 10**12, 10**12), v2_pool(2, COLLATERAL, OTHER_DEBT, 10**12, 10**12)
    )
    run = weigh(place, (outcome_of(market, DEBT, 10**9), outcome_of(market, OTHER_DEBT, 5 * 10**8)))
    assert run is not None
    (other,) = (fund for fund in run.funds if fund.token != run.profit_token)
    owed = {DEBT: 10**9, OTHER_DEBT: 5 * 10**8}[other.token] + other.premium_raw
    bought = sum(leg.amount_out_raw for leg in run.legs if leg.token_out == other.token)
    assert owed <= bought <= owed + owed // 10**6
    assert sum(leg.amount_in_raw for leg in run.legs) == sum(step.received_raw for step in run.steps)


def test_a_run_of_two_debts_stands_until_its_deadline() -> None:
    """Asked for whole, debts grow while the run waits; what is bought of them has room for that."""
    debts, collateral = (address(0x1001), address(0x1002)), address(0x1000)
    held = Position(emode=0, collaterals=((0, 9_600 * WAD),), debts=((1, 4_000 * WAD), (2, 4_600 * WAD)))
    market = view(10, [reserve(0), *(reserve(id_, debt_rate_ray=RAY) for id_ in (1, 2))], {ACCOUNT: held})
    pools = [v2_pool(number, collateral, debt, 10**26, 10**26) for number, debt in enumerate(debts)]
    venues, at_s = BookView({pool.address: pool for pool in pools}, RouteIndex(pools, [])), NOW_S + 12
    place = Scene(view=market, venues=venues, at_s=at_s, balances={}, gas=FREE_GAS, memory=GasMemory())
    steps, left = list[Outcome](), market
    for debt in debts:
        call = LiquidationCall(account=ACCOUNT, debt=debt, collateral=collateral, cover_raw=MAX_UINT256)
        done = left.outcome(call, at_s)
        assert isinstance(done, Outcome)
        steps, left = [*steps, done], left.after(call, at_s)
    run = weigh(place, steps)
    assert run is not None
    plan = replace(
        PLAN, steps=run.steps, legs=run.legs, funds=run.funds, profit_token=run.profit_token, inclusion_s=at_s
    )
    for late_s in (0, 60, 120):
        carried = carry_out(plan, market, venues, at_s + late_s)
        assert carried is not None, late_s
        assert carried.plan.profit_raw > 0


def test_gas_makes_one_collateral_pay_what_two_would_pay_a_little_better() -> None:
    pools = [
        v2_pool(number, sold, bought, 10**12, 10**12)
        for number, (sold, bought) in enumerate(
            [(COLLATERAL, DEBT), (COLLATERAL, OTHER_DEBT), (NATIVE, DEBT), (NATIVE, OTHER_DEBT)]
        )
    ]
    market = replace(two_debts(10**9), prices={OTHER_DEBT: 10**8, NATIVE: 10**8})
    seized, owed = {COLLATERAL: 11 * 10**8, NATIVE: 11 * 10**8}, {DEBT: 10**9, OTHER_DEBT: 10**9}
    free, dear = (best_division(scene(market, *pools, gas=gas), seized, owed) for gas in (FREE_GAS, DEAR_GAS))
    assert free is not None
    assert dear is not None
    assert (len(free.flows), len(dear.flows)) == (4, 3)
    assert free.value > dear.value
    assert free.value == max(each.value for each in find_divisions(scene(market, *pools), seized, owed))


def test_a_debt_that_nothing_buys_is_a_loss() -> None:
    place = scene(two_debts(10**9), v2_pool(1, COLLATERAL, DEBT, 10**12, 10**12))
    division = best_division(place, {COLLATERAL: 10**9}, {DEBT: 10**8, OTHER_DEBT: 10**8})
    assert division is not None
    assert division.token == OTHER_DEBT
    assert division.value < 0


def test_several_debts_are_repaid_where_each_pool_alone_is_thin() -> None:
    market = two_debts(10**9)
    place = scene(
        market, v2_pool(1, COLLATERAL, DEBT, 10**10, 10**10), v2_pool(2, COLLATERAL, OTHER_DEBT, 10**10, 10**10)
    )
    curves = [PairCurve(place, ACCOUNT, debt, COLLATERAL) for debt in (DEBT, OTHER_DEBT)]
    search = RunSearch(place, ACCOUNT, curves)
    single, best = RunSearch(place, ACCOUNT, curves, "single").run(), search.run()
    assert single is not None
    assert best is not None
    assert {step.call.debt for step in best.steps} == {DEBT, OTHER_DEBT}
    assert best.rank > single.rank * 3 // 2


def test_a_walker_stops_when_its_budget_is_used_up() -> None:
    place = scene(one_pair(10**9), v2_pool(1, COLLATERAL, DEBT, 10**12, 10**12))
    curve = PairCurve(place, ACCOUNT, DEBT, COLLATERAL)
    walker = Walker(place, ACCOUNT, Sketcher(place), 2)
    tried = [walker.end(walker.start, curve, cover) for cover in (1, 2, 3)]
    assert [each is not None for each in tried] == [True, True, False]
