"""Sales over random pools: exact, complete, never worse than one route, and as good as trying many divisions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, permutations
from math import isqrt

from hypothesis import assume, given
from hypothesis import strategies as st
from support.lending import address
from support.pool_chain import v2_pool, v3_pool

from keeper.domain.swaps import HopQuote, Route, Sale
from keeper.venues.pools import Pool
from keeper.venues.routes import RouteIndex
from keeper.venues.tick_math import tick_at
from keeper.venues.view import BookView

IN, HUB, OTHER, OUT = (address(n) for n in range(1, 5))
DEPTH = 10**24
PRICES = {IN: 4, HUB: 3, OTHER: 2, OUT: 1}
SIDES = [(IN, OUT), (IN, HUB), (HUB, OUT), (IN, OTHER), (HUB, OTHER), (OTHER, OUT)]
PARTS = 24
Cost = Callable[[Route], int]


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    number = draw(st.integers(0, 10**6))
    one, other = draw(st.sampled_from(SIDES))
    depth = DEPTH * draw(st.integers(1, 100)) // 100
    amount, worth = depth, depth * PRICES[one] // PRICES[other] * draw(st.integers(990, 1010)) // 1000
    if draw(st.booleans()):
        return v2_pool(number, one, other, amount, worth, fee=draw(st.sampled_from([500, 2500, 3000])))
    fee, spacing = draw(st.sampled_from([(500, 10), (3000, 60)]))
    price = isqrt((worth << 192) // amount)
    middle, liquidity = tick_at(price) // spacing * spacing, isqrt(amount * worth)
    positions = [(-600_000, 600_000, liquidity)]
    for _ in range(draw(st.integers(0, 3))):
        low = middle + spacing * draw(st.integers(-30, 29))
        positions.append((low, low + spacing * draw(st.integers(1, 30)), liquidity * draw(st.integers(1, 8))))
    return v3_pool(
        number, (one, other), tick=tick_at(price), positions=positions, fee=fee, spacing=spacing, sqrt_price_x96=price
    )


@st.composite
def markets(draw: st.DrawFn) -> BookView:
    found = {pool.address: pool for pool in draw(st.lists(pools(), min_size=1, max_size=7))}
    return BookView(found, RouteIndex(found.values(), [HUB, OTHER]))


amounts = st.integers(1, 60).map(lambda share: DEPTH * share // 400)
gas = st.integers(0, 10**22)


def net(sale: Sale, cost: Cost) -> int:
    return sum(leg.amount_out_raw - cost(leg.route) for leg in sale)


def hops_cost(unit: int) -> Cost:
    return lambda route: unit * (1 + len(route)) // 4


@given(markets(), amounts, gas)
def test_a_sale_is_complete_and_exact(view: BookView, amount: int, unit: int) -> None:
    sale = view.sell(IN, OUT, amount, hops_cost(unit))
    assume(sale is not None)
    assert sale is not None
    assert 1 <= len(sale) <= 5
    assert sum(leg.amount_in_raw for leg in sale) == amount
    pools_now: BookView = view
    for leg in sale:  # each leg on the pools as the earlier ones leave them
        assert (leg.token_in, leg.token_out) == (IN, OUT)
        assert pools_now.quote(leg.route, leg.amount_in_raw) == leg.quotes
        pools_now = pools_now.after(leg.quotes)


@given(markets(), amounts, gas)
def test_a_sale_is_never_worse_than_any_single_route(view: BookView, amount: int, unit: int) -> None:
    cost = hops_cost(unit)
    singles = [quotes for route in view.routes(IN, OUT) if (quotes := view.quote(route, amount))]
    sale = view.sell(IN, OUT, amount, cost)
    if singles:
        assert sale is not None
        assert net(sale, cost) >= max(alone(quotes, cost) for quotes in singles)


def alone(quotes: Sequence[HopQuote], cost: Cost) -> int:
    return quotes[-1].amount_out_raw - cost(tuple(quote.hop for quote in quotes))


@given(markets(), amounts, gas)
def test_no_division_that_is_tried_is_better(view: BookView, amount: int, unit: int) -> None:
    """Where legs share a pool that keeps its fee, curves do not know what the second sale costs more."""
    cost = hops_cost(unit)
    sale = view.sell(IN, OUT, amount, cost)
    assume(sale is not None)
    assert sale is not None
    ours = net(sale, cost)
    for tried in all_tried(view, amount):
        slack = 12 if shares_constant_product(tried) else 20
        assert ours >= net(tried, cost) - (abs(ours) >> slack) - 10


def paid(quotes: Sequence[HopQuote] | None) -> int:
    return quotes[-1].amount_out_raw if quotes else 0


def shares_constant_product(sale: Sale) -> bool:
    pools = [quote.hop.pool for leg in sale for quote in leg.quotes if quote.hop.venue == "uniswap-v2"]
    return len(set(pools)) < len(pools)


def all_tried(view: BookView, amount: int) -> Iterator[Sale]:
    """Sell on the six best routes alone, two by two in many shares and three by three in some."""
    ranked = sorted(view.routes(IN, OUT), key=lambda route: -paid(view.quote(route, amount)))[:6]
    tried = [[(route, amount)] for route in ranked]
    for one, other in permutations(ranked, 2):
        tried += [[(one, amount * part // PARTS), (other, amount - amount * part // PARTS)] for part in range(1, PARTS)]
    for one, other, third in combinations(ranked, 3):
        for part in range(1, 8):
            for next_part in range(1, 8 - part):
                parts = (amount * part // 8, amount * next_part // 8)
                tried.append([(one, parts[0]), (other, parts[1]), (third, amount - sum(parts))])
    sales = (view.divide(division) for division in tried)
    yield from (sale for sale in sales if sale is not None)


@given(markets(), amounts, amounts, gas)
def test_on_moved_pools_the_sale_is_still_the_best(view: BookView, first: int, amount: int, unit: int) -> None:
    """What is remembered from before the pools moved leads nobody astray."""
    cost = hops_cost(unit)
    earlier = view.sell(IN, OUT, first, cost)
    assume(earlier)
    assert earlier is not None
    moved = view.after([quote for leg in earlier for quote in leg.quotes])
    afresh = BookView(moved.pools, RouteIndex(view.pools.values(), [HUB, OTHER]))  # the same routes
    one, other = moved.sell(IN, OUT, amount, cost), afresh.sell(IN, OUT, amount, cost)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert net(one, cost) >= net(other, cost) - (abs(net(other, cost)) >> 14) - 10
