"""What a run of given liquidations comes to: its sale, its funds, its gas, its profit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Final

from keeper.domain.lending import Outcome
from keeper.domain.plans import Fund
from keeper.domain.swaps import Leg, Route, Sale
from keeper.domain.units import Address
from keeper.estimate.flash_sales import find_flash_sales, relieve
from keeper.estimate.flows import Division, best_division, find_divisions
from keeper.estimate.funding import choose_funds, late_room_raw, needs_of
from keeper.estimate.gas import shape_of
from keeper.estimate.scene import Choice, Scene, better_of, seized_by
from keeper.estimate.selling import Amounts, Selling, sell_all, sell_for_debts
from keeper.ports import VenueView

_ROUNDS: Final = 3
_FAR_SHIFT: Final = 5
_MOST_DIVISIONS: Final = 4


def weigh(scene: Scene, steps: Sequence[Outcome]) -> Choice | None:
    """Return what liquidating in these steps earns, at best; None where it cannot be sold or funded.

    Each debt is paid back in its own token; what is seized beyond that is sold for one of them, the
    profit token: the one in which it brings most.
    """
    token = steps[0].call.debt
    if any(step.call.debt != token for step in steps):
        return _weigh_several(scene, steps)
    legs = sell_all(Selling(scene), seized_by(steps), token)
    best = None if legs is None else _settle(scene, steps, legs, token)
    if best is None or best.funds[0].premium_raw:
        cost = scene.leg_cost_raw(token)
        sales = find_flash_sales(scene, steps, legs)
        sale = max(sales, key=lambda each: sum(leg.amount_out_raw - cost(leg.route) for leg in each), default=())
        best = better_of(best, _settle(scene, steps, sale, token) if sale else None)
    return best


def finish(scene: Scene, choice: Choice) -> Choice:
    """Return the same steps sold a little better, if they can be: too dear to try for each amount looked at.

    A pool that lends is relieved by a second leg, and legs that bring less than their gas are dropped.
    """
    best = choice
    if [fund.source for fund in choice.funds] == ["uniswap-v3-flash"]:
        (needed_raw,) = needs_of(choice.steps).values()
        sale = relieve(scene, choice.legs, needed_raw)
        best = better_of(best, _settle(scene, choice.steps, sale, choice.profit_token) if sale else None) or best
    while len(best.funds) == 1:
        tried = [_settle(scene, best.steps, legs, best.profit_token) for legs in _without_one(scene.venues, best.legs)]
        better = max((each for each in tried if each is not None), key=lambda each: each.rank, default=best)
        if better.rank <= best.rank:
            break
        best = better
    return best


def _without_one(venues: VenueView, legs: Sale) -> Iterator[Sale]:
    """Yield the sale with one leg less, for each leg and each other that could sell its amount as well."""
    for gone, kept in permutations(legs, 2):
        if (gone.token_in, gone.token_out) != (kept.token_in, kept.token_out):
            continue
        moved, requoted = venues, list[Leg]()
        for leg in legs:
            if leg is gone:
                continue
            amount_raw = leg.amount_in_raw + (gone.amount_in_raw if leg is kept else 0)
            quotes = moved.quote(leg.route, amount_raw)
            if not quotes:
                break
            moved = moved.after(quotes)
            requoted.append(Leg(quotes=quotes))
        else:
            yield tuple(requoted)


def weigh_again(scene: Scene, choice: Choice) -> Choice:
    """Return the same steps, sold anew where their sales share pools: each beside what the others take of them."""
    best = choice
    for division in _likely_divisions(scene, choice):
        tried = choice if division is None else _weigh_several(scene, choice.steps, division)
        for _ in range(_ROUNDS):
            if tried is None or tried.rank < best.rank - (abs(best.rank) >> _FAR_SHIFT):
                break
            best = better_of(best, tried) or best
            if division is not None:
                tried = _weigh_several(scene, choice.steps, division, tried.legs)
            else:
                legs = sell_all(Selling(scene, tried.legs), seized_by(choice.steps), choice.profit_token)
                tried = None if legs is None else _settle(scene, choice.steps, legs, choice.profit_token)
    return best


def _likely_divisions(scene: Scene, choice: Choice) -> list[Division | None]:
    """Return the divisions that may be best for the steps of a choice; None stands for a run of one debt."""
    if len(choice.funds) == 1:
        return [None]
    owed = _owed(scene, choice.steps, choice.funds)
    found = sorted(find_divisions(scene, seized_by(choice.steps), owed), key=lambda each: each.net, reverse=True)
    return [*found[:_MOST_DIVISIONS]]


def weigh_along(scene: Scene, steps: Sequence[Outcome], routes: Sequence[Route]) -> Choice | None:
    """Return what steps of one debt earn when each is sold along its own route; None where that is impossible.

    A burst sells so: divided is what all of it sells together.
    """
    amounts: dict[Route, int] = {}
    for step, route in zip(steps, routes, strict=True):
        amounts[route] = amounts.get(route, 0) + step.received_raw
    legs = _sell_parts(scene.venues, list(amounts.items()))
    return None if legs is None else _settle(scene, steps, legs, steps[0].call.debt)


def weigh_divided(scene: Scene, steps: Sequence[Outcome], legs: Sale) -> Choice | None:
    """Return what steps of one debt earn when they are sold in just the amounts of `legs`, whatever these brought.

    None where that is impossible, or where the legs would not sell just what is received.
    """
    token = steps[0].call.debt
    left = seized_by(steps)
    for leg in legs:
        left[leg.token_in] = left.get(leg.token_in, 0) - leg.amount_in_raw
    if any(raw for sold, raw in left.items() if sold != token):
        return None
    again = _sell_parts(scene.venues, [(leg.route, leg.amount_in_raw) for leg in legs])
    return None if again is None else _settle(scene, steps, again, token)


def _sell_parts(venues: VenueView, parts: Sequence[tuple[Route, int]]) -> Sale | None:
    """Return the legs of parts sold one after another, none for an empty route; None where a pool cannot take one."""
    legs: list[Leg] = []
    for route, amount_raw in parts:
        quotes = venues.quote(route, amount_raw)
        if quotes is None:
            return None
        venues = venues.after(quotes) if len(parts) > 1 else venues
        legs += [Leg(quotes=quotes)] if quotes else []
    return tuple(legs)


def _weigh_several(
    scene: Scene, steps: Sequence[Outcome], division: Division | None = None, beside: Sale = ()
) -> Choice | None:
    """Weigh steps of several debts: their funds do not depend on the sale, the sale does on their premiums."""
    funds = choose_funds(scene.sources, steps, ())
    if funds is None:
        return None
    owed = _owed(scene, steps, funds)
    division = division or best_division(scene, seized_by(steps), owed)
    if division is None:
        return None
    legs = sell_for_debts(Selling(scene, beside), steps, owed, division)
    return None if legs is None else _result(scene, steps, legs, funds, division.token)


def _owed(scene: Scene, steps: Sequence[Outcome], funds: Sequence[Fund]) -> Amounts:
    """Return what has to be given back of each debt, with room for a run that is a few blocks late."""
    owed: Amounts = {fund.token: fund.premium_raw for fund in funds}
    for step in steps:
        owed[step.call.debt] += step.repaid_raw + late_room_raw(scene.view, step, scene.at_s)
    return owed


def _settle(scene: Scene, steps: Sequence[Outcome], legs: Sale, token: Address) -> Choice | None:
    funds = choose_funds(scene.sources, steps, legs)
    return None if funds is None else _result(scene, steps, legs, funds, token)


def _result(
    scene: Scene, steps: Sequence[Outcome], legs: Sale, funds: tuple[Fund, ...], token: Address
) -> Choice | None:
    """Return the choice; None where a lender of another token would not get back what is his."""
    gains = seized_by(steps)
    for step in steps:
        gains[step.call.debt] = gains.get(step.call.debt, 0) - step.repaid_raw
    for fund in funds:
        gains[fund.token] = gains.get(fund.token, 0) - fund.premium_raw
    for leg in legs:
        gains[leg.token_in] -= leg.amount_in_raw
        gains[leg.token_out] = gains.get(leg.token_out, 0) + leg.amount_out_raw
    if any(raw < 0 for other, raw in gains.items() if other != token):
        return None
    profit_raw = gains[token]
    paid_raw = sum(step.repaid_raw for step in steps if step.call.debt == token)
    paid_raw += sum(fund.premium_raw for fund in funds if fund.token == token)
    gas_units = scene.memory.guess(shape_of(steps, (leg.route for leg in legs), (fund.source for fund in funds)))
    return Choice(
        steps=tuple(steps),
        legs=legs,
        funds=funds,
        profit_token=token,
        proceeds_raw=profit_raw + paid_raw,
        profit_raw=profit_raw,
        gas_units=gas_units,
        repaid_value=sum(scene.value_of(step.call.debt, step.repaid_raw) for step in steps),
        profit_base=scene.base_of(token, profit_raw),
        gas_cost_base=scene.gas.cost_base(gas_units),
        rank=scene.value_of(token, profit_raw) - scene.gas_value(gas_units),
    )
