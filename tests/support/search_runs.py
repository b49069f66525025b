"""Runs of several liquidations with their sales, exactly: what they net, and walking to better ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from support.search_one import Found, in_order
from support.search_pools import Pools, Route
from support.search_sale import Case, Selling, Sold, best_payment, grid_of_splits, needs_of, run_legs

from keeper.domain.lending import LiquidationCall, Outcome, Refused
from keeper.domain.units import MAX_UINT256, Address
from keeper.lending.aave_v3.view import AaveV3View

Cover = tuple[Address, Address, int]  # debt, collateral, cover
Sides = tuple[Address, Address]  # what is sold, what is bought
Split = tuple[tuple[Route, int], ...]  # routes and their weights

_WEIGHT = 1 << 40
_SUPPORTS = 2  # sets of routes tried at first for each sale
_MOST_LEGS = 5
_LIKELY = 6
_PASSES = 50
_ROUNDS = 4
_TRIES = 12
_GAIN = 30  # a move that gains less than this power of two of the whole is none
_FINE = 10**9  # walking ends where a step is this small a part of the amount


@dataclass(frozen=True, slots=True)
class Design:
    """A run to be made: its calls, where the gain is kept, what pays for each other debt, and the splits of sales."""

    covers: tuple[Cover, ...]
    token: Address
    payers: tuple[Sides, ...]
    splits: Mapping[Sides, Split]

    @property
    def outline(self) -> tuple[object, ...]:
        """What it is apart from amounts and splits."""
        return tuple(cover[:2] for cover in self.covers), self.token, self.payers


def design_of(steps: Sequence[Outcome], parts: Sequence[tuple[Route, int]], token: Address) -> Design:
    """The design of a run that was found otherwise: `parts` are its routes and what each sells."""
    splits: dict[Sides, Split] = {}
    for route, amount in parts:
        sides = route[0].token_in, route[-1].token_out
        splits[sides] = (*splits.get(sides, ()), (route, amount))
    received, repaid = totals(steps)
    payers = [sides for sides in splits if sides[1] != token]
    paid = {debt for _, debt in payers}
    payers += [(debt, debt) for debt in repaid if debt != token and debt not in paid and debt in received]
    covers = tuple((step.call.debt, step.call.collateral, step.call.cover_raw) for step in steps)
    return Design(covers, token, tuple(payers), splits)


def take(case: Case, view: AaveV3View, cover: Cover) -> Outcome | None:
    """What the market does with one call; None when it refuses."""
    debt, collateral, amount = cover
    if amount <= 0:
        return None
    call = LiquidationCall(account=case.account, debt=debt, collateral=collateral, cover_raw=amount)
    answer = view.outcome(call, case.at_s)
    return None if isinstance(answer, Refused) else answer


def take_all(case: Case, covers: tuple[Cover, ...]) -> tuple[Outcome, ...] | None:
    """What the calls do one after another; None when one is refused."""
    if covers not in case.known:
        case.known[covers] = _take_all(case, covers)
    return case.known[covers]  # type: ignore[return-value]


def _take_all(case: Case, covers: Sequence[Cover]) -> tuple[Outcome, ...] | None:
    view, steps = case.view, []
    for n, cover in enumerate(covers):
        step = take(case, view, cover)
        if step is None:
            return None
        steps.append(step)
        if n + 1 < len(covers):
            view = view.after(step.call, case.at_s)
            if case.account not in view.positions:
                return None
    return tuple(steps)


def totals(steps: Sequence[Outcome]) -> tuple[dict[Address, int], dict[Address, int]]:
    """(received by collateral, repaid by debt)."""
    received: dict[Address, int] = {}
    repaid: dict[Address, int] = {}
    for step in steps:
        call = step.call
        received[call.collateral] = received.get(call.collateral, 0) + step.received_raw
        repaid[call.debt] = repaid.get(call.debt, 0) + step.repaid_raw
    return received, repaid


# --- exactly -------------------------------------------------------------------------------------


def realise(case: Case, design: Design) -> tuple[Found, Design] | None:
    """What a design nets; None where it cannot be run."""
    steps = take_all(case, design.covers)
    if steps is None:
        return None
    sold = _sales(case, design, steps)
    if sold is None:
        return None
    if not design.payers:
        sold = _lender_first(case, sold)
    paid = best_payment(case, steps, sold, design.token)
    if paid is None:
        return None
    found = Found(
        rank=paid[0], profit_raw=paid[2], profit_token=design.token, steps=steps, sold=tuple(sold), paid=paid[1]
    )
    return found, design


def _sales(case: Case, design: Design, steps: Sequence[Outcome]) -> list[Sold] | None:
    """The legs of a design: first those that pay for other debts, then all that is left for the gain."""
    received, repaid = totals(steps)
    needs = needs_of(steps)
    left, pools, sold = dict(received), case.own(), []
    for collateral, debt in design.payers:
        wanted = repaid[debt] + (case.view.flash_fee_raw(debt, needs[debt]) or 0)
        if collateral == debt:
            left[debt] -= wanted
        else:
            near = case.known.get(("near", collateral, debt), left[collateral])
            assert isinstance(near, int)
            part = _least_sale(pools, design.splits[collateral, debt], wanted, left[collateral], near)
            if part is None:
                return None
            case.known["near", collateral, debt] = sum(leg.amounts[0] for leg in part[0])
            sold += part[0]
            pools = part[1]
            left[collateral] -= sum(leg.amounts[0] for leg in part[0])
        if left[collateral] < 0:
            return None
    for collateral, amount in left.items():
        if amount and collateral != design.token:
            split = design.splits.get((collateral, design.token))
            rest = None if split is None else _sell(pools, split, amount)
            if rest is None:
                return None
            sold += rest[0]
            pools = rest[1]
    return sold


def _sell(pools: Pools, split: Split, amount: int) -> tuple[list[Sold], Pools] | None:
    whole = sum(weight for _, weight in split)
    legs = [(route, amount * weight // whole) for route, weight in split[:-1]]
    legs.append((split[-1][0], amount - sum(part for _, part in legs)))
    return None if min(part for _, part in legs) <= 0 else run_legs(pools, legs)


def _least_sale(pools: Pools, split: Split, wanted: int, most: int, near: int) -> tuple[list[Sold], Pools] | None:
    """The least sale over a split that brings `wanted`: as prices only get worse, in proportion is never too little."""
    if most <= 0:
        return None
    amount, best = min(most, near), None
    for _ in range(_TRIES):
        tried = _sell(pools, split, amount)
        brought = 0 if tried is None else sum(leg.amounts[-1] for leg in tried[0])
        if brought >= wanted:
            best = tried
            if brought - wanted <= wanted >> _GAIN:
                break
            amount = -(-amount * wanted // brought)
        elif best is not None or amount >= most:
            break
        else:  # a little more than in proportion
            more = -(-amount * wanted // brought) - amount + 1 if brought else most
            amount = min(most, amount + 2 * more)
    return best


def _lender_first(case: Case, sold: Sequence[Sold]) -> list[Sold]:
    """The same legs, the largest that ends in a pool of ranges before the others, run again in that order."""
    order = sorted(sold, key=lambda leg: (leg.route[-1].venue == "uniswap-v3", leg.amounts[-1]), reverse=True)
    again = run_legs(case.own(), [(leg.route, leg.amounts[0]) for leg in order])
    return list(sold) if again is None else again[0]


# --- where to start, and walking -----------------------------------------------------------------


def designs(case: Case, steps: Sequence[Outcome]) -> Iterator[Design]:
    """Ways to make a run of these steps: each place for the gain, each payer of the other debts, a few splits."""
    received, repaid = totals(steps)
    covers = tuple((step.call.debt, step.call.collateral, step.call.cover_raw) for step in steps)
    for token in repaid:
        others = [debt for debt in repaid if debt != token]
        for payers in product(received, repeat=len(others)):
            pays = tuple(zip(payers, others, strict=True))
            sales = {
                (collateral, token): float(amount) for collateral, amount in received.items() if collateral != token
            }
            for collateral, debt in pays:
                if collateral != debt:
                    sales[collateral, debt] = received[collateral] * _share(case, received, repaid, (collateral, debt))
            several = 1 if len(sales) > 2 else _SUPPORTS
            choices = [_supports(case, sides, amount)[:several] for sides, amount in sales.items()]
            for chosen in product(*choices):
                yield Design(covers, token, pays, dict(zip(sales, chosen, strict=True)))


def _share(case: Case, received: Mapping[Address, int], repaid: Mapping[Address, int], sides: Sides) -> float:
    """About which part of a collateral pays for a debt."""
    view = case.view
    held = received[sides[0]] * (view.price_base(sides[0]) or 0) / 10 ** view.decimals(sides[0])
    owed = repaid[sides[1]] * (view.price_base(sides[1]) or 0) / 10 ** view.decimals(sides[1])
    return min(1.0, owed / held) if held else 1.0


def _supports(case: Case, sides: Sides, amount: float) -> list[Split]:
    """The most promising splits of about this amount; amounts within a tenth of one another share them."""
    key = ("supports", sides, round(8 * np.log(max(amount, 1.0))))
    if key not in case.known:
        case.known[key] = _find_supports(case, sides, amount)
    return case.known[key]  # type: ignore[return-value]


def _find_supports(case: Case, sides: Sides, amount: float) -> list[Split]:
    selling = Selling(case, *sides)
    if not selling.routes or amount < 1:
        return []
    raw_per_gas = case.gas_unit / 10**18 / ((case.view.price_base(sides[1]) or 1) / 10 ** case.view.decimals(sides[1]))
    costs = {route: 65_000 * len(route) * raw_per_gas for route in selling.routes}
    spots = grid_of_splits(selling, np.array([amount]), np.zeros(1), costs)
    return [tuple((r, int(w * _WEIGHT)) for r, w in in_order(spot.weights)) for spot in spots[:_SUPPORTS]]


def improve(case: Case, found: Found, design: Design) -> Found:
    """Add, drop or replace routes as long as that helps, walking uphill each time."""
    best = found, design
    for _ in range(_ROUNDS):
        starts = [one for other in _other_routes(case, best[1]) if (one := realise(case, other)) is not None]
        starts.sort(key=lambda each: each[0].rank, reverse=True)
        tried = [climb_run(case, *start, halvings=3) for start in starts[:2]]
        better = max(tried, key=lambda each: each[0].rank, default=best)
        if better[0].rank <= best[0].rank:
            break
        best = better
    return best[0]


Move = tuple[dict[int, int], tuple[Sides, int, int] | None]  # signs of covers; or (sale, leg, sign)


def climb_run(case: Case, found: Found, design: Design, halvings: int = 0) -> tuple[Found, Design]:
    """Walk amounts and splits uphill, one after another, in steps that shrink to nothing."""
    best = found, design
    moves = _moves(design)
    for _ in range(_PASSES):
        if 1 << halvings >= _FINE:
            break
        before = best[0].rank
        for move in moves:
            other = _moved(best, move, 5 + halvings)
            one = None if other is None else realise(case, other)
            if one is not None and one[0].rank > best[0].rank:
                best = one
        gained = best[0].rank - before > abs(before) >> _GAIN
        halvings = max(0, halvings - 1) if gained else halvings + 2
    return best


def _moves(design: Design) -> list[Move]:
    """One amount up or down, two against each other, or one leg's weight up or down."""
    explicit = [n for n, cover in enumerate(design.covers) if cover[2] != MAX_UINT256]
    moves: list[Move] = [({n: sign}, None) for n in explicit for sign in (1, -1)]
    moves += [({n: 1, m: -1}, None) for n in explicit for m in explicit if n != m]
    for sides, split in design.splits.items():
        moves += [({}, (sides, n, sign)) for n in range(len(split)) if len(split) > 1 for sign in (1, -1)]
    return moves


def _moved(best: tuple[Found, Design], move: Move, shift: int) -> Design | None:
    """The design with that move made, by 2 ** -shift of what is moved."""
    found, design = best
    signs, weighed = move
    if weighed is None:
        return _changed(design, {n: sign * max(1, found.steps[n].repaid_raw >> shift) for n, sign in signs.items()})
    sides, n, sign = weighed
    split = design.splits[sides]
    route, weight = split[n]
    moved = max(1, weight >> (shift - 4))
    if weight <= moved:
        return None
    other = (*split[:n], (route, weight + sign * moved), *split[n + 1 :])
    return replace(design, splits={**design.splits, sides: other})


def _changed(design: Design, by: Mapping[int, int]) -> Design:
    covers = tuple(
        (debt, collateral, amount + by.get(n, 0)) for n, (debt, collateral, amount) in enumerate(design.covers)
    )
    return replace(design, covers=covers)


def _other_routes(case: Case, design: Design) -> Iterator[Design]:
    for sides, split in design.splits.items():
        used = {route for route, _ in split}
        for route in _likely(case, sides):
            if route in used:
                continue
            if len(split) < _MOST_LEGS:
                for share in (0.03, 0.2):
                    more = in_order([*split, (route, share * _WEIGHT)])
                    yield _with_split(design, sides, more)
            yield from (
                _with_split(design, sides, in_order([*split[:n], (route, w), *split[n + 1 :]]))
                for n, (_, w) in enumerate(split)
            )
        if len(split) > 1:
            yield from (_with_split(design, sides, [*split[:n], *split[n + 1 :]]) for n in range(len(split)))


def _likely(case: Case, sides: Sides) -> list[Route]:
    """The routes that bring most for a little and for a lot of what the account holds."""
    key = ("likely", sides)
    if key not in case.known:
        selling = Selling(case, *sides)
        reserve = case.view._reserve(sides[0])
        held = dict(case.view.positions[case.account].collaterals).get(reserve.id, 0)
        found: list[Route] = []
        for part in (0.001, 0.05, 0.3):
            amounts = np.array([held * part + 1.0])
            brought = [float(selling.brings([(route, amounts)])[0]) for route in selling.routes]
            order = sorted(range(len(brought)), key=lambda n: brought[n], reverse=True)
            found += [selling.routes[n] for n in order[:_LIKELY]]
        case.known[key] = list(dict.fromkeys(found))
    return case.known[key]  # type: ignore[return-value]


def _with_split(design: Design, sides: Sides, split: Sequence[tuple[Route, float]]) -> Design:
    return replace(design, splits={**design.splits, sides: tuple((route, int(weight)) for route, weight in split)})
