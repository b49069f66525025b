"""Routes through the pools, quotes along them, and the pools they leave behind."""

from __future__ import annotations

import gc
import weakref

from support.lending import address
from support.pool_chain import v2_pool

from keeper.venues.routes import RouteIndex
from keeper.venues.view import BookView

A, B, C, D = (address(n) for n in (1, 2, 3, 4))
AB, AC, CB = (v2_pool(1, A, B, 10**24, 10**24), v2_pool(2, A, C, 10**24, 10**24), v2_pool(3, B, C, 10**24, 10**24))


def view(hubs: tuple[str, ...] = (A, B, C)) -> BookView:
    pools = {pool.address: pool for pool in (AB, AC, CB)}
    return BookView(pools, RouteIndex(pools.values(), hubs))  # type: ignore[arg-type]


def test_direct_routes_stand_before_those_through_a_hub() -> None:
    routes = view().routes(A, B)
    assert [[hop.pool for hop in route] for route in routes] == [[AB.address], [AC.address, CB.address]]
    assert [hop.token_out for hop in routes[1]] == [C, B]


def test_only_hubs_stand_between() -> None:
    assert len(view(hubs=(D,)).routes(A, B)) == 1
    assert view().routes(A, D) == ()


def test_equal_tokens_need_no_sale() -> None:
    assert view().routes(A, A) == ((),)
    assert view().quote((), 5) == ()


def test_a_quote_hands_each_hop_what_the_one_before_paid() -> None:
    route = view().routes(A, B)[1]
    quotes = view().quote(route, 10**20)
    assert quotes is not None
    first = AC.quote(A, 10**20)
    assert first is not None
    assert [quote.amount_in_raw for quote in quotes] == [10**20, first]
    assert quotes[1].amount_out_raw == CB.quote(C, first)


def test_a_hop_that_cannot_take_it_spoils_the_route() -> None:
    assert view().quote(view().routes(A, B)[1], 2**112) is None


def test_after_moves_the_pools_it_used_and_no_other() -> None:
    before = view()
    quotes = before.quote(before.routes(A, B)[1], 10**20)
    assert quotes is not None
    after = before.after(quotes)
    assert after.pools[AB.address] is AB
    assert after.pools[AC.address] == AC.after(A, 10**20)
    assert before.pools[AC.address] is AC
    again = after.quote(after.routes(A, B)[1], 10**20)
    assert again is not None
    assert again[-1].amount_out_raw < quotes[-1].amount_out_raw


def test_after_nothing_is_the_same_view() -> None:
    before = view()
    assert before.after(()) is before


def test_what_is_gone_on_with_keeps_no_earlier_view() -> None:
    now, seen = view(), []
    for _ in range(10):
        seen.append(weakref.ref(now))
        assert now.sell(A, B, 10**20, lambda _: 1) is not None
        now.promise(A, C, 10**20)
        quotes = now.quote(now.routes(A, B)[0], 10**18)
        assert quotes is not None
        now = now.after(quotes)
    gc.collect()
    assert [each() for each in seen] == [None] * 10
