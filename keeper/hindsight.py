"""What plans that were mined should have earned, told from what was known before their blocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from keeper.domain.plans import Plan
from keeper.estimate.reprice import replay
from keeper.ports import MarketView
from keeper.watch.snapshot import Snapshot

_PLANS_KEPT, _MINED_PLANS_KEPT = 72, 8
"""Plans remembered, with their state; mined ones in case of a reorganisation."""

_BLOCKS_KEPT = 128
"""How old a plan may get: no reorganisation mines it again later. Its state holds on to the book's past from there."""

_HEADS_KEPT = 16


@dataclass(slots=True, kw_only=True)
class Ride:
    """A plan on its way; `mined_s` is the time of the block it succeeded in."""

    plan: Plan
    mined_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """A plan, the snapshot it was sized on, and what was on its way before it."""

    ride: Ride
    base: Snapshot
    before: tuple[Ride, ...]


class Hindsight:
    """Remembers plans that were sent, and the markets at the newest heads."""

    def __init__(self) -> None:
        self._sent: dict[str, _Sent] = {}
        self._seen: deque[tuple[int, int, Mapping[str, MarketView]]] = deque(maxlen=_HEADS_KEPT)

    def see(self, snapshot: Snapshot) -> None:
        """Take note of the markets at a head; what a reorganisation took back is forgotten, and what is too old."""
        oldest = snapshot.head.number - _BLOCKS_KEPT
        self._sent = {intent: sent for intent, sent in self._sent.items() if sent.base.head.number >= oldest}
        while self._seen and self._seen[-1][0] >= snapshot.head.number:
            self._seen.pop()
        self._seen.append((snapshot.head.number, snapshot.head.timestamp_s, snapshot.markets))

    def remember(self, intent: str, ride: Ride, base: Snapshot, before: tuple[Ride, ...]) -> None:
        """Take note of a plan that was sent, sized on `base` after what is in `before`."""
        self._sent[intent] = _Sent(ride=ride, base=base, before=before)
        mined = [other for other, each in self._sent.items() if each.ride.mined_s is not None]
        for other in mined[:-_MINED_PLANS_KEPT]:
            del self._sent[other]
        while len(self._sent) > _PLANS_KEPT:
            del self._sent[next(iter(self._sent))]

    def expected_raw(self, intent: str, block_time_s: int) -> int | None:
        """Return what a plan earns in a block of that time, None when it is not known.

        Markets are those of the newest head before the block, as interest rates may have changed
        since the plan was made; pools are those it was sized on, moved by our own runs alone.
        """
        sent = self._sent.get(intent)
        if sent is None or sent.base.venues is None:
            return None
        sent.ride.mined_s = block_time_s
        rides = [(ride.plan, ride.mined_s) for ride in (*sent.before, sent.ride) if ride.mined_s is not None]
        later = [(at_s, markets) for number, at_s, markets in self._seen if number > sent.base.head.number]
        return replay(rides, sent.base.markets, sent.base.venues, later)[-1]
