"""Steps of a run on the exact state that the steps before them leave, valued in outline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from keeper.domain.lending import Outcome, RepayRange
from keeper.domain.units import MAX_UINT256, Address
from keeper.estimate.curve import PairCurve
from keeper.estimate.scene import Scene
from keeper.estimate.sketch import Outline, Pair, Sketcher
from keeper.estimate.steps import find_covers

_MIXED: Final = 2
"""Dividing a sale between debts uses up so much of the budget."""

_HAIR_SHIFT: Final = 20
"""All there is is asked for only where it is more than this part beyond the largest explicit amount."""


class Walker:
    """Makes runs of one account, step by step, until its budget is used up: then there are no further steps."""

    def __init__(
        self, scene: Scene, account: Address, sketcher: Sketcher, budget: int, curves: Iterable[PairCurve] = ()
    ) -> None:
        """Make a walker that tries `budget` steps at most, so that no account keeps the others waiting.

        `curves` are those of the start that are known already.
        """
        self.sketcher = sketcher
        self.start = Outline(market=scene.view)
        self._scene = scene
        self._account = account
        self._budget = budget
        self._firsts = {(each.debt, each.collateral): each for each in curves}

    def grant(self, budget: int) -> None:
        """Allow at least so many steps from now on."""
        self._budget = max(self._budget, budget)

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left of the budget."""
        return self._budget <= 0

    def curve(self, before: Outline, pair: Pair) -> PairCurve:
        """Return the curve of one pair after a run; those of the start are made once."""
        if before.steps:
            self._budget -= 1
            return PairCurve(self._scene, self._account, *pair, market=before.market)
        if pair not in self._firsts:
            self._firsts[pair] = PairCurve(self._scene, self._account, *pair)
        return self._firsts[pair]

    def end(self, before: Outline, curve: PairCurve, cover_raw: int) -> Outline | None:
        """Return the run with a last step; None where the pool refuses it, or nothing is left of the budget."""
        outcome = curve.outcome(cover_raw) if self._budget > 0 else None
        if outcome is None:
            return None
        self._budget -= 1
        return self.sketcher.add(before, outcome, curve.market)

    def tighten(self, outline: Outline) -> Outline:
        """Return the run with what is seized divided between its debts."""
        self._budget -= _MIXED if outline.is_loose else 0
        return self.sketcher.tighten(outline)

    def step(self, before: Outline, curve: PairCurve, cover_raw: int) -> Outline | None:
        """Return the run with a step that others may follow; None where nothing may follow it."""
        outline = self.end(before, curve, cover_raw)
        return None if outline is None or not outline.leaves_more else self.go_on(outline)

    def go_on(self, ended: Outline) -> Outline:
        """Return a run that `end` made with the market after its last step."""
        market = ended.market.after(ended.steps[-1].call, self._scene.at_s)
        return replace(ended, market=market)

    def ends(self, before: Outline, curve: PairCurve) -> Iterator[Outline]:
        """Yield the runs that end with the best amounts of one pair."""
        for cover_raw in last_covers(before, curve):
            outline = self.end(before, curve, cover_raw)
            if outline is not None:
                yield outline

    def firsts(self, curve: PairCurve) -> Iterator[Outline]:
        """Yield the single steps of one pair among which the best is."""
        covers: list[int] = []
        for span in curve.ranges:
            if not span.cover_max:
                covers += sorted(set(find_covers(curve, span)))
            elif _adds(covers, span):
                covers.append(MAX_UINT256)
        for cover_raw in covers:
            outline = self.end(self.start, curve, cover_raw)
            if outline is not None:
                yield outline

    def redo(self, steps: Sequence[Outcome]) -> Outline | None:
        """Return the run that these steps make; None where one of them does not leave more to do."""
        before = self.replay(self.start, steps[:-1])
        if before is None:
            return None
        call = steps[-1].call
        outline = self.end(before, self.curve(before, (call.debt, call.collateral)), call.cover_raw)
        return None if outline is None else self.tighten(outline)

    def replay(self, before: Outline, steps: Sequence[Outcome]) -> Outline | None:
        """Return the run that goes on with the same calls; None where one of them does not leave more to do."""
        outline: Outline | None = before
        for step in steps:
            if outline is None:
                return None
            curve = self.curve(outline, (step.call.debt, step.call.collateral))
            outline = self.step(outline, curve, step.call.cover_raw)
        return outline


def last_covers(before: Outline, curve: PairCurve) -> list[int]:
    """Return the amounts of which one is best for a last step, with what was repaid of the pair before it."""
    repaid_raw, _ = before.totals.get((curve.debt, curve.collateral), (0, 0))
    peaks = curve.peaks_raw(curve.premiums_bps[0])
    peak_raw = peaks[0] - repaid_raw if peaks else 0
    covers: list[int] = []
    for span in curve.ranges:
        if not span.cover_max:
            covers.append(min(max(peak_raw, span.low_raw), span.high_raw))
        elif _adds(covers, span):
            covers.append(MAX_UINT256)
    return covers


def _adds(covers: Sequence[int], everything: RepayRange) -> bool:
    """Whether asking for everything takes more than the last explicit amount, by more than a hair's breadth."""
    return not covers or everything.high_raw - covers[-1] > everything.high_raw >> _HAIR_SHIFT


def stops(before: Outline, curve: PairCurve) -> list[int]:
    """Return the amounts worth repaying before another step, the least first."""
    found = set(last_covers(before, curve))
    for span in curve.ranges:
        if not span.cover_max:
            found.add(span.high_raw)
            found.update(turn for turn in curve.turns if span.low_raw < turn < span.high_raw)
    return sorted(found)
