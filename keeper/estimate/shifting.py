"""Moving the amounts of a run against each other, until nothing nets more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from keeper.domain.lending import Outcome
from keeper.domain.units import MAX_UINT256, WAD
from keeper.estimate.curve import PairCurve
from keeper.estimate.search import is_better, search_concave
from keeper.estimate.sketch import Outline
from keeper.estimate.walk import Walker

_SEARCH_STEPS: Final = 20
_ROUNDS: Final = 3
_NUDGE_SHIFT: Final = 9
_SLIGHT_SHIFT: Final = 14
_HAIR_SHIFT: Final = 18
_BORDER_SHIFT: Final = 14

Worth = Callable[[Outline], int | None]
"""What a run is worth; None where it cannot be done."""


class Shifter:
    """Moves the amounts of runs that a walker made."""

    def __init__(self, walker: Walker, worth: Worth) -> None:
        self._walker = walker
        self._worth = worth
        self._best: tuple[int, Outline] | None = None

    def improve(self, outline: Outline) -> Outline:
        """Return the best of the runs around one: with the same pairs in the same order, between the same turns."""
        value = self._worth(outline)
        if value is None:
            return outline
        self._best = (value, outline)
        for _ in range(_ROUNDS):
            known = self._best[0]
            # the last step is sized anew with each of the others; for one debt that is all it needs
            for index in range(len(outline.steps) - (0 if outline.is_mixed else 1)):
                self._shift(self._best[1], index)
            if self._best[0] - known <= abs(known) >> _SLIGHT_SHIFT:
                break
        return self._best[1]

    def _shift(self, outline: Outline, index: int) -> None:
        """Search the amounts around that of one step, those after it following, on the side where they get better."""
        before = self._walker.replay(self._walker.start, outline.steps[:index])
        if before is None:
            return
        step, rest = outline.steps[index], outline.steps[index + 1 :]
        curve = self._walker.curve(before, (step.call.debt, step.call.collateral))
        here_raw, low, high = _segment(curve, step.repaid_raw)

        def worth(cover_raw: int) -> int | None:
            return self._note(self._rerun(before, curve, cover_raw, rest))

        nudge = max(1, (high - low) >> _NUDGE_SHIFT)
        known = None if self._best is None else self._best[0]
        if here_raw < high and is_better(worth(min(here_raw + nudge, high)), known):
            search_concave(worth, here_raw, high, steps=_SEARCH_STEPS)
        elif low < here_raw and is_better(worth(max(here_raw - nudge, low)), known):
            # upwards from the top: what cannot be done at all lies below
            search_concave(lambda less: worth(here_raw - less), 0, here_raw - low, steps=_SEARCH_STEPS)

    def _note(self, outline: Outline | None) -> int | None:
        value = None if outline is None else self._worth(outline)
        if outline is not None and value is not None and (self._best is None or value > self._best[0]):
            self._best = (value, self._walker.tighten(outline))
        return value

    def _rerun(self, before: Outline, curve: PairCurve, cover_raw: int, rest: Sequence[Outcome]) -> Outline | None:
        """Return the run with another amount of one step: the last is sized anew, those between follow."""
        if not rest:
            return self._walker.end(before, curve, cover_raw)
        outline = self._walker.step(before, curve, cover_raw)
        outlines = [] if outline is None else [outline]
        for step in rest[:-1]:
            outlines = [after for each in outlines for after in self._follow(each, step)]
        call = rest[-1].call
        ended = [
            end
            for each in outlines
            for end in self._walker.ends(each, self._walker.curve(each, (call.debt, call.collateral)))
        ]
        return max(ended, key=lambda each: each.net, default=None)

    def _follow(self, before: Outline, step: Outcome) -> list[Outline]:
        """Return the runs with the same call, or as much as is accepted where that is less, and to the same border."""
        curve = self._walker.curve(before, (step.call.debt, step.call.collateral))
        covers = {step.call.cover_raw}
        if step.call.cover_raw != MAX_UINT256:
            highs = [span.high_raw for span in curve.ranges if not span.cover_max]
            covers = {min(step.call.cover_raw, max(highs))} if highs else set()
            covers.update(self._same_border(curve, step))
        made = [self._walker.step(before, curve, cover) for cover in sorted(covers)]
        return [each for each in made if each is not None]

    def _same_border(self, curve: PairCurve, step: Outcome) -> list[int]:
        """Return the turn that leaves the account as healthy as a step did."""
        found = [(turn, curve.outcome(turn)) for turn in curve.turns]
        near = [(abs(each.health_after_wad - step.health_after_wad), turn) for turn, each in found if each is not None]
        off_wad, turn = min(near, default=(WAD, 0))
        return [turn] if off_wad < WAD >> _BORDER_SHIFT else []


def _segment(curve: PairCurve, repay_raw: int) -> tuple[int, int, int]:
    """Return an amount and the ends of the amounts around it in which no rule changes.

    All that is owed or held lies a hair's breadth above the explicit amounts: the highest stands for it.
    """
    for span in curve.ranges:
        near_raw = min(repay_raw, span.high_raw)
        if not span.cover_max and span.low_raw <= near_raw and repay_raw - near_raw <= repay_raw >> _HAIR_SHIFT:
            low = max((turn for turn in curve.turns if turn < near_raw), default=span.low_raw)
            high = min((turn for turn in curve.turns if turn > near_raw), default=span.high_raw)
            return near_raw, max(low, span.low_raw), min(high, span.high_raw)
    return repay_raw, repay_raw, repay_raw
