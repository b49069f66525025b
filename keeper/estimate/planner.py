"""Chooses what to do next: who is liquidated, how far, and in which order, on pools that all of them share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final

from keeper.domain.fixed_point import mul_div_down
from keeper.domain.lending import Health
from keeper.domain.plans import Plan, Rejected
from keeper.domain.units import WAD, Address
from keeper.estimate.burst import Burst, weigh_share
from keeper.estimate.gas import GasMemory, GasPrice
from keeper.estimate.offers import Key, Offer, Offering, steps_of
from keeper.estimate.profile import Profile, find_runner_up, profile_of
from keeper.estimate.reasons import reject, reject_profit
from keeper.estimate.reprice import market_after
from keeper.estimate.scene import Choice, Scene
from keeper.estimate.sequence import Effort
from keeper.estimate.settings import EstimateSettings
from keeper.estimate.shares import Share
from keeper.estimate.situation import Situation, find_bar, find_unpriced, gas_price
from keeper.estimate.sizing import size
from keeper.ports import MarketView, VenueView

_CROWD: Final = 400
"""With more accounts than this a run is one liquidation: time is short, and what is left of an account has its turn."""


FindRunnerUp = Callable[[], int | None]
"""Returns what an account's next best way would net, in base units; None where there is none. Takes milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A plan, with the figures it is ranked by."""

    plan: Plan
    choice: Choice


class Planner:
    """Plans for one situation, one after another, each exact on what the accepted ones leave.

    Asked for the first plan, it shares the pools out among all unhealthy accounts (see `burst`),
    and hands the shares out, most valuable first. When they are all dealt with, what is left of
    the pools is shared out again, until nobody pays any more.
    """

    def __init__(self, situation: Situation, settings: EstimateSettings, memory: GasMemory) -> None:
        self._situation = situation
        self._settings = settings
        self._memory = memory
        self._markets = dict(situation.markets)
        self._venues = situation.venues
        self._scenes: dict[str, Scene] = {}
        self._rejected: dict[tuple[str, Address | None], Rejected] = {}
        self._healths: dict[Key, Health] = {}
        self._offers: dict[Key, tuple[Offer, ...]] = {}
        self._offerings: dict[str, Offering] = {}
        self._least = settings.min_profit_base(WAD)
        self._shares: dict[Key, Share] = {}
        self._singles: set[Key] = set()
        self._next: Proposal | None = None
        self._is_filled = self._is_crowded = False
        self._has_found = True
        self._rounds = 0

    @property
    def markets(self) -> Mapping[str, MarketView]:
        """The markets as the accepted plans leave them."""
        return self._markets

    @property
    def venues(self) -> VenueView:
        """The pools as the accepted plans leave them."""
        return self._venues

    def rejections(self) -> list[Rejected]:
        """Return why accounts looked at so far got no plan, and accounts without a price, sorted."""
        found = {(each.market, each.account): each for view in self._markets.values() for each in find_unpriced(view)}
        found |= self._rejected
        return sorted(found.values(), key=lambda each: (each.market, (each.account or "").lower()))

    def candidates(self) -> Iterator[Key]:
        """Yield (market, account) of every account whose health is below 1 at the inclusion time."""
        for name in sorted(self._markets):
            for health in self._markets[name].unhealthy(self._situation.inclusion_s):
                yield name, health.account

    def assess(self, market: str, account: Address, effort: Effort = "thorough") -> Proposal | Rejected:
        """Return the best plan for one account as things stand, or why there is none."""
        view = self._markets[market]
        refusal = find_bar(self._situation, self._settings, view, account)
        if refusal is not None:
            return refusal
        health, scene = view.health(account, self._situation.inclusion_s), self._scene(market)
        if health is None or scene is None:
            return reject(market, account, "price_missing", "the oracle gives no price for a token of this account")
        if health.health_factor_wad >= WAD:
            return reject(market, account, "not_liquidatable", f"its health factor is {health.health_factor_wad} wad")
        chosen = self._size(scene, health, effort)
        return chosen if isinstance(chosen, Rejected) else self._propose(view, health, chosen)

    def profile(self, market: str, account: Address) -> Profile | None:
        """Return everything that decides about one account as things stand, None where it is healthy or unpriced."""
        view, scene = self._markets[market], self._scene(market)
        health = view.health(account, self._situation.inclusion_s)
        if scene is None or health is None or health.health_factor_wad >= WAD:
            return None
        return profile_of(scene, health, self._settings.sizing, self._settings.target_health_wad)

    def runner_up_of(self, plan: Plan) -> FindRunnerUp:
        """Return a search, for when there is time, for what the runner-up of `plan` would net as things stand now."""
        return partial(_runner_up_base, self._scene(plan.market), plan)

    def next_plan(self) -> Plan | None:
        """Return the best plan there is, None when nothing more is worth doing."""
        self._fill()
        while self._next is None and (self._shares or self._share_out()):
            share = self._shares.pop(next(iter(self._shares)))
            scene = self._scene(share.key[0])
            self._next = None if scene is None else self._take_up(share, scene)
            self._has_found = self._has_found or self._next is not None
        return None if self._next is None else self._next.plan

    def preview(self, most: int) -> list[Plan]:
        """Return up to `most` plans that follow the next one if each is accepted, of those that have a share."""
        plans: list[Plan] = []
        markets, venues = dict(self._markets), self._venues
        plan = None if self._next is None else self._next.plan
        for share in islice(self._shares.values(), most):
            if plan is not None:
                markets[plan.market] = market_after(plan, markets[plan.market])
                venues = venues.after([quote for leg in plan.legs for quote in leg.quotes])
            scene = self._make_scene(markets[share.key[0]], venues)
            proposal = None if scene is None else self._take_up(share, scene)
            plan = None if proposal is None else proposal.plan
            plans += [plan] if plan is not None else []
        return plans

    def accept(self, plan: Plan) -> None:
        """Move markets and pools as `plan` will, and look at its account again."""
        key = (plan.market, plan.account)
        self._forget(key)
        self._markets[plan.market] = market_after(plan, self._markets[plan.market])
        self._venues = self._venues.after([quote for leg in plan.legs for quote in leg.quotes])
        self._scenes = {}
        if self._is_filled:
            self._look_at(key)

    def reject(self, plan: Plan, why: Rejected) -> bool:
        """Give up on the account of `plan` for this situation; return whether it is looked at again instead.

        It is, once, in single steps, where a run of several reverted: a step in it may hold by a hair, or
        by a rule that the pool's revision has not, and one step alone may still do.
        """
        key = (plan.market, plan.account)
        self._forget(key)
        is_again = len(plan.steps) > 1 and why.reason == "simulation_reverted" and key not in self._singles
        if is_again:
            self._singles.add(key)
            self._has_found = True
            if self._is_filled:
                self._look_at(key)
        else:
            self._rejected[key] = why
        return is_again

    def gas_price(self, market: str) -> GasPrice | None:
        """Return what gas costs in a market's base currency, None where that cannot be told."""
        return gas_price(self._situation, self._settings, self._markets[market])

    def _fill(self) -> None:
        if self._is_filled:
            return
        self._is_filled = True
        keys = list(self.candidates())
        self._is_crowded = len(keys) > _CROWD
        for key in keys:
            self._look_at(key)

    def _look_at(self, key: Key) -> None:
        """Find out what an account has to offer; an account that is barred is rejected, a healthy one forgotten."""
        view, scene = self._markets[key[0]], self._scene(key[0])
        health = view.health(key[1], self._situation.inclusion_s)
        if health is None or health.health_factor_wad >= WAD:
            return
        refusal = find_bar(self._situation, self._settings, view, key[1])
        if refusal is not None or scene is None:
            self._rejected[key] = refusal or reject(*key, "price_missing", "gas cannot be valued")
            return
        self._healths[key] = health
        self._offers[key] = self._offers_of(scene, health)

    def _offers_of(self, scene: Scene, health: Health) -> tuple[Offer, ...]:
        offering = self._offerings.get(scene.view.name)
        if offering is None or offering.scene is not scene:
            offering = self._offerings[scene.view.name] = Offering(scene, self._least, is_crowded=self._is_crowded)
        if (scene.view.name, health.account) in self._singles:
            offering = Offering(scene, self._least, is_crowded=True)
        if self._settings.sizing == "max-profit":
            return tuple(offering.of(health))
        choice = self._size(scene, health)
        offer = offering.made_of(choice.steps) if isinstance(choice, Choice) else None
        return () if offer is None else (offer,)

    def _share_out(self) -> bool:
        """Share the pools as they are now out among all accounts; return whether anybody got something.

        That is the end of it when nothing came of the shares before.
        """
        if not self._offers:
            return False
        scenes = {name: scene for name in self._markets if (scene := self._scene(name)) is not None}
        burst = Burst(
            scenes,
            self._venues,
            self._offers,
            self._healths,
            size=self._size,
            is_free=self._settings.sizing == "max-profit",
            least=self._least,
        )
        shares = burst.share_out(reviews=0 if self._rounds else None) if self._has_found else []
        self._shares = {share.key: share for share in shares}
        self._has_found = False
        self._rounds += 1
        if not self._shares:
            for key in list(self._offers):
                answer = self._answer(key, burst)
                if isinstance(answer, Proposal):
                    self._next, self._has_found = answer, True
                    break
                self._rejected[key] = answer
                self._forget(key)
        return bool(self._shares)

    def _take_up(self, share: Share, scene: Scene) -> Proposal | None:
        """Return the plan of a share on the market and pools of `scene`, None where it is not worth doing."""
        steps = steps_of(scene.view, share.calls, scene.at_s)
        choice = weigh_share(scene, steps, share) if steps else None
        proposal = None if choice is None else self._propose(scene.view, self._healths[share.key], choice)
        return proposal if isinstance(proposal, Proposal) else None

    def _forget(self, key: Key) -> None:
        self._next = None
        self._healths.pop(key, None)
        self._offers.pop(key, None)
        self._shares.pop(key, None)

    def _answer(self, key: Key, burst: Burst) -> Proposal | Rejected:
        """Return what is left for an account that got nothing of the pools as they are, or why nothing is.

        A bid is a liquidation in full at the price of the last unit. Where there is none, for want of funds, or a
        bid is not borne out, less than all may still pay; in a crowd that is not looked for.
        """
        bid = burst.best(key)
        if bid is None or (bid.net > 0 and not self._is_crowded):
            return self.assess(*key, "quick")
        view, call = self._markets[key[0]], bid.offer.calls[0]
        least_base = self._settings.min_profit_base(view.base_unit)
        return reject_profit(
            *key,
            debt=call.debt,
            collateral=call.collateral,
            repay_raw=bid.offer.repaid_raw,
            net_base=mul_div_down(bid.net, view.base_unit, WAD) + least_base,
            least_base=least_base,
            base_unit=view.base_unit,
        )

    def _scene(self, market: str) -> Scene | None:
        """Return what sizes in `market` are judged by as things stand, None where gas cannot be valued."""
        if market not in self._scenes:
            scene = self._make_scene(self._markets[market], self._venues)
            if scene is None:
                return None
            self._scenes[market] = scene
        return self._scenes[market]

    def _make_scene(self, view: MarketView, venues: VenueView) -> Scene | None:
        gas = self.gas_price(view.name)
        if gas is None:
            return None
        return Scene(
            view=view,
            venues=venues,
            at_s=self._situation.inclusion_s,
            balances=self._situation.balances,
            gas=gas,
            memory=self._memory,
            flash_lender=self._situation.flash_lender,
            lendable=self._situation.lendable,
        )

    def _size(self, scene: Scene, health: Health, effort: Effort = "thorough") -> Choice | Rejected:
        """Return what the operator's policy takes of an account, if that is worth doing."""
        if (scene.view.name, health.account) in self._singles:
            effort = "single"
        choice = size(scene, health, self._settings.sizing, self._settings.target_health_wad, effort)
        if isinstance(choice, Rejected):
            return choice
        return self._find_too_small(scene.view, choice) or choice

    def _find_too_small(self, view: MarketView, choice: Choice) -> Rejected | None:
        least_base = self._settings.min_profit_base(view.base_unit)
        if choice.net_base > 0 and choice.net_base >= least_base:
            return None
        return reject_profit(
            view.name,
            choice.outcome.call.account,
            debt=choice.outcome.call.debt,
            collateral=choice.outcome.call.collateral,
            repay_raw=choice.outcome.repaid_raw,
            net_base=choice.net_base,
            least_base=least_base,
            base_unit=view.base_unit,
        )

    def _propose(self, view: MarketView, health: Health, choice: Choice) -> Proposal | Rejected:
        refusal = self._find_too_small(view, choice)
        return refusal or Proposal(plan=self._make_plan(view, health, choice), choice=choice)

    def _make_plan(self, view: MarketView, health: Health, choice: Choice) -> Plan:
        situation = self._situation
        return Plan(
            chain_id=self._settings.chain_id,
            market=view.name,
            pool=view.pool,
            epoch=view.epoch(health.account),
            steps=choice.steps,
            legs=choice.legs,
            funds=choice.funds,
            profit_token=choice.profit_token,
            proceeds_raw=choice.proceeds_raw,
            profit_raw=choice.profit_raw,
            min_profit_raw=0,
            deadline_block=situation.head.number + self._settings.deadline_blocks,
            head=situation.head,
            inclusion_s=situation.inclusion_s,
            health_before_wad=health.health_factor_wad,
        )


def _runner_up_base(scene: Scene | None, plan: Plan) -> int | None:
    choice = None if scene is None else find_runner_up(scene, plan.account, plan.steps)
    return None if choice is None else choice.net_base
