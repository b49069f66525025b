"""The best run of up to three liquidations of one account in one transaction.

Runs are built step by step on the exact state that each step leaves, and valued in outline. A step that
is not the last repays one of few amounts: what is best for itself, the ends of what is accepted,
and where the rules change. The last step takes what is best after the others. In the best outlines
the amounts are then moved against each other, and what may be best after that is worked out exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

from keeper.domain.units import Address
from keeper.estimate.curve import PairCurve
from keeper.estimate.runs import finish, weigh, weigh_again
from keeper.estimate.scene import Choice, Scene, better_of
from keeper.estimate.selling import share_pools
from keeper.estimate.shifting import Shifter
from keeper.estimate.sketch import Ceilings, Outline, Pair, Sketcher
from keeper.estimate.steps import exceeds, largest_step, polish
from keeper.estimate.template import Template
from keeper.estimate.walk import Walker, stops

MOST_STEPS: Final = 3
_MOST_SETS: Final = 4
"""Outlines are kept for so many sets of pairs, the best of each."""
_MOST_SHIFTED: Final = 2
_MOST_ADAPTED: Final = 1
_ROUNDS: Final = 1
_SLIGHT_SHIFT: Final = 10
_NEAR_SHIFT: Final = 7

Effort = Literal["single", "quick", "thorough"]
_BUDGETS: Final[dict[Effort, int]] = {"single": 40, "quick": 40, "thorough": 720}
"""So many steps are tried for an account: one after another, or each alone where a run is to be a single step.
A quick search does not look into sales that meet in a pool."""


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
        self._outlines: dict[frozenset[Pair], Outline] = {}
        self._promised = 0
        self._pairs = list(self._curves)
        self._best: Choice | None = None

    def run(self) -> Choice | None:
        """Return the run that nets most, None when nothing can be sold or funded.

        Several steps are taken only where they net more than one by more than a hair's breadth.
        """
        single = self.single()
        if single is None or self._effort == "single":
            return single
        is_free = not any(fund.premium_raw for fund in single.funds)
        premiums_bps = {} if is_free else {each.debt: each.premiums_bps[0] for each in self._curves.values()}
        self._walker = self._make_walker(self._scene, premiums_bps, self._curves.values())
        self._ceilings = ceilings = Ceilings(self._walker.sketcher, self._curves)
        self._pairs = sorted(self._curves, key=lambda pair: ceilings.most([pair]), reverse=True)
        if self._explore() and self._effort == "thorough":
            # outlines do not know that sales meet in a pool: look again along routes that hardly do
            apart = self._scene.on(self._scene.venues.apart())
            self._walker = self._make_walker(apart, premiums_bps)
            self._explore()
            self._best = weigh_again(self._scene, self._best or single)
        return single if exceeds(single, self._best) else self._best

    def _make_walker(
        self, scene: Scene, premiums_bps: Mapping[Address, int], curves: Iterable[PairCurve] = ()
    ) -> Walker:
        return Walker(scene, self._account, Sketcher(scene, premiums_bps), _BUDGETS[self._effort], curves)

    def _explore(self) -> bool:
        """Find sequences and work the best of them out; return whether their sales take something from each other."""
        self._promised = 0
        self._extend(self._walker.start)
        if len(self._curves) > 1 and self._may_shift():
            shifter = Shifter(self._walker, lambda outline: outline.net)
            for outline in self._ranked()[:_MOST_SHIFTED]:
                self._note(shifter.improve(outline))
        they_meet = False
        for outline, choice in self._work_out():
            if self._effort == "thorough" and self._takes_away(outline, choice):
                they_meet = True
                self._adapt(outline, choice)
        self._outlines.clear()
        return they_meet

    def _may_shift(self) -> bool:
        """Whether moving amounts could gain anything over the best outline: not where that brings all there is."""
        if self._ceilings is None or not self._outlines:
            return False
        most = self._ceilings.most(self._curves) - self._walker.sketcher.gas_value(1)
        return most > self._promised + (abs(self._promised) >> _SLIGHT_SHIFT)

    def _takes_away(self, outline: Outline, choice: Choice) -> bool:
        """Whether a run brings less than its sales would if each had the pools to itself, by more than a little."""
        if not share_pools(choice.legs):
            return False
        short = outline.gross - self._scene.value_of(choice.profit_token, choice.profit_raw)
        return short > choice.rank >> _SLIGHT_SHIFT

    def _adapt(self, outline: Outline, choice: Choice) -> None:
        """Move the amounts of a run whose sales share pools, which outlines do not know, by what it really brings."""
        for _ in range(_ROUNDS):
            adapted = Shifter(self._walker, Template(self._scene, choice).worth).improve(outline)
            worked = self._work(adapted)
            if worked is None or worked.rank <= choice.rank:
                break
            outline, choice = adapted, worked

    def single(self) -> Choice | None:
        """Return the best single step."""
        found = [end for curve in self._curves.values() for end in self._walker.firsts(curve)]
        for outline in sorted(found, key=lambda each: each.net, reverse=True):
            if self._may_be_best(outline):
                self._work(outline)
        if self._best is None:  # the best is too little to be sold at all: name what a whole one would lose
            for curve in self._curves.values():
                self._best = better_of(self._best, largest_step(curve))
        if self._best is not None:
            call = self._best.outcome.call
            self._best = finish(self._scene, polish(self._curves[call.debt, call.collateral], self._best))
        return self._best

    def _extend(self, start: Outline) -> None:
        """Note the best runs of two steps, then of three: what has earned most so far is gone on with first."""
        nodes = [start]
        for _ in range(MOST_STEPS - 1):
            ended = sorted((each for before in nodes for each in self._ahead(before)), key=_net_of, reverse=True)
            nodes = []
            for each in ended:
                if self._may_go_on(each, []):
                    nodes.append(self._walker.go_on(each))
                    self._end(nodes[-1])

    def _end(self, before: Outline) -> None:
        """Note the best last steps after a run."""
        for pair in self._pairs:
            if self._may_pay(before, [pair]):
                for outline in self._walker.ends(before, self._walker.curve(before, pair)):
                    self._note(outline)

    def _ahead(self, before: Outline) -> Iterator[Outline]:
        """Yield the runs with one step more, where another may be worth doing after it."""
        for pair in self._pairs:
            if not self._may_go_on(before, [pair]):
                continue
            curve = self._walker.curve(before, pair)
            for cover_raw in stops(before, curve):
                after = self._walker.end(before, curve, cover_raw)
                if after is not None and after.leaves_more and self._may_go_on(after, []):
                    yield after

    def _note(self, outline: Outline) -> None:
        """Remember an outline if it is the best of its pairs, and among the best of all."""
        pairs = frozenset(outline.totals)
        known = self._outlines.get(pairs)
        if known is not None and known.net >= outline.net:
            return
        self._outlines[pairs] = outline
        self._promised = max(self._promised, outline.net)
        if len(self._outlines) > _MOST_SETS:
            del self._outlines[min(self._outlines, key=lambda each: self._outlines[each].net)]

    def _ranked(self) -> list[Outline]:
        return sorted(self._outlines.values(), key=lambda each: each.net, reverse=True)

    def _work_out(self) -> list[tuple[Outline, Choice]]:
        """Work out the noted runs exactly, the most promising first, while they may be the best; best first."""
        found: list[tuple[Outline, Choice]] = []
        for outline in self._ranked():
            choice = self._work(outline) if self._may_be_best(outline) else None
            if choice is not None:
                found.append((outline, choice))
        return sorted(found, key=lambda each: each[1].rank, reverse=True)[:_MOST_ADAPTED]

    def _may_be_best(self, outline: Outline) -> bool:
        return self._best is None or outline.net > self._best.rank

    def _work(self, outline: Outline) -> Choice | None:
        """Work out a run exactly."""
        choice = weigh(self._scene, outline.steps)
        if choice is not None and (self._best is None or not exceeds(self._best, choice)):
            self._best = choice
        return choice

    def _may_go_on(self, before: Outline, added: list[Pair]) -> bool:
        return any(self._may_pay(before, [*added, pair]) for pair in self._curves)

    def _may_pay(self, before: Outline, added: Sequence[Pair]) -> bool:
        """Whether a run with these steps added may net more than what is known."""
        if self._ceilings is None:
            return False
        sketcher = self._walker.sketcher
        brings = self._ceilings.most(added)
        if before.steps:
            so_far = before.net + sketcher.gas_value(len(before.steps))
            brings = min(so_far + brings, self._ceilings.most([*before.totals, *added]))
        known = max(self._best.rank if self._best else 0, self._promised - (self._promised >> _NEAR_SHIFT), 0)
        return brings - sketcher.gas_value(len(before.steps) + len(added)) > known


def _net_of(outline: Outline) -> int:
    return outline.net
