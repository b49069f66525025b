"""A plan of several steps and legs carried out on another state: every amount, and what is left behind."""

from __future__ import annotations

from dataclasses import replace

from support.markets import ACCOUNT, COLLATERAL, DEBT, HUB, Line, LineMarket, span
from support.plans import FUND, PLAN, STEP
from support.pool_chain import v2_pool, v3_pool

from keeper.domain.lending import LiquidationCall, Outcome
from keeper.domain.plans import Fund, Plan
from keeper.domain.swaps import HopQuote, Leg, Route
from keeper.domain.units import Address
from keeper.estimate.reprice import carry_out, market_after
from keeper.venues.view import BookView, RouteIndex

AT_S = 99
MARKET = LineMarket(
    lines={ACCOUNT: {(DEBT, COLLATERAL): Line((span(1, 10**6),), 110, 100), (HUB, COLLATERAL): Line((span(1, 10**6),))}}
)
ONE, TWO = (v2_pool(number, COLLATERAL, DEBT, 10**9, 10**9, fee=fee) for number, fee in ((1, 3000), (2, 500)))
SIDE = v2_pool(3, COLLATERAL, HUB, 10**9, 10**9)
DEEP = v3_pool(4, (HUB, DEBT), tick=0, positions=[(-600, 600, 10**13)])
LENDER = v3_pool(5, (COLLATERAL, DEBT), tick=0, positions=[(-60_000, 60_000, 10**9)])
POOLS = (ONE, TWO, SIDE, DEEP, LENDER)
VENUES = BookView({pool.address: pool for pool in POOLS}, RouteIndex(POOLS, [HUB]))


def route(*pools: Address) -> Route:
    known = [each for token in (DEBT, HUB) for each in VENUES.routes(COLLATERAL, token)]
    return next(each for each in known if tuple(hop.pool for hop in each) == pools)


def leg(amount_raw: int, *pools: Address) -> Leg:
    """A leg with the amount it was planned for; what it brings is found out anew."""
    return Leg(quotes=tuple(HopQuote(hop=hop, amount_in_raw=amount_raw, amount_out_raw=1) for hop in route(*pools)))


def step(debt: Address, cover_raw: int) -> Outcome:
    call = LiquidationCall(account=ACCOUNT, debt=debt, collateral=COLLATERAL, cover_raw=cover_raw)
    return replace(STEP, call=call, repaid_raw=1, received_raw=1)


def out(pool: Address, token: Address, amount_raw: int) -> int:
    brought_raw = VENUES.pools[pool].quote(token, amount_raw)
    assert brought_raw is not None
    return brought_raw


def fund(token: Address, amount_raw: int, premium_raw: int = 0) -> Fund:
    return replace(FUND, source="morpho-flash", token=token, amount_raw=amount_raw, premium_raw=premium_raw)


def done(plan: Plan) -> Plan:
    carried = carry_out(plan, MARKET, VENUES, AT_S)
    assert carried is not None
    return carried.plan


def test_the_last_leg_of_a_token_sells_what_the_others_left() -> None:
    split = replace(PLAN, legs=(leg(400_000, ONE.address), leg(5, TWO.address)))
    carried = carry_out(split, MARKET, VENUES, AT_S)
    assert carried is not None
    sold = [(each.amount_in_raw, each.amount_out_raw) for each in carried.plan.legs]
    assert sold == [(400_000, out(ONE.address, COLLATERAL, 400_000)), (700_000, out(TWO.address, COLLATERAL, 700_000))]
    assert carried.plan.proceeds_raw == sold[0][1] + sold[1][1]
    assert carried.plan.profit_raw == carried.plan.proceeds_raw - 10**6 - FUND.premium_raw
    assert carried.plan.inclusion_s == AT_S
    assert carried.venues.quote(route(ONE.address), 1) == VENUES.after(carried.plan.legs[0].quotes).quote(
        route(ONE.address), 1
    )
    assert carried.market.accounts() == (ACCOUNT,)  # the other debt is still there


def test_legs_meet_the_pools_that_earlier_legs_left() -> None:
    twice = done(replace(PLAN, legs=(leg(500_000, ONE.address), leg(1, ONE.address))))
    moved = ONE.after(COLLATERAL, 500_000).quote(COLLATERAL, 600_000)
    assert twice.legs[1].amount_out_raw == moved
    assert moved != out(ONE.address, COLLATERAL, 600_000)


def test_each_debt_is_given_back_in_its_own_token_and_the_rest_is_profit() -> None:
    two = replace(
        PLAN,
        steps=(step(DEBT, 10**6), step(HUB, 300_000)),
        funds=(fund(DEBT, 10**6, 7), fund(HUB, 300_000, 5)),
        legs=(leg(310_000, SIDE.address), leg(1, ONE.address)),
    )
    carried = done(two)
    assert [(each.repaid_raw, each.received_raw) for each in carried.steps] == [(10**6, 1_100_000), (300_000, 300_000)]
    assert carried.legs[1].amount_in_raw == 1_400_000 - 310_000
    assert carried.profit_raw == out(ONE.address, COLLATERAL, 1_090_000) - 10**6 - 7
    assert carried.proceeds_raw == carried.profit_raw + 10**6 + 7
    short = replace(two, legs=(leg(300_000, SIDE.address), leg(1, ONE.address)))
    assert carry_out(short, MARKET, VENUES, AT_S) is None
    costly = replace(two, funds=(fund(DEBT, 10**6), fund(HUB, 300_000, 10_000)))
    assert carry_out(costly, MARKET, VENUES, AT_S) is None


def test_a_second_step_that_the_pool_refuses_spoils_the_run() -> None:
    again = replace(PLAN, steps=(step(DEBT, 10**6), step(DEBT, 1)), funds=(fund(DEBT, 2 * 10**6),))
    assert carry_out(again, MARKET, VENUES, AT_S) is None
    small = replace(PLAN, steps=(step(DEBT, 10**6), step(HUB, 5)), funds=(fund(DEBT, 10**6), fund(HUB, 4)))
    assert carry_out(small, MARKET, VENUES, AT_S) is None


def test_a_flash_swap_sells_the_planned_amount_and_needs_no_less() -> None:
    swap = Fund(source="uniswap-v3-flash", lender=DEEP.address, token=DEBT, amount_raw=10**7, premium_raw=0)
    first, last = route(SIDE.address, DEEP.address)
    brought_raw = out(SIDE.address, COLLATERAL, 1_100_000)

    def planned(amount_raw: int) -> Plan:
        ahead = HopQuote(hop=first, amount_in_raw=1_100_000, amount_out_raw=amount_raw)
        quotes = (ahead, HopQuote(hop=last, amount_in_raw=amount_raw, amount_out_raw=1))
        return replace(PLAN, legs=(Leg(quotes=quotes),), funds=(swap,))

    exact = done(planned(brought_raw))
    assert exact.profit_raw == out(DEEP.address, HUB, brought_raw) - 10**6
    less = done(planned(brought_raw - 1_000))
    assert less.profit_raw == out(DEEP.address, HUB, brought_raw - 1_000) - 10**6
    assert less.legs[0].quotes[0].amount_out_raw == brought_raw  # the thousand are left over
    assert carry_out(planned(brought_raw + 1), MARKET, VENUES, AT_S) is None


def test_a_flash_swap_lends_what_its_pool_gives_now() -> None:
    """The chain lets the run repay what the pool has given, whatever was planned."""
    given_raw = out(LENDER.address, COLLATERAL, 1_100_000)

    def planned(amount_raw: int) -> Plan:
        swap = Fund(source="uniswap-v3-flash", lender=LENDER.address, token=DEBT, amount_raw=amount_raw, premium_raw=0)
        return replace(PLAN, legs=(leg(1_100_000, LENDER.address),), funds=(swap,))

    for amount_raw in (given_raw, 10**6 - 1):
        assert done(planned(amount_raw)).profit_raw == given_raw - 10**6 > 0
    moved = VENUES.after(VENUES.quote(route(LENDER.address), 3 * 10**8) or ())
    assert carry_out(planned(given_raw), MARKET, moved, AT_S) is None
    # with funds from elsewhere the same sale is a mere loss
    lent = replace(planned(given_raw), funds=(fund(DEBT, 10**6),))
    carried = carry_out(lent, MARKET, moved, AT_S)
    assert carried is not None
    assert carried.plan.profit_raw < 0


def test_same_asset_needs_no_sale() -> None:
    market = LineMarket(lines={ACCOUNT: {(DEBT, DEBT): Line((span(1, 10**6),), 105, 100)}})
    call = replace(STEP.call, collateral=DEBT)
    same = replace(PLAN, steps=(replace(STEP, call=call),), legs=())
    carried = carry_out(same, market, VENUES, AT_S)
    assert carried is not None
    assert carried.plan.proceeds_raw == 1_050_000
    assert carried.plan.profit_raw == 50_000 - FUND.premium_raw
    assert market_after(same, market).accounts() == ()


def test_loans_of_the_market_come_back() -> None:
    market = replace(MARKET, flash_liquidity_raw=10**7)
    assert market_after(PLAN, market).flash_fee_raw(DEBT, 10**7) is not None
