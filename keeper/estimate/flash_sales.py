"""Sales in which a Uniswap V3 pool lends what is repaid: it pays first and takes the collateral at the end.

That spares a premium, but the pool alone has to pay all that is repaid, and nothing else of the run may use it.
So its leg stands first and sells at least as much as brings the repay; the rest is sold wherever it brings most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from keeper.domain.fixed_point import mul_div_up
from keeper.domain.lending import Outcome
from keeper.domain.swaps import Leg, Route, Sale
from keeper.domain.units import Address
from keeper.estimate.funding import needs_of
from keeper.estimate.scene import Scene, seized_by
from keeper.estimate.search import search_concave

_PAIR: Final = 2
_PART_SHIFT: Final = 5
_BALANCE_STEPS: Final = 20
_TRIES: Final = 8
_LESS_SHIFT: Final = 2
_NEAR_SHIFT: Final = 30


def find_flash_sales(scene: Scene, steps: Sequence[Outcome], legs: Sale | None) -> Iterator[Sale]:
    """Yield sales for the one debt that a pool could lend; `legs` is the best sale otherwise."""
    seized = seized_by(steps)
    ((token, needed_raw),) = needs_of(steps).items()
    if legs is not None and len(legs) > 1:
        yield from _lender_first(legs, needed_raw)
    if len(seized) > 1 or token in seized:
        return
    ((collateral, amount_raw),) = seized.items()
    route = _lender(scene, (collateral, token), amount_raw)
    whole = scene.venues.quote(route, amount_raw) if route else None
    if route and whole and whole[-1].amount_out_raw >= needed_raw:
        yield (Leg(quotes=whole),)
        is_divided = legs is None or len(legs) > 1  # a sale that is best undivided gains little from a second leg
        rest = _with_rest(scene, route, amount_raw, needed_raw) if is_divided else None
        if rest is not None:
            yield rest


def relieve(scene: Scene, legs: Sale, needed_raw: int) -> Iterator[Sale]:
    """Yield flash sales of two legs with the lender's share as it is best, where that may be better than `legs`.

    Too dear to try for each amount that is looked at.
    """
    lender, others = legs[0], [leg.route for leg in legs[1:]]
    if len(legs) > _PAIR or any(leg.token_in != lender.token_in for leg in legs):
        return
    if not others and not _is_relieved(scene, lender):
        return
    amount_raw = sum(leg.amount_in_raw for leg in legs)
    first = _least_leg(scene, lender.route, amount_raw, needed_raw)
    if first is None or first.amount_in_raw >= amount_raw:
        return
    rest_raw = amount_raw - first.amount_in_raw
    for raw in (rest_raw, rest_raw >> _LESS_SHIFT):  # a leg of little gas may be best for what is best sold past it
        rest = _past_lender(scene, first, raw)
        others += [max(rest, key=lambda leg: leg.amount_in_raw).route] if rest else []
    for other in dict.fromkeys(others):
        sale = _balanced(scene, first, other, amount_raw)
        if sale is not None:
            yield sale


def _lender_first(legs: Sale, needed_raw: int) -> Iterator[Sale]:
    """Yield the same legs with one that could lend in front, if their order does not matter."""
    pools = [quote.hop.pool for leg in legs for quote in leg.quotes]
    if len(set(pools)) < len(pools):
        return
    for leg in legs[1:]:
        if leg.quotes[-1].hop.venue == "uniswap-v3" and leg.amount_out_raw >= needed_raw:
            yield (leg, *(other for other in legs if other is not leg))


def _lender(scene: Scene, side: tuple[Address, Address], amount_raw: int) -> Route | None:
    """Return the route into a pool that can lend which brings most after gas for about such an amount, if any."""
    key = (*side, amount_raw.bit_length())
    if key not in scene.lenders:
        cost = scene.leg_cost_raw(side[1])
        brought: list[tuple[int, Route]] = []
        for route in scene.venues.routes(*side):
            quotes = scene.venues.quote(route, amount_raw) if route and route[-1].venue == "uniswap-v3" else None
            if quotes:
                brought.append((quotes[-1].amount_out_raw - cost(route), route))
        scene.lenders[key] = max(brought, key=lambda each: each[0])[1] if brought else None
    return scene.lenders[key]


def _with_rest(scene: Scene, route: Route, amount_raw: int, needed_raw: int) -> Sale | None:
    """Return the sale of just enough along `route`, and of the rest past the lender; None where that cannot be."""
    first = _least_leg(scene, route, amount_raw, needed_raw)
    if first is None or first.amount_in_raw >= amount_raw:
        return None
    rest = _past_lender(scene, first, amount_raw - first.amount_in_raw)
    return None if not rest else (first, *rest)


def _past_lender(scene: Scene, first: Leg, amount_raw: int) -> Sale | None:
    """Return the best sale of an amount after the lender's leg; only the pool that lends is locked."""
    venues = scene.venues.after(first.quotes) if len(first.quotes) > 1 else scene.venues
    locked = frozenset({first.quotes[-1].hop.pool})
    return scene.sell((first.token_in, first.token_out), amount_raw, venues, locked)


def _is_relieved(scene: Scene, leg: Leg) -> bool:
    """Whether a little sold past the lender brings more than it does as the last of the lender's own leg."""
    part_raw = leg.amount_in_raw >> _PART_SHIFT
    less = scene.venues.quote(leg.route, leg.amount_in_raw - part_raw) if part_raw else None
    side, locked = (leg.token_in, leg.token_out), frozenset({leg.route[-1].pool})
    best = scene.sell(side, leg.amount_in_raw)
    if best is not None and [each.route for each in best] == [leg.route]:
        return False  # it stays undivided even where no pool is locked
    part = scene.sell(side, part_raw, avoid=locked) if less else None
    if not less or not part:
        return False
    return less[-1].amount_out_raw + sum(each.amount_out_raw for each in part) > leg.amount_out_raw


def _balanced(scene: Scene, lender: Leg, other: Route, amount_raw: int) -> Sale | None:
    """Return an amount sold along two routes, as much past the lender as brings more there; the lender sells its leg
    at least.
    """
    shared = {hop.pool for hop in lender.route} & {hop.pool for hop in other}

    def sold(first_raw: int) -> Sale | None:
        quotes = scene.venues.quote(lender.route, first_raw)
        venues = scene.venues.after(quotes) if quotes and shared else scene.venues
        others = venues.quote(other, amount_raw - first_raw)
        return (Leg(quotes=quotes), Leg(quotes=others)) if quotes and others else None

    def brought_raw(first_raw: int) -> int | None:
        legs = sold(first_raw)
        return None if legs is None else sum(leg.amount_out_raw for leg in legs)

    return sold(search_concave(brought_raw, lender.amount_in_raw, amount_raw - 1, steps=_BALANCE_STEPS))


def _least_leg(scene: Scene, route: Route, amount_raw: int, needed_raw: int) -> Leg | None:
    """Return the leg that brings what is needed and hardly more: prices only get worse, so a part of an amount
    brings at least that part of its proceeds, and scaling down does not fall short but for roundings.
    """
    enough: Leg | None = None
    for _ in range(_TRIES):
        quotes = scene.venues.quote(route, amount_raw)
        brought_raw = quotes[-1].amount_out_raw if quotes else 0
        if not quotes or brought_raw < needed_raw:
            break
        enough = Leg(quotes=quotes)
        if brought_raw - needed_raw <= needed_raw >> _NEAR_SHIFT:
            break
        amount_raw = mul_div_up(amount_raw, needed_raw, brought_raw)
    return enough
