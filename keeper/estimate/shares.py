"""Which accounts have a part of the pools, and what the pools are like without one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from keeper.domain.fixed_point import mul_div_down
from keeper.domain.lending import LiquidationCall
from keeper.domain.swaps import Hop, HopQuote, Leg, Route, Sale
from keeper.estimate.offers import Key, Side
from keeper.estimate.prices import Bid
from keeper.ports import VenueView

Flows = dict[Hop, int]
"""What is sold through each pool, raw units of the token sold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one account gets: its liquidations as a bid, and what their sale takes of the pools.

    It is sold along the bid's routes, but where `is_divided` says that the sale is best divided: into
    `legs`, as found beside all other shares, or on the spot where there are none. What `is_searched` is
    the best of all sizes; the others are offers in full.
    """

    bid: Bid
    flows: Mapping[Hop, int]
    is_divided: bool
    legs: Sale = ()
    is_searched: bool = False

    @property
    def key(self) -> Key:
        """Whose share it is."""
        return self.bid.offer.key

    @property
    def calls(self) -> tuple[LiquidationCall, ...]:
        """The liquidations, one after the other."""
        return self.bid.offer.calls

    @property
    def repaid(self) -> int:
        """What they repay, in US dollars times 1e18."""
        return self.bid.offer.repaid


class Shares:
    """The shares of `before`, the pools as they are while nobody has any."""

    def __init__(self, before: VenueView) -> None:
        self._before = before
        self._by_key: dict[Key, Share] = {}
        self._total: Flows = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._by_key

    def get(self, key: Key) -> Share | None:
        """Return an account's share."""
        return self._by_key.get(key)

    def put(self, share: Share) -> None:
        """Give an account a share in place of what it has."""
        self.drop(share.key)
        self._by_key[share.key] = share
        self._add(share.flows, 1)

    def drop(self, key: Key) -> None:
        """Take away what an account has."""
        share = self._by_key.pop(key, None)
        if share is not None:
            self._add(share.flows, -1)

    def by_size(self) -> list[Share]:
        """Return all shares, the largest first."""
        return sorted(self._by_key.values(), key=lambda share: share.repaid, reverse=True)

    def pools(self, *, without: Key | None = None) -> VenueView | None:
        """Return the pools after all shares, or all but one; None where they cannot take them."""
        share = None if without is None else self._by_key.get(without)
        less = {} if share is None else share.flows
        quotes: list[HopQuote] = []
        for hop, amount_raw in self._total.items():
            rest_raw = amount_raw - less.get(hop, 0)
            quoted = self._before.quote((hop,), rest_raw) if rest_raw > 0 else ()
            if quoted is None:
                return None
            quotes += quoted
        return self._before.after(quotes)

    def _add(self, flows: Mapping[Hop, int], sign: int) -> None:
        for hop, amount_raw in flows.items():
            self._total[hop] = self._total.get(hop, 0) + sign * amount_raw


def flows_of(legs: Iterable[Leg]) -> Flows:
    """Return what a sale sells through each pool."""
    flows: Flows = {}
    for leg in legs:
        for quote in leg.quotes:
            flows[quote.hop] = flows.get(quote.hop, 0) + quote.amount_in_raw
    return flows


def undivided_routes(sold: Iterable[tuple[Side, int]], legs: Sale) -> tuple[Route, ...] | None:
    """Return the route of each of `sold`, () for what needs no sale; None unless `legs` sell each token once, in order.

    Sold along these routes it comes to the same legs; what is divided has to be divided again.
    """
    sides = [side for side, _ in sold]
    tokens = dict.fromkeys(token for token, bought in sides if token != bought)
    if [leg.token_in for leg in legs] != list(tokens):
        return None
    by_token = {leg.token_in: leg.route for leg in legs}
    return tuple(by_token[token] if token != bought else () for token, bought in sides)


def sell_together(bids: Sequence[Bid], venues: VenueView) -> tuple[VenueView, list[Share]] | None:
    """Sell what all bids offer, each along its routes; return the pools then, and the share of each.

    A share takes its part of what is sold together along a route. None where a pool cannot take it.
    """
    totals: dict[Route, int] = {}
    for route, amount_raw in _sales(bids):
        totals[route] = totals.get(route, 0) + amount_raw
    flows: dict[Route, Flows] = {}
    for route, total_raw in totals.items():
        quotes = venues.quote(route, total_raw)
        if quotes is None:
            return None
        venues = venues.after(quotes)
        flows[route] = flows_of([Leg(quotes=quotes)]) if quotes else {}
    return venues, [_part(bid, totals, flows) for bid in bids]


def _sales(bids: Iterable[Bid]) -> Iterator[tuple[Route, int]]:
    for bid in bids:
        for route, (_, amount_raw) in zip(bid.routes, bid.offer.sold, strict=True):
            yield route, amount_raw


def _part(bid: Bid, totals: Mapping[Route, int], flows: Mapping[Route, Flows]) -> Share:
    part: Flows = {}
    for route, amount_raw in _sales([bid]):
        for hop, sold_raw in flows[route].items():
            part[hop] = part.get(hop, 0) + mul_div_down(sold_raw, amount_raw, totals[route])
    return Share(bid=bid, flows=part, is_divided=bid.has_several_debts)
