"""Which collateral is sold for which debt, where a run repays several: what the pools' curves say.

Each lender but that of the profit token gets back just what is his; everything beyond is sold for the
profit token. With one collateral that leaves no choice. With several, those are sold for a debt
that lose least by it, which is found on the curves, without a quote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from keeper.domain.units import Address
from keeper.estimate.scene import Scene
from keeper.estimate.search import search_concave
from keeper.ports import VenueView

_TRIES: Final = 6

Amounts = Mapping[Address, int]
"""Raw units by token."""

Flows = dict[tuple[Address, Address], int]
"""What is sold of one token for another, raw units of the token sold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """What is sold for what, flows for other debts before those for the profit token.

    `value` is the oracle's value of what is left of that, in base units times 1e18, less than nothing where the
    seizure is not worth what is owed; `net` is what the least gas of the legs leaves of it. Where a debt's own token
    is seized, that pays the debt; it is sold, and all that is owed bought, where the division `keeps` nothing.
    """

    token: Address
    flows: Flows
    value: int
    net: int
    keeps: bool = True


def best_division(scene: Scene, seized: Amounts, owed: Amounts) -> Division | None:
    """Return the division that leaves most after gas; None where a debt cannot be paid."""
    return max(find_divisions(scene, seized, owed), key=lambda each: each.net, default=None)


def find_divisions(scene: Scene, seized: Amounts, owed: Amounts) -> Iterator[Division]:
    """Yield ways to divide what is seized: for each profit token the one that leaves most before gas, and those
    in which one collateral after the other is sold for the other debts, which need fewer legs.
    """
    for token in owed:
        yield from _divisions_for(scene, seized, owed, token, keeps=True)


def find_selling_divisions(scene: Scene, seized: Amounts, owed: Amounts) -> Iterator[Division]:
    """Yield the divisions that sell what is seized of a debt's own token, if any is; they are seldom the best."""
    for token in owed:
        if any(debt in seized for debt in owed if debt != token):
            yield from _divisions_for(scene, seized, owed, token, keeps=False)


def _divisions_for(scene: Scene, seized: Amounts, owed: Amounts, token: Address, *, keeps: bool) -> Iterator[Division]:
    yield from _divisions(scene, seized, owed, token, None, keeps=keeps)
    if len(seized) > 1:
        for first in seized:
            yield from _divisions(scene, seized, owed, token, first, keeps=keeps)


def _divisions(
    scene: Scene, seized: Amounts, owed: Amounts, token: Address, first: Address | None, *, keeps: bool
) -> Iterator[Division]:
    """Yield the division for one profit token, if any; `first` is sold for other debts before the others are."""
    venues, left, flows = scene.venues, dict(seized), Flows()
    for debt, owed_raw in owed.items():
        if debt == token:
            continue
        kept_raw = min(left.get(debt, 0), owed_raw) if keeps else 0
        if kept_raw:
            left[debt] -= kept_raw
        givers = [each for each, raw in left.items() if raw and each != debt]
        if first is None:
            sold = _sold_for(venues, debt, owed_raw - kept_raw, left, token, givers)
        else:
            givers.sort(key=lambda each: each != first)
            sold = _give(venues, debt, owed_raw - kept_raw, {each: left[each] for each in givers})
        if sold is None:
            return
        for collateral, amount_raw in sold.items():
            flows[collateral, debt] = amount_raw
            left[collateral] -= amount_raw
    left_raw = -owed.get(token, 0)
    for collateral, amount_raw in left.items():
        left_raw += venues.promise(collateral, token, amount_raw) if amount_raw else 0
        if collateral != token and amount_raw:
            flows[collateral, token] = amount_raw
    value = scene.value_of(token, left_raw)
    legs = sum(scene.least_leg_value((bought, sold)) for sold, bought in flows)
    yield Division(token=token, flows=flows, value=value, net=value - legs, keeps=keeps)


def _sold_for(
    venues: VenueView, debt: Address, wanted_raw: int, left: Amounts, token: Address, givers: list[Address]
) -> dict[Address, int] | None:
    """Return what to sell of each collateral to get `wanted_raw` of `debt`, at the least loss of `token`."""
    sold: dict[Address, int] = {}
    while len(givers) > 1 and wanted_raw > 0:
        giver = givers.pop(0)
        amount_raw = _best_part(venues, giver, givers, (debt, wanted_raw), left, token)
        if amount_raw is None:
            return None
        if amount_raw:
            sold[giver] = amount_raw
            wanted_raw -= venues.promise(giver, debt, amount_raw)
    last = _give(venues, debt, wanted_raw, {each: left[each] for each in givers})
    return None if last is None else {**sold, **last}


def _best_part(
    venues: VenueView,
    giver: Address,
    others: list[Address],
    wanted: tuple[Address, int],
    left: Mapping[Address, int],
    token: Address,
) -> int | None:
    """Return how much of `giver` is best sold for the debt when the first of `others` gives the rest."""
    debt, wanted_raw = wanted
    rest = {each: left[each] for each in others}
    most_raw = min(left[giver], venues.asks(giver, debt, wanted_raw) or left[giver])

    def brings(spared_raw: int) -> int | None:
        amount_raw = most_raw - spared_raw
        short_raw = wanted_raw - (venues.promise(giver, debt, amount_raw) if amount_raw else 0)
        given = _give(venues, debt, short_raw, rest)
        if given is None:
            return None
        kept = {giver: left[giver] - amount_raw, **{each: rest[each] - given.get(each, 0) for each in others}}
        return sum(venues.promise(each, token, raw) for each, raw in kept.items() if raw)

    if brings(0) is None:
        return None
    return most_raw - search_concave(brings, 0, most_raw, steps=_TRIES)


def _give(venues: VenueView, debt: Address, short_raw: int, givers: Amounts) -> dict[Address, int] | None:
    """Return what to sell of `givers`, one after another, to get `short_raw`; None where all of it is not enough."""
    given: dict[Address, int] = {}
    for giver, most_raw in givers.items():
        if short_raw <= 0:
            break
        asked_raw = venues.asks(giver, debt, short_raw)
        given[giver] = most_raw if asked_raw is None else min(asked_raw, most_raw)
        short_raw -= venues.promise(giver, debt, given[giver])
    return given if short_raw <= 0 else None
