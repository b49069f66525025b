"""What runs did that were executed before it was their turn.

Simulating plan after plan, each behind all that are on their way, executes the first ones over and
over. So plans that are expected next are executed along with the one that is asked for. What a
run does depends only on what came before it: if that is the same when its turn comes, so is the outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from keeper.domain.chain import Head, SimulatedCall, SimulatedOutcome
from keeper.domain.plans import Plan
from keeper.estimate.executor import encode_run

_MOST_KEPT: Final = 512


class Rehearsal:
    """Outcomes by everything that was executed before, on one head and for one inclusion time.

    They hold every log of a run, and no later head can use them: the first plan of one has all of them forgotten.
    The minimum profit asked of a run that succeeds changes nothing about what it does.
    """

    def __init__(self) -> None:
        self._done: dict[bytes, tuple[Plan, SimulatedOutcome]] = {}
        self._names: dict[bytes, bytes] = {}
        self._newest_block = 0

    def find(
        self, plan: Plan, earlier: Sequence[bytes], before: Sequence[SimulatedCall]
    ) -> tuple[Plan, SimulatedOutcome] | None:
        """Return `plan` with the minimum profit it was executed with, and what it did; None when it was not."""
        self._forget_before(plan.head)
        return self._done.get(_digest((self._place(plan, earlier, before), self._name(plan))))

    def note(
        self,
        plans: Sequence[Plan],
        outcomes: Sequence[SimulatedOutcome],
        earlier: Sequence[bytes],
        before: Sequence[SimulatedCall],
    ) -> None:
        """Remember what `plans` did, executed in this order behind `earlier`, up to the first that failed."""
        self._forget_before(plans[0].head)
        place = self._place(plans[0], earlier, before)
        for plan, outcome in zip(plans, outcomes, strict=True):
            if not outcome.ok:
                return
            place = _digest((place, self._name(plan)))
            self._done[place] = plan, outcome
        for known in (self._done, self._names):
            while len(known) > _MOST_KEPT:
                del known[next(iter(known))]

    def _forget_before(self, head: Head) -> None:
        if head.number > self._newest_block:
            self._newest_block = head.number
            self._done.clear()
            self._names.clear()

    def _place(self, plan: Plan, earlier: Iterable[bytes], before: Iterable[SimulatedCall]) -> bytes:
        place = _digest((plan.head.hash.encode(), str(plan.inclusion_s).encode(), repr(tuple(before)).encode()))
        for data in earlier:
            place = _digest((place, self._names.get(data, data)))
        return place

    def _name(self, plan: Plan) -> bytes:
        """Return what names a run whatever is asked of it, and remember its calldata under that name."""
        name = _digest((encode_run(replace(plan, min_profit_raw=0)),))
        self._names[encode_run(plan)] = name
        return name


def _digest(parts: Iterable[bytes]) -> bytes:
    found = blake2b(digest_size=16)
    for part in parts:
        found.update(len(part).to_bytes(4, "big") + part)
    return found.digest()
