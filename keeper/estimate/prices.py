"""What one more unit of a token sells for, and what offers come to at that price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from keeper.domain.fixed_point import mul_div_down, mul_div_up
from keeper.domain.swaps import Route
from keeper.domain.units import Address
from keeper.estimate.offers import Offer, Side, worth_of
from keeper.estimate.scene import Scene
from keeper.ports import VenueView

_PROBE_USD: Final = 50
"""Small beside what pools hold, large beside a unit of any token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bid:
    """What an offer brings and costs at the price of the last unit, in US dollars times 1e18, and where it is sold."""

    offer: Offer
    gross: int
    cost: int
    routes: tuple[Route, ...]

    @property
    def net(self) -> int:
        """What is left."""
        return self.gross - self.cost

    @property
    def premium(self) -> int:
        """What of the cost lenders take: nothing where the pool sold into pays before it is paid."""
        return 0 if self.cost == self.offer.swap_cost else self.offer.premium

    @property
    def has_several_debts(self) -> bool:
        """Whether each debt's lender has to be given back another token."""
        first = self.offer.sold[0][0][1]
        return any(side[1] != first for side, _ in self.offer.sold)


class Rate(NamedTuple):
    """So many US dollars times 1e18 for so many raw units, along one route."""

    dollars: int
    per_raw: int
    route: Route


class Prices:
    """The prices of given pools; each is asked once, with a small sale.

    A single route is taken for each sale. Values are by each market's own oracle.
    """

    def __init__(self, venues: VenueView, scenes: Mapping[str, Scene]) -> None:
        self._venues = venues
        self._scenes = scenes
        self._known: dict[tuple[str, Side], tuple[Rate, Rate]] = {}
        self._along: dict[tuple[str, Side, Route], Rate] = {}

    def bid(self, offer: Offer) -> Bid:
        """Return the best that an offer comes to at the margin: a loss where it should be left alone."""
        market, gross, routes = offer.key[0], 0, []
        for side, amount_raw in offer.sold:
            first, swap = self._known.get((market, side)) or self._ask(market, side)
            gross += mul_div_down(amount_raw, first.dollars, first.per_raw)
            routes.append(first.route)
            if offer.swap_cost is not None and len(offer.sold) == 1:
                swapped = mul_div_down(amount_raw, swap.dollars, swap.per_raw)
                if swapped - offer.swap_cost > gross - offer.cost:
                    return Bid(offer=offer, gross=swapped, cost=offer.swap_cost, routes=(swap.route,))
        return Bid(offer=offer, gross=gross, cost=offer.cost, routes=tuple(routes))

    def net(self, offer: Offer) -> int | None:
        """Return the net of an offer's best bid, None where nothing of it can be sold."""
        if len(offer.sold) > 1:
            bid = self.bid(offer)
            return bid.net if bid.gross else None
        side, amount_raw = offer.sold[0]
        first, swap = self._known.get((offer.key[0], side)) or self._ask(offer.key[0], side)
        if not first.dollars:
            return None
        net = mul_div_down(amount_raw, first.dollars, first.per_raw) - offer.cost
        if offer.swap_cost is None:
            return net
        return max(net, mul_div_down(amount_raw, swap.dollars, swap.per_raw) - offer.swap_cost)

    def net_along(self, bid: Bid) -> int:
        """Return what a bid nets at the margin when it keeps to its routes."""
        gross = 0
        for (side, amount_raw), route in zip(bid.offer.sold, bid.routes, strict=True):
            rate = self._rate_of(bid.offer.key[0], side, route)
            gross += mul_div_down(amount_raw, rate.dollars, rate.per_raw)
        return gross - bid.cost

    def _ask(self, market: str, side: Side) -> tuple[Rate, Rate]:
        """Return the best rate of all routes, and of those whose last pool can pay first."""
        rates = [self._rate_of(market, side, route) for route in self._venues.routes(*side)]
        swaps = [rate for rate in rates if rate.route and rate.route[-1].venue == "uniswap-v3"]
        nothing = Rate(0, 1, ())
        best = max(rates, key=_dollars, default=nothing), max(swaps, key=_dollars, default=nothing)
        self._known[market, side] = best
        return best

    def _rate_of(self, market: str, side: Side, route: Route) -> Rate:
        rate = self._along.get((market, side, route))
        if rate is None:
            scene = self._scenes[market]
            (dollar, unit), probe_raw = worth_of(scene, side[1]), _probe_raw(scene, side[0])
            quotes = self._venues.quote(route, probe_raw)
            out_raw = 0 if quotes is None else quotes[-1].amount_out_raw if quotes else probe_raw
            rate = self._along[market, side, route] = Rate(out_raw * dollar, probe_raw * unit, route)
        return rate


def _probe_raw(scene: Scene, token: Address) -> int:
    """Return the raw amount of a token that a price is asked with."""
    view = scene.view
    return mul_div_up(_PROBE_USD * view.base_unit, 10 ** view.decimals(token), view.price_base(token) or 1)


def _dollars(rate: Rate) -> int:
    return rate.dollars
