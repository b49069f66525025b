"""The best run of two or three liquidations of one account, by brute force over amounts and orders.

All first steps of a grid are taken, after each all second steps, and after the most promising of
these all third ones. What they net is guessed on the way (`search_curves`), and the best runs are
then walked, amounts and splits, with exact integers (`search_runs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from support.search_curves import Curves
from support.search_one import Found, owed_raw, search_one
from support.search_runs import Cover, climb_run, designs, improve, realise, take
from support.search_sale import Case

from keeper.domain.lending import Outcome, Refused
from keeper.domain.units import MAX_UINT256, WAD, Address
from keeper.lending.aave_v3.view import AaveV3View

STEP_AMOUNTS = 40
_KEPT = 80  # two-step runs after which a third step is tried
_REFINED = 6
_JUMP = 1.25  # what a next step may repay grows by this much at once where a rule lets go

Pair = tuple[Address, Address]


@dataclass(frozen=True, slots=True)
class Run:
    """Steps taken so far, what the market is before the last of them, and what the whole nets by guess."""

    steps: tuple[Outcome, ...]
    before: AaveV3View
    value: float

    @property
    def covers(self) -> tuple[Cover, ...]:
        """The steps as they would be asked for."""
        return tuple((step.call.debt, step.call.collateral, step.call.cover_raw) for step in self.steps)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs in order."""
        return tuple((step.call.debt, step.call.collateral) for step in self.steps)


def search_many(case: Case) -> Found | None:
    """The best run of one to three liquidations; None where not even one is possible."""
    single = search_one(case)
    curves = Curves(case)
    firsts = _extend(case, curves, Run((), case.view, 0.0), opening=True)
    seconds = [run for first in firsts for run in _extend(case, curves, first)]
    alive = [run for run in seconds if run.steps[-1].health_after_wad < WAD]
    kept = _best_of_each(alive, 4)[:_KEPT] + sorted(alive, key=_health)[: _KEPT // 4]
    thirds = [run for second in kept for run in _extend(case, curves, second)]
    starts = _best_of_each(seconds + thirds, 2)
    found = [] if single is None else [single]
    ranked = [
        one
        for run in starts[: 2 * _REFINED]
        for design in designs(case, run.steps)
        if (one := realise(case, design)) is not None
    ]
    ranked.sort(key=lambda pair: pair[0].rank, reverse=True)
    outlines = {pair[1].outline: pair for pair in reversed(ranked)}  # the best of each
    distinct = sorted(outlines.values(), key=lambda pair: pair[0].rank, reverse=True)
    climbed = [climb_run(case, *each) for each in distinct[:_REFINED]]
    climbed.sort(key=lambda pair: pair[0].rank, reverse=True)
    worth = [each for each in climbed if each[0].rank >= climbed[0][0].rank * 9995 // 10_000]
    found += [improve(case, *each) for each in worth[:2]]
    return max(found, key=lambda one: one.rank, default=None)


def _health(run: Run) -> int:
    return run.steps[-1].health_after_wad


def _best_of_each(runs: Sequence[Run], count: int) -> list[Run]:
    """The best `count` runs over each order of pairs, best first."""
    seen: dict[tuple[Pair, ...], int] = {}
    kept = []
    for run in sorted(runs, key=lambda each: each.value, reverse=True):
        seen[run.pairs] = seen.get(run.pairs, 0) + 1
        if seen[run.pairs] <= count:
            kept.append(run)
    return kept


def _extend(case: Case, curves: Curves, run: Run, *, opening: bool = False) -> list[Run]:
    """The run with each next step of the grid."""
    view = run.before
    if run.steps:
        view = view.after(run.steps[-1].call, case.at_s)
    if case.account not in view.positions:
        return []
    made: list[Run] = []
    for debt, collateral in view.pairs(case.account):
        outcomes = _outcomes(case, view, debt, collateral)
        if opening:
            outcomes += _openings(case, view, outcomes)
        if outcomes:
            values = curves.values(run.steps, outcomes)
            made += [Run((*run.steps, one), view, float(v)) for one, v in zip(outcomes, values, strict=True)]
    return made


def _outcomes(case: Case, view: AaveV3View, debt: Address, collateral: Address) -> list[Outcome]:
    """What forty amounts up to the largest accepted one do, and asking for everything."""
    pair = view.pair(case.account, debt, collateral, case.at_s)
    if isinstance(pair, Refused):
        return []
    everything = pair.outcome(MAX_UINT256)
    if isinstance(everything, Outcome):
        largest = everything.repaid_raw
    else:
        bound = owed_raw(replace(case, view=view), debt)
        tried = {bound * n // 48 for n in range(1, 49)} | {bound >> shift for shift in range(1, 24)}
        largest = max((one[0] for cover in tried if (one := pair.taken(cover)) is not None), default=0)
    covers = {largest * n // STEP_AMOUNTS for n in range(1, STEP_AMOUNTS + 1)} - {0}
    answers = [*(pair.outcome(cover) for cover in sorted(covers)), everything]
    return [one for one in answers if isinstance(one, Outcome)]


def _openings(case: Case, view: AaveV3View, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The least amounts after which a rule allows the next step distinctly more, to the unit."""
    explicit = [one for one in outcomes if one.call.cover_raw != MAX_UINT256]
    room = [_room(case, view, one) for one in explicit]
    found: list[Outcome] = []
    for n in range(len(explicit) - 1):
        for pair, after in room[n + 1].items():
            if after > _JUMP * room[n].get(pair, 0):
                found += _least(case, view, (explicit[n], explicit[n + 1]), pair)
    return found


def _room(case: Case, view: AaveV3View, step: Outcome) -> dict[Pair, int]:
    """What the next step could repay at most, by pair; one cannot ask for it where nothing is accepted."""
    after = view.after(step.call, case.at_s)
    if case.account not in after.positions:
        return {}
    answers = {pair: take(case, after, (*pair, MAX_UINT256)) for pair in after.pairs(case.account)}
    return {pair: one.repaid_raw for pair, one in answers.items() if one is not None}


def _least(case: Case, view: AaveV3View, between: tuple[Outcome, Outcome], pair: Pair) -> list[Outcome]:
    low, high = (one.call.cover_raw for one in between)
    call = between[0].call
    closed = _room(case, view, between[0]).get(pair, 0)
    found: Outcome | None = None
    while high - low > 1:
        middle = (low + high) // 2
        one = take(case, view, (call.debt, call.collateral, middle))
        if one is not None and _room(case, view, one).get(pair, 0) > _JUMP * closed:
            high, found = middle, one
        else:
            low = middle
    return [] if found is None else [found]
