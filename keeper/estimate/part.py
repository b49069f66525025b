"""How much of a liquidation is best sold along one route, where all of it is too much."""

from __future__ import annotations

from typing import Final

from keeper.domain.fixed_point import mul_div_up
from keeper.domain.lending import Outcome, Refused
from keeper.estimate.prices import Bid
from keeper.estimate.runs import weigh_along
from keeper.estimate.scene import Choice, Scene, better_of
from keeper.estimate.search import search_concave

_STEPS: Final = 24


def best_part(scene: Scene, bid: Bid) -> Choice | None:
    """Return the best explicit amount of a bid's only call, sold along its route; None where it has several."""
    if len(bid.offer.calls) > 1:
        return None
    call, route = bid.offer.calls[0], bid.routes[0]
    pair = scene.view.pair(call.account, call.debt, call.collateral, scene.at_s)
    if isinstance(pair, Refused):
        return None

    repaid, spent = bid.offer.repaid, bid.offer.repaid + bid.premium

    def gain_raw(cover_raw: int) -> int | None:
        taken = pair.taken(cover_raw)
        quotes = None if taken is None else scene.venues.quote(route, taken[1])
        if taken is None or quotes is None:
            return None
        out_raw = quotes[-1].amount_out_raw if quotes else taken[1]
        return out_raw - mul_div_up(taken[0], spent, repaid)

    best: Choice | None = None
    for each in pair.ranges():
        if each.cover_max:
            continue
        step = pair.outcome(search_concave(gain_raw, each.low_raw, each.high_raw, steps=_STEPS))
        if isinstance(step, Outcome):
            best = better_of(best, weigh_along(scene, (step,), bid.routes))
    return best
