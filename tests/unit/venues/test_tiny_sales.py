"""A sale of a few units, of which nothing may reach the second pool: refused or exact, never an error."""

from __future__ import annotations

import pytest
from support.lending import address
from support.pool_chain import v2_pool

from keeper.venues.view import BookView, RouteIndex

COARSE, FINE, HUB, OTHER = (address(number) for number in (1, 2, 3, 4))


def view() -> BookView:
    """Many ways from a fine token to a coarse one, a unit of which is worth ten thousand million of the other."""
    pools = [
        v2_pool(1, COARSE, FINE, 10**8, 10**18),
        v2_pool(2, FINE, HUB, 10**18, 10**8, 500),
        v2_pool(3, COARSE, HUB, 10**8, 10**8, 500),
        v2_pool(4, FINE, OTHER, 10**18, 10**12),
        v2_pool(5, COARSE, OTHER, 10**8, 10**12),
        v2_pool(6, HUB, OTHER, 10**8, 10**12, 500),
    ]
    return BookView({pool.address: pool for pool in pools}, RouteIndex(pools, [HUB, OTHER]))


@pytest.mark.parametrize(
    "amount_raw", [1, 2, 3, 7, 100, 10**5, 10**6, 10**7, 10**9, 10**10, 2 * 10**10, 10**11, 10**13]
)
def test_few_units_are_sold_exactly_or_not_at_all(amount_raw: int) -> None:
    book = view()
    sale = book.sell(FINE, COARSE, amount_raw, lambda _route: 0)
    if sale is None:
        assert amount_raw < 10**11, "what is worth something sells"
        return
    assert sum(leg.amount_in_raw for leg in sale) == amount_raw
    for leg in sale:
        assert book.quote(leg.route, leg.amount_in_raw) == leg.quotes
        book = book.after(leg.quotes)
