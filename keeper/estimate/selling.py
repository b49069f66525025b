"""Several sales of one run, one after another, on pools that the earlier ones have moved.

Where two sales would use the same pools, each division is best only beside the other: `beside`, the
legs of an earlier attempt, tells what the sales still to come will take of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from keeper.domain.fixed_point import mul_div_down, mul_div_up
from keeper.domain.lending import Outcome
from keeper.domain.swaps import HopQuote, Leg, Route, Sale
from keeper.domain.units import Address
from keeper.estimate.flows import Division
from keeper.estimate.scene import Scene, seized_by
from keeper.ports import VenueView

_BUY_TRIES: Final = 6
_NEAR_SHIFT: Final = 24
"""A purchase this relative part over what is wanted is near enough."""

Amounts = dict[Address, int]

Parts = tuple[tuple[Route, int], ...]
"""Routes in order, and what each sells, raw units."""

Owed = Mapping[Address, tuple[int, int]]
"""Of each debt what is due, and what is bought beyond it so that a run a few blocks late does not fall short; raw."""


class Selling:
    """The legs of a run so far, and the pools as they leave them."""

    def __init__(self, scene: Scene, beside: Sale = ()) -> None:
        self.legs: Sale = ()
        self._scene = scene
        self._venues = scene.venues
        self._used: set[Address] = set()
        self._beside = beside

    def quote(self, token_in: Address, token_out: Address, amount_raw: int) -> Sale | None:
        """Return the best sale of an amount as things stand, () for nothing; None where the pools cannot take it."""
        if not amount_raw or token_in == token_out:
            return ()
        scene, side = self._scene, (token_in, token_out)
        to_come = [leg for leg in self._beside if (leg.token_in, leg.token_out) != side]
        to_come = [leg for leg in to_come if all(leg.route != done.route for done in self.legs)]
        if to_come:
            sale = scene.sell(side, amount_raw, after(self._venues, to_come))
            return None if sale is None else _requote(self._venues, [(leg.route, leg.amount_in_raw) for leg in sale])
        sale = scene.sell(side, amount_raw)
        if sale is not None and self._used.isdisjoint(_pools(sale)):
            return sale  # it meets none of the pools that have moved
        return scene.sell(side, amount_raw, self._venues)

    def rescale(self, parts: Parts, amount_raw: int) -> Sale | None:
        """Return an amount sold along the same routes in the same proportions; None where a pool cannot take it."""
        whole_raw = sum(raw for _, raw in parts)
        shares = [mul_div_down(raw, amount_raw, whole_raw) for _, raw in parts]
        shares[0] += amount_raw - sum(shares)
        return _requote(self._venues, [(part[0], raw) for part, raw in zip(parts, shares, strict=True) if raw])

    def take(self, sale: Sale) -> None:
        """Sell: move the pools."""
        self.legs += sale
        self._used |= _pools(sale)
        self._venues = after(self._venues, sale)


class SellingAlong(Selling):
    """Sells along given routes in given proportions, each sale as `sales` has it by (sold, bought)."""

    def __init__(self, scene: Scene, sales: Mapping[tuple[Address, Address], Parts]) -> None:
        super().__init__(scene)
        self._sales = sales
        pools = Counter(hop.pool for parts in sales.values() for route, _ in parts for hop in route)
        self._shared = {pool for pool, uses in pools.items() if uses > 1}

    def quote(self, token_in: Address, token_out: Address, amount_raw: int) -> Sale | None:
        """Return the sale of an amount, () for nothing; None where it has no routes or the pools cannot take it."""
        if not amount_raw or token_in == token_out:
            return ()
        parts = self._sales.get((token_in, token_out))
        return None if parts is None else self.rescale(parts, amount_raw)

    def take(self, sale: Sale) -> None:
        """Sell: move the pools that are used more than once."""
        self.legs += sale
        self._venues = self._venues.after(_quotes_in(sale, self._shared))


def sell_all(selling: Selling, amounts: Mapping[Address, int], token: Address) -> Sale | None:
    """Return all legs once all `amounts` are sold for `token`; None where a pool cannot take one."""
    for sold, amount_raw in amounts.items():
        sale = selling.quote(sold, token, amount_raw)
        if sale is None:
            return None
        selling.take(sale)
    return selling.legs


def sell_for_debts(selling: Selling, steps: Sequence[Outcome], owed: Owed, division: Division) -> Sale | None:
    """Return a sale that brings what is owed of each debt but the profit token, and of that all the rest is worth."""
    left = seized_by(steps)
    sold_too = {sold for sold, _ in division.flows}
    for debt, (due_raw, room_raw) in owed.items():
        if debt == division.token:
            continue
        held_raw = left.get(debt, 0)
        wanted_raw = due_raw + room_raw - (held_raw if division.keeps else 0)
        givers = {sold: raw for (sold, bought), raw in division.flows.items() if bought == debt}
        bought = _buy_from_all(selling, (debt, wanted_raw), givers, left)
        if bought is None:
            return None
        for leg in bought:
            left[leg.token_in] -= leg.amount_in_raw
        if debt in left:  # what a run sells last of a token is all that is not due
            brought_raw = sum(leg.amount_out_raw for leg in bought)
            left[debt] = max(held_raw + brought_raw - due_raw, 0) if debt in sold_too else 0
    return sell_all(selling, left, division.token)


def share_pools(legs: Sale) -> bool:
    """Whether one sale moves a pool that another uses."""
    pools: dict[tuple[Address, Address], set[Address]] = {}
    for leg in legs:
        pools.setdefault((leg.token_in, leg.token_out), set()).update(_pools((leg,)))
    return sum(map(len, pools.values())) > len(set().union(*pools.values()))


def _buy_from_all(selling: Selling, wanted: tuple[Address, int], givers: Amounts, left: Amounts) -> Sale | None:
    """Sell `givers` for what is wanted of a debt, the last one as much as the others leave open; return the legs."""
    debt, short_raw = wanted
    legs: Sale = ()
    for count, (giver, amount_raw) in enumerate(givers.items(), start=1):
        if count < len(givers):
            sale = selling.quote(giver, debt, amount_raw)
        else:
            sale = _buy(selling, (giver, debt), short_raw, (amount_raw, left[giver])) if short_raw > 0 else ()
        if sale is None:
            return None
        selling.take(sale)
        legs += sale
        short_raw -= sum(leg.amount_out_raw for leg in sale)
    return legs if short_raw <= 0 else None


def _buy(selling: Selling, side: tuple[Address, Address], wanted_raw: int, amounts_raw: tuple[int, int]) -> Sale | None:
    """Return the sale of little more than brings `wanted_raw`; `amounts_raw` is about how much, and what there is.

    As much more is sold as exact quotes fall short of what the curves promised.
    """
    amount_raw, most_raw = amounts_raw
    enough: Sale | None = None
    below = above = (0, 0)
    sale = selling.quote(*side, amount_raw)
    for _ in range(_BUY_TRIES):
        brought_raw = sum(leg.amount_out_raw for leg in sale or ())
        if not sale or not brought_raw or (brought_raw < wanted_raw and amount_raw == most_raw):
            break
        if brought_raw < wanted_raw:
            below = amount_raw, brought_raw
        else:
            enough, above = sale, (amount_raw, brought_raw)
            if brought_raw - wanted_raw <= wanted_raw >> _NEAR_SHIFT:
                break
        amount_raw = min(_next_amount(below, above, wanted_raw), most_raw)
        sale = selling.rescale(parts_of(sale), amount_raw)
    return enough


def _next_amount(below: tuple[int, int], above: tuple[int, int], wanted_raw: int) -> int:
    """Return what to sell instead, given (amount, brought) of the last tries that brought too little and enough.

    Prices only get worse, so what lies on the line between two tries brings enough; beyond the last one
    units bring less than the average, so more is asked for than is missing.
    """
    (low, low_out), (high, high_out) = below, above
    if high:
        return low + mul_div_up(high - low, wanted_raw - low_out, high_out - low_out)
    return low + mul_div_up(low, 5 * (wanted_raw - low_out), 4 * low_out) + 1


def _requote(venues: VenueView, parts: Sequence[tuple[Route, int]]) -> Sale | None:
    """Return legs of these amounts, one after another; None where one cannot be."""
    legs: list[Leg] = []
    for index, (route, amount_raw) in enumerate(parts):
        quotes = venues.quote(route, amount_raw)
        if not quotes:
            return None
        legs.append(Leg(quotes=quotes))
        to_come = {hop.pool for other, _ in parts[index + 1 :] for hop in other}
        venues = venues.after(_quotes_in(legs[-1:], to_come))
    return tuple(legs)


def parts_of(sale: Sale) -> Parts:
    """Return the routes of a sale and what each sells."""
    return tuple((leg.route, leg.amount_in_raw) for leg in sale)


def after(venues: VenueView, legs: Sequence[Leg]) -> VenueView:
    """Return the pools as these legs leave them."""
    return venues.after([quote for leg in legs for quote in leg.quotes])


def _quotes_in(legs: Sequence[Leg], pools: set[Address]) -> list[HopQuote]:
    return [quote for leg in legs for quote in leg.quotes if quote.hop.pool in pools]


def _pools(legs: Sale) -> set[Address]:
    return {quote.hop.pool for leg in legs for quote in leg.quotes}
