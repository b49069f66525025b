"""What a plan earns at another time, and a row of plans each at its own."""

from __future__ import annotations

from dataclasses import replace

from support.lending import address
from support.markets import ACCOUNT, COLLATERAL, DEBT, Line, LineMarket, line_market, span
from support.plans import FUND, HOP, called, plan
from support.pool_chain import v2_pool

from keeper.domain.plans import Plan
from keeper.estimate.reprice import replay
from keeper.venues.view import BookView, RouteIndex

POOL = v2_pool(1, COLLATERAL, DEBT, 10**9, 10**9)
POOLS = BookView({POOL.address: POOL}, RouteIndex([POOL], []))


def alone(what: Plan, market: LineMarket, pools: BookView, at_s: int) -> int | None:
    (profit_raw,) = replay([(what, at_s)], {"lines": market}, pools)
    return profit_raw


def test_a_plan_is_worth_what_its_own_call_brings() -> None:
    market = line_market(span(1, 10**6))
    proceeds = POOL.quote(COLLATERAL, 1_100_000)
    assert proceeds is not None
    assert alone(plan(), market, POOLS, 99) == proceeds - 10**6 - 500


def test_a_call_that_would_be_refused_is_worth_nothing_known() -> None:
    assert alone(plan(), line_market(span(1, 10**5)), POOLS, 99) is None
    assert alone(plan(funds=(replace(FUND, amount_raw=10**6 - 1),)), line_market(span(1, 10**6)), POOLS, 99) is None
    empty = replace(POOL, reserve1=0)
    assert alone(plan(), line_market(span(1, 10**6)), BookView({}, RouteIndex([empty], [])), 99) is None


def test_each_of_a_row_meets_what_those_before_it_left() -> None:
    accounts = [ACCOUNT, address(0xACD)]
    market = LineMarket(lines={each: {(DEBT, COLLATERAL): Line((span(1, 10**6),), 110, 100)} for each in accounts})
    row = [(plan(steps=called(account=each)), 50 + n) for n, each in enumerate([*accounts, ACCOUNT])]
    first, second, third = replay(row, {"lines": market}, POOLS)
    assert first == alone(row[0][0], market, POOLS, 50)
    moved = POOL.after(COLLATERAL, 1_100_000).quote(COLLATERAL, 1_100_000)
    assert moved is not None
    assert second == moved - 10**6 - 500
    assert third is None  # that debt is gone
    assert HOP.pool == POOL.address


def test_markets_found_later_hold_for_later_blocks() -> None:
    accounts = [ACCOUNT, address(0xACD)]

    def market(numerator: int) -> LineMarket:
        return LineMarket(
            lines={each: {(DEBT, COLLATERAL): Line((span(1, 10**6),), numerator, 100)} for each in accounts}
        )

    row = [(plan(steps=called(account=each)), 50 + 10 * n) for n, each in enumerate(accounts)]
    old, new = {"lines": market(110)}, {"lines": market(120)}
    unmoved = replay(row, old, POOLS)
    assert replay(row, old, POOLS, [(60, new)]) == unmoved  # found in the very block: too late
    first, second = replay(row, old, POOLS, [(59, new)])
    assert first == unmoved[0]
    moved = POOL.after(COLLATERAL, 1_100_000).quote(COLLATERAL, 1_200_000)
    assert moved is not None
    assert second == moved - 10**6 - 500
    assert replay(row, old, POOLS, [(1, new), (2, old)]) == unmoved
