"""Sales worked out by hand: what is divided, what is not worth its gas, what two legs share."""

from __future__ import annotations

import pytest
from support.lending import address
from support.pool_chain import v2_pool, v3_pool

from keeper.domain.swaps import Route, Sale
from keeper.venues.pools import Pool
from keeper.venues.routes import RouteIndex
from keeper.venues.view import BookView

A, B, C, D = (address(n) for n in (1, 2, 3, 4))
E18 = 10**18
ONE = v2_pool(1, A, B, 1000 * E18, 2000 * E18)
TWIN = v2_pool(2, A, B, 1000 * E18, 2000 * E18)
WIDE = [(-887_220, 887_220, 10_000 * E18)]


def view(*pools: Pool, hubs: tuple[str, ...] = (C, D)) -> BookView:
    found = {pool.address: pool for pool in pools}
    return BookView(found, RouteIndex(found.values(), hubs))  # type: ignore[arg-type]


def free(_: Route) -> int:
    return 0


def brought(sale: Sale | None) -> int:
    assert sale is not None
    return sum(leg.amount_out_raw for leg in sale)


def shares(sale: Sale | None) -> list[int]:
    assert sale is not None
    return [leg.amount_in_raw for leg in sale]


def test_equal_pools_share_equally() -> None:
    assert shares(view(ONE, TWIN).sell(A, B, 10 * E18, free)) == [5 * E18, 5 * E18]


def test_a_second_leg_is_worth_its_gas_or_not_there() -> None:
    both, alone = view(ONE, TWIN).sell(A, B, 10 * E18, free), view(ONE).sell(A, B, 10 * E18, free)
    gain = brought(both) - brought(alone)
    assert gain > 0
    assert len(shares(view(ONE, TWIN).sell(A, B, 10 * E18, lambda _: gain - 1))) == 2
    assert len(shares(view(ONE, TWIN).sell(A, B, 10 * E18, lambda _: gain))) == 1


def test_the_gas_of_hops_decides_between_routes() -> None:
    through = [v2_pool(3, A, C, 10**6 * E18, 10**6 * E18), v2_pool(4, C, B, 10**6 * E18, 2 * 10**6 * E18)]
    market = view(ONE, *through)
    cheap, dear = market.sell(A, B, 10 * E18, free), market.sell(A, B, 10 * E18, lambda route: E18 * len(route))
    assert cheap is not None
    assert dear is not None
    assert max(len(leg.route) for leg in cheap) == 2
    assert [len(leg.route) for leg in dear] == [1]


def test_nothing_is_sold_for_itself_and_too_much_not_at_all() -> None:
    assert view(ONE).sell(A, A, 5, free) == ()
    assert view(ONE).sell(A, D, 5, free) is None
    assert view(ONE).sell(A, B, 2**113, free) is None
    assert view(ONE).sell(A, B, 0, free) is None


def test_what_one_pool_cannot_take_several_can() -> None:
    narrow = [v3_pool(n, (A, B), tick=0, positions=[(-60, 60, 10**5 * E18)], sqrt_price_x96=2**96) for n in (5, 6)]
    most = narrow[0].curve(A).takes_up_to(10**60) >> 32
    assert view(*narrow).quote(view(*narrow).routes(A, B)[0], most + 10) is None
    assert len(shares(view(*narrow).sell(A, B, most + 10, free))) == 2


def test_pools_to_be_left_alone_are() -> None:
    market = view(ONE, TWIN)
    sale = market.sell(A, B, 10 * E18, free, frozenset({ONE.address}))
    assert sale is not None
    assert [hop.pool for leg in sale for hop in leg.route] == [TWIN.address]
    assert market.sell(A, B, 10 * E18, free, frozenset({ONE.address, TWIN.address})) is None


def test_a_shared_pool_is_counted_once() -> None:
    """Two legs begin in one pool: it pays what it pays for both together, and that is divided."""
    first = v3_pool(7, (A, C), tick=0, positions=WIDE, sqrt_price_x96=2**96)
    last = [v2_pool(n, C, B, 500 * E18, 1000 * E18) for n in (8, 9)]
    sale = view(first, *last).sell(A, B, 100 * E18, free)
    assert sale is not None
    assert [leg.quotes[0].hop.pool for leg in sale] == [first.address] * 2
    whole = first.quote(A, 100 * E18)
    assert whole is not None
    between = [leg.quotes[0].amount_out_raw for leg in sale]
    assert abs(sum(between) - whole) <= 2
    assert abs(between[0] - between[1]) <= whole >> 20
    assert sale[0].amount_in_raw < sale[1].amount_in_raw  # the first unit is the dearest


def test_three_hops_are_found_and_no_pool_twice() -> None:
    chain = [v2_pool(n, *pair, 10**6 * E18, 10**6 * E18) for n, pair in enumerate([(A, C), (C, D), (D, B)], 20)]
    (route,) = view(*chain).routes(A, B)
    assert [hop.pool for hop in route] == [pool.address for pool in chain]
    assert brought(view(*chain).sell(A, B, E18, free)) == (view(*chain).quote(route, E18) or ())[-1].amount_out_raw


def test_longer_routes_choose_among_the_deepest_pools_of_each_step() -> None:
    crowd = [v2_pool(30 + n, A, C, (n + 1) * 1000 * E18, (n + 1) * 1000 * E18) for n in range(5)]
    routes = view(*crowd, v2_pool(40, C, B, 10**6 * E18, 10**6 * E18)).routes(A, B)
    assert [route[0].pool for route in routes] == [pool.address for pool in reversed(crowd[2:])]


def test_routes_that_cross_are_divided_too() -> None:
    """Two ways through two hubs and a bridge between the hubs: all three share pools with one another."""
    pools = [
        v3_pool(
            n, pair, tick=0, positions=[(-887_220, 887_220, depth * E18)], sqrt_price_x96=2**96, fee=500, spacing=60
        )
        for n, (pair, depth) in enumerate(
            [((A, C), 40_000), ((A, D), 5_000), ((B, C), 5_000), ((B, D), 40_000), ((C, D), 60_000)], 50
        )
    ]
    market = view(*pools)
    sale = market.sell(A, B, 500 * E18, free)
    assert sale is not None
    assert sorted(len(leg.route) for leg in sale) == [2, 2, 3]
    without = max(brought(view(*(p for p in pools if p is not left)).sell(A, B, 500 * E18, free)) for left in pools)
    assert brought(sale) > without


@pytest.mark.parametrize("asked", [15_000, 19_000, 19_800])
def test_a_sale_gains_most_where_the_next_unit_brings_what_is_asked(asked: int) -> None:
    market = view(ONE, TWIN, v2_pool(3, A, C, 500 * E18, 500 * E18), v2_pool(4, C, B, 500 * E18, 1000 * E18))
    amount, *_ = market.peaks(A, B, asked, 10_000, free)
    step = E18 // 100
    here, beyond = (brought(market.sell(A, B, amount + more, free)) for more in (0, step))
    assert abs((beyond - here) * 10_000 // step - asked) <= asked // 1000


def test_nothing_is_gained_above_the_first_price() -> None:
    assert view(ONE).peaks(A, B, 20_000, 10_000, free) == ()
    assert view(ONE).peaks(A, A, 1, 2, free) == ()
    assert view(ONE).peaks(A, D, 1, 2, free) == ()
    assert view(ONE).peaks(A, B, 19_000, 10_000, lambda _: 10**30) == ()


def test_a_moved_view_keeps_what_did_not_move() -> None:
    before = view(ONE, TWIN)
    sale = before.sell(A, B, 10 * E18, free)
    assert sale is not None
    after = before.after([quote for leg in sale for quote in leg.quotes])
    assert brought(after.sell(A, B, 10 * E18, free)) < brought(sale)
    assert brought(before.sell(A, B, 10 * E18, free)) == brought(sale)


def test_amounts_of_a_few_units_are_no_trouble() -> None:
    pools = [
        v2_pool(3, A, C, 10**6 * E18, 10**9),
        v3_pool(4, (C, B), tick=0, positions=[(-6000, 6000, 10**12)], sqrt_price_x96=2**96),
        v2_pool(5, C, B, 10**9, 10**6 * E18),
    ]
    for amount in (*range(1, 40), *(10**digits for digits in range(2, 24))):
        market = view(ONE, *pools)
        sale = market.sell(A, B, amount, free)
        if sale is not None:
            assert sum(shares(sale)) == amount


def test_three_hops_go_through_the_best_connected_hubs_between_the_ends() -> None:
    hubs = tuple(address(n) for n in range(100, 107))
    spokes = [v2_pool(60 + n, A, hub, E18, E18) for n, hub in enumerate(hubs)]
    links = [v2_pool(80 + n, hubs[n], hubs[n + 1], E18, E18) for n in range(3)]
    ends = [v2_pool(90 + n, hub, B, E18, E18) for n, hub in enumerate(hubs[:4])]
    routes = view(*spokes, *links, *ends, hubs=(A, B, *hubs)).routes(A, B)
    between = {tuple(hop.token_out for hop in route[:-1]) for route in routes if len(route) == 3}
    # the first four hubs have the most pools; each neighbour leads to the next, both ways
    assert between == {
        (one, other) for n in range(3) for one, other in [(hubs[n], hubs[n + 1]), (hubs[n + 1], hubs[n])]
    }


def even(number: int, one: str, other: str, depth: int, spacing: int = 60) -> Pool:
    """A concentrated pool of two tokens of equal worth, over all prices."""
    reach = 887_272 // spacing * spacing
    positions = [(-reach, reach, depth * E18)]
    return v3_pool(number, (one, other), tick=0, positions=positions, sqrt_price_x96=2**96, fee=500, spacing=spacing)  # type: ignore[arg-type]


def best_of_two(market: BookView, amount: int) -> int:
    """The most that any two routes bring in shares of a hundredth."""
    routes = market.routes(A, B)
    sales = (
        market.divide([(one, amount * part // 100), (other, amount - amount * part // 100)])
        for one in routes
        for other in routes
        if one != other
        for part in range(1, 100)
    )
    return max(brought(sale) for sale in sales if sale is not None)


def test_two_pools_shared_one_after_the_other_keep_their_order() -> None:
    market = view(even(1, A, C, 2200), even(2, C, D, 2200), even(3, D, B, 3800), even(4, D, B, 4100))
    sale = market.sell(A, B, 277 * E18, free)
    assert len(shares(sale)) == 2
    assert brought(sale) >= best_of_two(market, 277 * E18)


def test_routes_that_take_a_pool_the_other_way_round_do_not_hide_better_ones() -> None:
    first = v2_pool(1, A, C, 400 * E18, 400 * E18)
    ways = [even(n, A, D, 4000) for n in (2, 3)]
    market = view(
        first, *ways, even(4, C, D, 90_000), even(5, D, B, 90_000), *(even(n, C, B, 20) for n in (6, 7, 8, 9))
    )
    assert brought(market.sell(A, B, 200 * E18, free)) >= best_of_two(market, 200 * E18)


def test_what_has_become_worth_joining_joins_after_a_sale() -> None:
    market = view(even(1, A, B, 100_000), v2_pool(2, A, B, 90_000 * E18, 90_090 * E18))
    first = market.sell(A, B, 40 * E18, free)
    assert len(shares(first)) == 1  # a fee of 0.05 % here, of 0.3 % at a price 0.1 % better there
    moved = market
    for _ in range(3):
        again = moved.sell(A, B, 40 * E18, free)
        assert again is not None
        moved = moved.after([quote for leg in again for quote in leg.quotes])
    afresh = view(*moved.pools.values())
    one, other = moved.sell(A, B, 40 * E18, free), afresh.sell(A, B, 40 * E18, free)
    assert len(shares(other)) == 2
    assert brought(one) == brought(other)


def test_a_second_leg_through_a_pool_that_is_used_costs_less() -> None:
    """Both legs go through the same first pool: the second is worth its gas less what a warm pool spares, or not."""
    first = v2_pool(3, A, C, 10**6 * E18, 10**6 * E18)
    market = view(first, v2_pool(4, C, B, 1000 * E18, 1000 * E18), v2_pool(5, C, B, 1000 * E18, 1000 * E18))
    gain = brought(market.sell(A, B, 10 * E18, free)) - max(
        quotes[-1].amount_out_raw for route in market.routes(A, B) if (quotes := market.quote(route, 10 * E18))
    )
    assert gain > 0
    assert len(shares(market.sell(A, B, 10 * E18, lambda _: gain + 9))) == 1
    assert len(shares(market.sell(A, B, 10 * E18, lambda _: gain + 9, frozenset(), 10))) == 2


def test_two_legs_of_pools_side_by_side_are_as_good_as_three_less_the_gas_of_one() -> None:
    """What the first pools bring never just fits the last ones; a third leg for the difference is not worth its gas."""
    first = [v2_pool(3, A, C, 1000 * E18, 1000 * E18), v2_pool(4, A, C, 500 * E18, 500 * E18)]
    between = v2_pool(5, C, D, 10**6 * E18, 10**6 * E18)
    last = [v2_pool(6, D, B, 1000 * E18, 1000 * E18), v2_pool(7, D, B, 450 * E18, 450 * E18)]
    market = view(*first, between, *last)
    fine, coarse = market.sell(A, B, 30 * E18, free), market.sell(A, B, 30 * E18, lambda _: 10**16)
    assert len(shares(fine)) == 3
    assert len(shares(coarse)) == 2
    assert 0 < brought(fine) - brought(coarse) < 10**16
