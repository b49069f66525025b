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
from keeper.estimate.flows import Division, best_division, find_divisions, find_selling_divisions
from keeper.estimate.funding import choose_funds, late_room_raw, needs_of
from keeper.estimate.gas import shape_of
from keeper.estimate.resale import BUDGET, Pattern, pattern_of, resell
from keeper.estimate.scene import Choice, Scene, better_of, seized_by
from keeper.estimate.selling import Amounts, Owed, Selling, SellingAlong, sell_all, sell_for_debts, share_pools
from keeper.ports import VenueView

_ROUNDS: Final = 3
_PAIR: Final = 2
_FAR_SHIFT: Final = 7
_MOST_DIVISIONS: Final = 8
_MOST_BESIDE: Final = 4


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
        for sale in relieve(scene, choice.legs, needed_raw):
            best = better_of(best, _settle(scene, choice.steps, sale, choice.profit_token)) or best
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


def weigh_again(scene: Scene, choice: Choice, tries: Iterator[int] | None = None) -> Choice:
    """Return the same steps sold better, where several sales may be in each other's way: far too dear for each run.

    What is seized is divided among debts in the likely ways, each sale is made beside what the others take of
    its pools, and what is best by then is moved about leg by leg, while there are `tries` left: an account has
    `BUDGET`.
    """
    tries = iter(range(BUDGET)) if tries is None else tries
    best = choice
    if len({(leg.token_in, leg.token_out) for leg in choice.legs}) < _PAIR:
        return best
    divided = sorted(_divided(scene, choice), key=lambda each: each[0].rank, reverse=True)
    found = [(_weigh_beside(scene, each, division), division) for each, division in divided[:_MOST_BESIDE]]
    least = max((each.rank for each, _ in found), default=0)
    least -= abs(least) >> _FAR_SHIFT
    starts = [(each, pattern_of(each, division)) for each, division in found if each.rank >= least]
    return better_of(choice, _resold(scene, starts, tries) if starts else None) or choice


def _divided(scene: Scene, choice: Choice) -> Iterator[tuple[Choice, Division]]:
    """Yield the same steps with what is seized divided among several debts in the ways that promise most."""
    if len(choice.funds) == 1:
        yield choice, Division(token=choice.profit_token, flows={}, value=0, net=0)
        return
    amounts = seized_by(choice.steps), _whole(_owed(scene, choice.steps, choice.funds))
    divisions = [*find_divisions(scene, *amounts), *find_selling_divisions(scene, *amounts)]
    for division in sorted(divisions, key=lambda each: each.net, reverse=True)[:_MOST_DIVISIONS]:
        tried = _weigh_several(scene, choice.steps, division)
        if tried is not None:
            yield tried, division


def _weigh_beside(scene: Scene, choice: Choice, division: Division) -> Choice:
    """Return the same division, each sale anew beside what the others take of its pools, while that helps."""
    best = choice
    for _ in range(_ROUNDS):
        if not share_pools(best.legs):
            break
        if len(best.funds) > 1:
            tried = _weigh_several(scene, best.steps, division, best.legs)
        else:
            legs = sell_all(Selling(scene, best.legs), seized_by(best.steps), best.profit_token)
            tried = None if legs is None else _settle(scene, best.steps, legs, best.profit_token)
        if tried is None or tried.rank <= best.rank:
            break
        best = tried
    return best


def _resold(scene: Scene, starts: Sequence[tuple[Choice, Pattern]], tries: Iterator[int]) -> Choice:
    """Return the same steps sold better, as far as moving their legs finds it."""
    steps, funds = starts[0][0].steps, starts[0][0].funds
    owed, seized = _owed(scene, steps, funds), seized_by(steps)

    def realise(pattern: Pattern) -> Choice | None:
        token, selling = pattern.division.token, SellingAlong(scene, pattern.sales)
        if len(owed) == 1:
            legs = sell_all(selling, {sold: seized[sold] for sold, _ in pattern.sales}, token)
            return None if legs is None else _settle(scene, steps, legs, token)
        legs = sell_for_debts(selling, steps, owed, pattern.division)
        return None if legs is None else _result(scene, steps, legs, funds, token)

    return resell(scene, starts, realise, tries)


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
    division = division or best_division(scene, seized_by(steps), _whole(owed))
    if division is None:
        return None
    legs = sell_for_debts(Selling(scene, beside), steps, owed, division)
    return None if legs is None else _result(scene, steps, legs, funds, division.token)


def _owed(scene: Scene, steps: Sequence[Outcome], funds: Sequence[Fund]) -> Owed:
    """Return what has to be given back of each debt, and the room for a run that is a few blocks late."""
    owed = {fund.token: (fund.premium_raw, 0) for fund in funds}
    for step in steps:
        due_raw, room_raw = owed[step.call.debt]
        more_raw = late_room_raw(scene.view, step, scene.at_s)
        owed[step.call.debt] = (due_raw + step.repaid_raw, room_raw + more_raw)
    return owed


def _whole(owed: Owed) -> Amounts:
    return {debt: due_raw + room_raw for debt, (due_raw, room_raw) in owed.items()}


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
