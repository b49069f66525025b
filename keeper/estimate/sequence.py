"""The best run of up to three liquidations of one account in one transaction.

Runs are built step by step on the exact state that each step leaves, and valued in outline. A step that
is not the last repays one of few amounts: what is best for itself, the ends of what is accepted,
and where the rules change. The last step takes what is best after the others. In the best outlines
the amounts are then moved against each other, and what may be best after that is worked out exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

from keeper.domain.units import MAX_UINT256, Address
from keeper.estimate.curve import PairCurve
from keeper.estimate.resale import BUDGET
from keeper.estimate.runs import finish, weigh, weigh_again
from keeper.estimate.scene import Choice, Scene, better_of
from keeper.estimate.selling import share_pools
from keeper.estimate.shifting import Shifter
from keeper.estimate.sketch import Ceilings, Outline, Pair, Sketcher
from keeper.estimate.steps import exceeds, largest_step, polish
from keeper.estimate.template import Template
from keeper.estimate.walk import Walker, stops

MOST_STEPS: Final = 3
_MOST_ORDERS: Final = 8
"""Outlines are kept for so many orders of pairs, the best of each."""
_MOST_SHIFTED: Final = 8
_MOST_UNMOVED: Final = 4
_MOST_SOLD_ANEW: Final = 1
_FAR_SHIFT: Final = 8
_ROUNDS: Final = 2
_SLIGHT_SHIFT: Final = 10
_NEAR_SHIFT: Final = 7

Effort = Literal["single", "quick", "thorough"]
_BUDGETS: Final[dict[Effort, int]] = {"single": 40, "quick": 40, "thorough": 3_000}
"""So many steps are tried for an account: one after another, or each alone where a run is to be a single step.
A quick search does not look into sales that meet in a pool."""
_SHIFTING_BUDGET: Final = 3_000
"""In a thorough search so many are tried, at least, to move amounts."""


class RunSearch:
    """The search for one account. `curves` are its pairs as they stand."""

    def __init__(
        self, scene: Scene, account: Address, curves: Sequence[PairCurve], effort: Effort = "thorough"
    ) -> None:
        self._scene = scene
        self._account = account
        self._effort = effort
        self._curves = {(each.debt, each.collateral): each for each in curves}
        self._walker = self._make_walker(scene, {}, curves)
        self._ceilings: Ceilings | None = None
        self._outlines: dict[tuple[Pair, ...], Outline] = {}
        # of a single pair all steps are sold alike, and outlines rank them well
        self._most_orders = _MOST_ORDERS if len(curves) > 1 else 1
        self._promised = 0
        self._pairs = list(self._curves)
        self._best: Choice | None = None
        self._tries = iter(range(BUDGET))

    def run(self) -> Choice | None:
        """Return the run that nets most, None when nothing can be sold or funded.

        Several steps are taken only where they net more than one by more than a hair's breadth.
        """
        single = self._find_single()
        if single is None or self._effort == "single":
            return single and finish(self._scene, single)
        premiums_bps = {each.debt: each.premiums_bps[0] for each in self._curves.values()}
        self._walker = walker = self._make_walker(self._scene, premiums_bps, self._curves.values())
        self._ceilings = ceilings = Ceilings(walker.sketcher, self._curves)
        self._pairs = sorted(self._curves, key=lambda pair: ceilings.most([pair]), reverse=True)
        worked = self._explore()
        if self._effort == "quick":
            best = single if self._best is None or exceeds(single, self._best) else self._best
            return finish(self._scene, best)
        if worked and self._may_move(max(worked, key=_rank_of)) is not None:
            # outlines do not know that sales meet in a pool: look again along routes that hardly do
            self._walker = self._make_walker(self._scene.on(self._scene.venues.apart()), premiums_bps)
            worked += self._explore()
            self._walker = walker
        best = self._sell_anew([single, *worked])
        return finish(self._scene, single) if len(best.steps) > 1 and exceeds(single, best) else best

    def _make_walker(
        self, scene: Scene, premiums_bps: Mapping[Address, int], curves: Iterable[PairCurve] = ()
    ) -> Walker:
        return Walker(scene, self._account, Sketcher(scene, premiums_bps), _BUDGETS[self._effort], curves)

    def _explore(self) -> list[Choice]:
        """Find runs of several steps and work the best of them out."""
        self._promised = 0
        self._outlines.clear()
        self._extend(self._walker.start)
        unmoved = self._ranked()[:_MOST_UNMOVED]  # where sales meet, moving amounts may overshoot
        self._shift()
        moved = [each for each in self._ranked() if not any(each is other for other in unmoved)]
        return self._work_out([*unmoved, *moved])

    def _shift(self) -> None:
        """Move the amounts of the best outlines, where that could gain anything: not where they bring all there is."""
        if self._ceilings is None or not self._outlines or len(self._curves) == 1:
            return
        most = self._ceilings.most(self._curves) - self._walker.sketcher.gas_value(1)
        if most <= self._promised + (abs(self._promised) >> _SLIGHT_SHIFT):
            return
        if self._effort == "thorough":
            self._walker.grant(_SHIFTING_BUDGET)
        shifter = Shifter(self._walker, lambda outline: self._walker.tighten(outline).net)
        for outline in self._ranked()[:_MOST_SHIFTED]:
            self._note(shifter.improve(outline))

    def _sell_anew(self, worked: Sequence[Choice]) -> Choice:
        """Return the best run, sold anew as those near it are: each sale beside the others.

        Where its sales meet, its amounts are moved as well.
        """
        first, *others = sorted(worked, key=_rank_of, reverse=True)
        best = self._sold_anew(first)
        for choice in others[: _MOST_SOLD_ANEW if len(self._curves) > 1 else 0]:
            if choice.rank > first.rank - (abs(first.rank) >> _FAR_SHIFT):
                best = better_of(best, self._sold_anew(choice)) or best
        for _ in range(_ROUNDS):
            adapted = self._adapt(best)
            if adapted is None or adapted.rank <= best.rank:
                break
            best = adapted
        return best

    def _sold_anew(self, choice: Choice) -> Choice:
        return finish(self._scene, weigh_again(self._scene, choice, self._tries))

    def _adapt(self, choice: Choice) -> Choice | None:
        """Return a run whose amounts are moved by what it really brings: outlines do not know that sales meet."""
        outline = self._may_move(choice)
        if outline is None:
            return None
        adapted = Shifter(self._walker, Template(self._scene, choice).worth).improve(outline)
        worked = weigh(self._scene, adapted.steps)
        return None if worked is None else self._sold_anew(worked)

    def _may_move(self, choice: Choice) -> Outline | None:
        """Return the outline of a run whose sales take something from each other; None where they hardly do."""
        self._walker.grant(_SHIFTING_BUDGET)
        outline = self._walker.redo(choice.steps) if len(choice.steps) > 1 and share_pools(choice.legs) else None
        if outline is None:
            return None
        short = outline.gross - self._scene.value_of(choice.profit_token, choice.profit_raw)
        return outline if short > choice.rank >> _SLIGHT_SHIFT else None

    def _find_single(self) -> Choice | None:
        found = [end for curve in self._curves.values() for end in self._walker.firsts(curve)]
        for outline in sorted(found, key=lambda each: each.net, reverse=True):
            if self._may_be_best(outline):
                self._work(outline)
        if self._best is None:  # the best is too little to be sold at all: name what a whole one would lose
            for curve in self._curves.values():
                self._best = better_of(self._best, largest_step(curve))
        if self._best is not None:
            call = self._best.outcome.call
            self._best = polish(self._curves[call.debt, call.collateral], self._best)
        return self._best

    def _extend(self, start: Outline) -> None:
        """Note the best runs of two steps, then of three: what may bring most is gone on with first."""
        nodes = [start]
        for _ in range(MOST_STEPS - 1):
            ended = sorted((each for before in nodes for each in self._ahead(before)), key=self._hope, reverse=True)
            nodes = []
            for each in ended:
                if self._walker.is_spent:
                    return
                if self._may_pay(self._hope(each)):
                    nodes.append(self._walker.go_on(each))
                    self._end(nodes[-1])

    def _end(self, before: Outline) -> None:
        """Note the best last steps after a run."""
        for pair in self._pairs:
            if not self._walker.is_spent and self._may_pay(self._bound(before, [pair])):
                for outline in self._walker.ends(before, self._walker.curve(before, pair)):
                    self._note(outline)

    def _ahead(self, before: Outline) -> Iterator[Outline]:
        """Yield the runs with one step more, where another may be worth doing after it."""
        for pair in self._pairs:
            if self._walker.is_spent or not self._may_pay(self._hope(before, pair)):
                continue
            curve = self._walker.curve(before, pair)
            for cover_raw in self._covers(before, curve):
                after = self._walker.end(before, curve, cover_raw)
                if after is not None and not after.leaves_more:
                    break  # the more is repaid of this pair, the healthier is the account
                if after is not None and self._may_pay(self._hope(after)):
                    yield after

    def _covers(self, before: Outline, curve: PairCurve) -> list[int]:
        """Return the amounts to repay before another step, ascending.

        A first step may also be half of the least of them, to be moved later: another then does the rest.
        """
        covers = stops(before, curve)
        is_first = not before.steps and len(self._curves) > 1 and self._effort == "thorough"
        return [covers[0] >> 1, *covers] if is_first and covers and covers[0] != MAX_UINT256 else covers

    def _note(self, outline: Outline) -> None:
        """Remember an outline if it is the best of its pairs in their order, and among the best of all."""
        order = tuple((step.call.debt, step.call.collateral) for step in outline.steps)
        known = self._outlines.get(order)
        if known is None and len(self._outlines) == self._most_orders:
            known = self._ranked()[-1]
        least = 0 if known is None else known.net
        if outline.net <= least or (tight := self._walker.tighten(outline)).net <= least:
            return
        self._outlines[order] = tight
        self._promised = max(self._promised, tight.net)
        if len(self._outlines) > self._most_orders:
            del self._outlines[min(self._outlines, key=lambda each: self._outlines[each].net)]

    def _ranked(self) -> list[Outline]:
        return sorted(self._outlines.values(), key=lambda each: each.net, reverse=True)

    def _work_out(self, outlines: Iterable[Outline]) -> list[Choice]:
        """Work out runs exactly while they may be the best."""
        worked = [self._work(outline) for outline in outlines if self._may_be_best(outline)]
        return [each for each in worked if each is not None]

    def _may_be_best(self, outline: Outline) -> bool:
        return self._best is None or outline.net > self._best.rank

    def _work(self, outline: Outline) -> Choice | None:
        """Work out a run exactly."""
        call = outline.steps[0].call
        if len(outline.steps) == 1:
            choice = self._curves[call.debt, call.collateral].choice(call.cover_raw)
        else:
            choice = weigh(self._scene, outline.steps)
        if choice is not None and (self._best is None or not exceeds(self._best, choice)):
            self._best = choice
        return choice

    def _may_pay(self, brings: int) -> bool:
        """Whether a run that nets so much at most may be better than what is known."""
        return brings > max(self._best.rank if self._best else 0, self._promised - (self._promised >> _NEAR_SHIFT), 0)

    def _hope(self, before: Outline, *added: Pair) -> int:
        """Return the most that a run may net with these steps added, and another."""
        return max(self._bound(before, [*added, pair]) for pair in self._curves)

    def _bound(self, before: Outline, added: Sequence[Pair]) -> int:
        """Return the most that a run may net with these steps added."""
        if self._ceilings is None:
            return 0
        sketcher = self._walker.sketcher
        brings = self._ceilings.most(added)
        if before.steps:
            so_far = before.net + sketcher.gas_value(len(before.steps))
            brings = min(so_far + brings, self._ceilings.most([*before.totals, *added]))
        return brings - sketcher.gas_value(len(before.steps) + len(added))


def _rank_of(choice: Choice) -> int:
    return choice.rank
