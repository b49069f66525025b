"""Who gets a part of the pools when many accounts have to be sold into the same ones.

A sale moves the pools whoever makes it, and what all sales together bring depends on their sum
and hardly on their order. So an account is worth liquidating beside others if it pays as the last
one; its best size is the best on the pools as all others leave them. First offers are poured into
the pools, those first that bear the greatest fall of the price, as long as each of them still
pays at the price of the last unit. Then accounts are taken out one by one and sized anew beside
the others, until nothing is better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush
from typing import Final

from keeper.domain.fixed_point import mul_div_down
from keeper.domain.lending import Health, LiquidationCall, Outcome
from keeper.domain.plans import Rejected
from keeper.domain.swaps import Route
from keeper.domain.units import WAD
from keeper.estimate.offers import Key, Offer, steps_of
from keeper.estimate.part import best_part
from keeper.estimate.prices import Bid, Prices
from keeper.estimate.runs import weigh, weigh_along, weigh_divided
from keeper.estimate.scene import Choice, Scene, better_of
from keeper.estimate.sequence import Effort
from keeper.estimate.shares import Share, Shares, flows_of, sell_together, undivided_routes
from keeper.ports import VenueView

Sizer = Callable[[Scene, Health, Effort], Choice | Rejected]
"""Finds what is taken of one account as if it were alone, if that is worth doing."""

_CHUNKS: Final = 16
_REVIEWS: Final = 3
_MOST_REVIEWED: Final = 96
_FEW: Final = 8
_THOROUGH: Final = 2
"""With more accounts than this each is searched quickly: it is several times, and the first plan waits for all."""
_PARTS_PER_MILLION: Final = 1_000_000
_MOST_PARTS: Final = 2


class Burst:
    """Accounts by key, the pools before them, and the shares found so far."""

    def __init__(
        self,
        scenes: Mapping[str, Scene],
        venues: VenueView,
        offers: Mapping[Key, Sequence[Offer]],
        healths: Mapping[Key, Health],
        *,
        size: Sizer,
        is_free: bool,
        least: int,
    ) -> None:
        """Make a burst of `offers`, none of which has a share yet; `scenes` are by market, on `venues`.

        `least` is the net profit that is asked for, in US dollars times 1e18. Where amounts are not
        `is_free` to choose, nothing but what `size` finds is taken.
        """
        self._scenes = scenes
        self._before = self._venues = venues
        self._offers = offers
        self._healths = healths
        self._size = size
        self._is_searched_whole = len(offers) <= _FEW or not is_free
        self._least = least
        self._first = self._prices = self._priced(venues)
        self._bids_at = self._prices
        self._bids: dict[Key, Bid | None] = {}
        self._shares = Shares(venues)
        self._tight: list[Key] = []
        self._hopeless: dict[tuple[Route, ...], tuple[Prices, int, int]] = {}
        self._steps: dict[tuple[str, tuple[LiquidationCall, ...]], tuple[Outcome, ...] | None] = {}

    def share_out(self, *, reviews: int | None = None) -> list[Share]:
        """Return the shares of all accounts that get one, in the order in which they should be sent.

        They are gone over again so many times (usually thrice); few accounts at least once.
        """
        self._pour()
        times = _REVIEWS if reviews is None else reviews
        for _ in range(min(max(times, 1), len(self._offers)) if len(self._offers) <= _FEW else times):
            for key in self._tight:
                self._consolidate(key)
            if not self._review():
                break
        return self._in_order(self._shares.by_size())

    def _in_order(self, left: list[Share]) -> list[Share]:
        """Return shares so that those first in line bring as much as they can: gas for all may not be in one block.

        The most valuable are sold a few at a time, and the others valued at the prices they leave.
        """
        size = max(1, mul_div_down(len(left), 1, _CHUNKS))
        prices, venues, ordered = self._first, self._before, list[Share]()
        while left:
            left = sorted(left, key=lambda share: prices.net_along(share.bid), reverse=True)
            first, left = left[:size], left[size:]
            sold = sell_together([share.bid for share in first], venues)
            if sold is not None:
                venues = sold[0]
                prices = self._priced(venues)
            ordered += first
        return ordered

    def best(self, key: Key) -> Bid | None:
        """Return the best bid of an account at the price of the last unit, None where nothing sells."""
        if self._bids_at is not self._prices:
            self._bids_at, self._bids = self._prices, {}
        if key not in self._bids:
            self._bids[key] = self._find_best(key)
        return self._bids[key]

    def _find_best(self, key: Key) -> Bid | None:
        best: tuple[int, Offer] | None = None
        for offer in self._offers[key]:
            net = self._prices.net(offer)
            if net is not None and (best is None or net > best[0]):
                best = net, offer
        return None if best is None else self._prices.bid(best[1])

    def _paying(self, key: Key) -> Bid | None:
        bid = self.best(key)
        return bid if bid is not None and bid.net > 0 else None

    def _pour(self) -> None:
        """Sell together what bears the greatest fall of the price, a part of the accounts at a time.

        When an account's turn comes, another of its offers may have become the best: then it waits for its turn.
        """
        bids = [bid for key in self._offers if (bid := self._paying(key)) is not None]
        waiting = [(self._turn(bid), bid.offer.key) for bid in bids]
        looked_at = {bid.offer.key: bid.offer for bid in bids}
        heapify(waiting)
        size = max(1, mul_div_down(len(waiting), 1, _CHUNKS))
        while waiting:
            bids = []
            while waiting and len(bids) < size:
                turn, key = heappop(waiting)
                bid = self._paying(key)
                if bid is None:
                    continue
                if bid.offer is not looked_at[key] and self._turn(bid) > turn:
                    looked_at[key] = bid.offer
                    heappush(waiting, (self._turn(bid), key))
                else:
                    bids.append(bid)
            self._take(bids)

    def _turn(self, bid: Bid) -> int:
        """Return what accounts are ordered by: which part of the first price an offer needs, times 1e18."""
        first = self._first.bid(bid.offer)
        return mul_div_down(first.cost, WAD, first.gross)

    def _take(self, bids: Sequence[Bid]) -> None:
        """Sell as many of the bids as pay, in order; one that is left over perhaps in part."""
        now = [bid for each in bids if (bid := self._paying(each.offer.key)) is not None]
        failed = self._take_all(now) if now else []
        if not failed:
            return
        if len(now) == 1:
            self._take_part(now[0])
        elif len(failed) < len(now):
            losing = {bid.offer.key for bid in failed}
            self._take([bid for bid in now if bid.offer.key not in losing])
            self._take(failed)
        else:
            middle = (len(now) + 1) >> 1
            self._take(now[:middle])
            self._take(now[middle:])

    def _take_all(self, bids: Sequence[Bid]) -> Sequence[Bid]:
        """Give all bids a share if each still pays at the price of the last unit; else return those that do not."""
        sold = sell_together(bids, self._venues)
        if sold is None:
            return bids
        venues, shares = sold
        prices = self._priced(venues)
        failed = [bid for bid in bids if prices.net_along(bid) <= 0]
        if not failed:
            self._venues, self._prices = venues, prices
            for share in shares:
                self._shares.put(share)
        return failed

    def _take_part(self, bid: Bid) -> None:
        """Give an account that cannot be sold in full at a profit the part that can.

        Where no part of another could be sold at these prices, none of a smaller one that pays no better can.
        """
        key, worth = bid.offer.key, mul_div_down(bid.gross, _PARTS_PER_MILLION, bid.offer.repaid)
        at, most_worth, most = self._hopeless.get(bid.routes, (None, 0, 0))
        if at is self._prices and worth <= most_worth and bid.offer.repaid <= most:
            return
        self._tight.append(key)
        choice = self._search(self._scene(key, self._venues), key)
        if choice is not None:
            self._give(key, choice)
            self._venues = self._venues.after([quote for leg in choice.legs for quote in leg.quotes])
            self._prices = self._priced(self._venues)
        else:
            self._hopeless[bid.routes] = self._prices, worth, bid.offer.repaid

    def _consolidate(self, key: Key) -> None:
        """Let an account of which a part is repaid take the place of small ones that do not pay their gas beside it."""
        share = self._shares.get(key)
        if share is None:
            return
        spare = max((offer.repaid for offer in self._offers[key]), default=0) - share.repaid
        small: list[Share] = []
        for other in reversed(self._shares.by_size()):
            if other.is_searched or share.flows.keys().isdisjoint(other.flows) or self._prices.net_along(other.bid) > 0:
                continue
            spare -= other.repaid
            if spare < 0:
                break
            small.append(other)
        for other in small:
            self._shares.drop(other.key)
        venues = self._shares.pools(without=key) if small else None
        choice = None if venues is None else self._search(self._scene(key, venues), key)
        if choice is not None:
            self._give(key, choice)
            self._reprice()
        else:
            for other in small:
                self._shares.put(other)

    def _review(self) -> bool:
        """Size those whose share may not be the best anew beside all others; say whether anything changed."""
        changed = False
        for key in self._doubtful():
            venues = self._shares.pools(without=key)
            if venues is None:
                continue
            scene, share = self._scene(key, venues), self._shares.get(key)
            now = None if share is None else self._weigh(scene, share.bid, is_divided=share.is_divided)
            best = self._best_beside(scene, key, now)
            if best is not None and best is not now:
                self._give(key, best)
                changed = True
            elif best is None and share is not None:
                self._shares.drop(key)
                changed = True
        self._reprice()
        return changed

    def _doubtful(self) -> list[Key]:
        """Return the accounts of which a part is repaid, those left out that would now pay, and the largest."""
        left_out = [key for key in self._offers if key not in self._shares and self._paying(key) is not None]
        largest = [share.key for share in self._shares.by_size()]
        return list(dict.fromkeys([*self._tight, *left_out, *largest]))[:_MOST_REVIEWED]

    def _best_beside(self, scene: Scene, key: Key, now: Choice | None) -> Choice | None:
        """Return the best choice on pools that all others have sold into, None if each loses; `now` if none is better.

        Among many only an account that could not be given all it asked for is searched: less would not be better.
        """
        best = self._worthwhile(scene, now)
        prices = self._priced(scene.venues)
        for bid in sorted((prices.bid(offer) for offer in self._offers[key]), key=_net_of, reverse=True):
            if bid.net + self._least <= (0 if best is None else _net(scene, best)):
                break
            found = self._weigh(scene, bid, is_divided=bid.has_several_debts)
            best = better_of(best, self._worthwhile(scene, found))
        if key in self._tight or len(self._offers) <= _FEW:
            best = better_of(best, self._search(scene, key))
        return best

    def _search(self, scene: Scene, key: Key) -> Choice | None:
        """Return the best size of an account: of few looked for everywhere, of many along the best routes."""
        if self._is_searched_whole:
            effort: Effort = "thorough" if len(self._offers) <= _THOROUGH else "quick"
            sized = self._size(scene, self._healths[key], effort)
            return sized if isinstance(sized, Choice) else None
        prices, best = self._priced(scene.venues), None
        bids = (prices.bid(offer) for offer in self._offers[key] if len(offer.calls) == 1)
        for bid in sorted(bids, key=_net_of, reverse=True)[:_MOST_PARTS]:
            best = better_of(best, self._worthwhile(scene, best_part(scene, bid)))
        return best

    def _weigh(self, scene: Scene, bid: Bid, *, is_divided: bool) -> Choice | None:
        calls = bid.offer.calls
        known = scene.view.name, calls  # one account may owe the same in several markets
        if known not in self._steps:
            self._steps[known] = steps_of(scene.view, calls, scene.at_s)
        steps = self._steps[known]
        return None if steps is None else weigh_bid(scene, steps, bid, is_divided=is_divided)

    def _worthwhile(self, scene: Scene, choice: Choice | None) -> Choice | None:
        return choice if choice is not None and _net(scene, choice) > self._least else None

    def _give(self, key: Key, choice: Choice) -> None:
        """Give an account what was found for it, as a bid for what it sells and costs."""
        scene = self._scenes[key[0]]
        premium = sum(scene.value_of(fund.token, fund.premium_raw) for fund in choice.funds)
        spent = choice.repaid_value + premium + scene.gas_value(choice.gas_units)
        offer = Offer(
            key=key,
            calls=tuple(step.call for step in choice.steps),
            sold=tuple(((step.call.collateral, step.call.debt), step.received_raw) for step in choice.steps),
            repaid_raw=choice.outcome.repaid_raw,
            repaid=mul_div_down(choice.repaid_value, 1, scene.view.base_unit),
            premium=mul_div_down(premium, 1, scene.view.base_unit),
            cost=mul_div_down(spent, 1, scene.view.base_unit) + self._least,
            swap_cost=None,
        )
        bid = self._prices.bid(offer)
        routes = None if bid.has_several_debts else undivided_routes(offer.sold, choice.legs)
        share = Share(
            bid=bid if routes is None else replace(bid, routes=routes),
            flows=flows_of(choice.legs),
            is_divided=routes is None,
            legs=choice.legs if routes is None and not bid.has_several_debts else (),
            is_searched=True,
        )
        self._shares.put(share)

    def _reprice(self) -> None:
        self._venues = self._shares.pools() or self._venues
        self._prices = self._priced(self._venues)

    def _scene(self, key: Key, venues: VenueView) -> Scene:
        return self._scenes[key[0]].on(venues)

    def _priced(self, venues: VenueView) -> Prices:
        return Prices(venues, self._scenes)


def weigh_bid(scene: Scene, steps: Sequence[Outcome], bid: Bid, *, is_divided: bool) -> Choice | None:
    """Return what the steps of a bid earn, sold along its routes unless the sale is divided."""
    return weigh(scene, steps) if is_divided else weigh_along(scene, steps, bid.routes)


def weigh_share(scene: Scene, steps: Sequence[Outcome], share: Share) -> Choice | None:
    """Return what the steps of a share earn: divided as it was beside all others, as long as that is possible.

    Divided on the spot it would take from each pool what the shares still to come are meant to have.
    """
    divided = weigh_divided(scene, steps, share.legs) if share.legs else None
    return divided or weigh_bid(scene, steps, share.bid, is_divided=share.is_divided)


def _net(scene: Scene, choice: Choice) -> int:
    """Return the net profit in US dollars times 1e18."""
    return mul_div_down(choice.rank, 1, scene.view.base_unit)


def _net_of(bid: Bid) -> int:
    return bid.net
