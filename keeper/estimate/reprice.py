"""What a plan does, and earns, in a state or at a block time other than the one it was sized for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from keeper.domain.lending import Outcome, Refused
from keeper.domain.plans import Plan
from keeper.domain.swaps import HopQuote, Leg, Sale
from keeper.domain.units import Address
from keeper.ports import MarketView, VenueView

Gains = dict[Address, int]
"""What a run has gained of each token so far, raw units; negative for what it owes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A plan with the amounts of another state, and what it leaves there."""

    plan: Plan
    market: MarketView
    venues: VenueView


def carry_out(plan: Plan, market: MarketView, venues: VenueView, at_s: int) -> Carried | None:
    """Return `plan` carried out on `market` and `venues` in a block of time `at_s`.

    Calls and funds stay as they are; outcomes and sales are those of the given state. None when
    it cannot be done there. A loss in the profit token is no obstacle, but the executor reverts
    below the plan's minimum.
    """
    done = _liquidate(plan, market, at_s)
    if done is None:
        return None
    steps, left = done
    gains = _owed(plan, steps)
    received_raw = sum(step.received_raw for step in steps if step.call.collateral == plan.profit_token)
    sold = _sell(plan, venues, gains)
    if sold is None or any(raw < 0 for token, raw in gains.items() if token != plan.profit_token):
        return None
    legs, pools = sold
    if not _is_funded(plan, steps, legs):
        return None
    brought_raw = sum(leg.amount_out_raw for leg in legs if leg.token_out == plan.profit_token)
    spent_raw = sum(leg.amount_in_raw for leg in legs if leg.token_in == plan.profit_token)
    carried = replace(
        plan,
        steps=steps,
        legs=legs,
        proceeds_raw=received_raw + brought_raw - spent_raw,
        profit_raw=gains[plan.profit_token],
        inclusion_s=at_s,
    )
    return Carried(plan=carried, market=left, venues=pools)


def replay(
    plans: Sequence[tuple[Plan, int]],
    markets: Mapping[str, MarketView],
    venues: VenueView,
    later: Sequence[tuple[int, Mapping[str, MarketView]]] = (),
) -> list[int | None]:
    """Return the profit of each plan at its own block time, each on what those before it left.

    `plans` are (plan, block time) in the order of the chain; `markets`, by name, and `venues` are
    the states before the first of them. `later` are (head's time, markets as they then were), in
    order: they hold for plans of later blocks. A plan that could not be carried out changes nothing.
    """
    views, pools = dict(markets), venues
    found = list(later)
    profits: list[int | None] = []
    for plan, block_time_s in plans:
        while found and found[0][0] < block_time_s:
            views = dict(found.pop(0)[1])
        done = carry_out(plan, views[plan.market], pools, block_time_s)
        profits.append(None if done is None else done.plan.profit_raw)
        if done is not None:
            views[plan.market], pools = done.market, done.venues
    return profits


def market_after(plan: Plan, market: MarketView) -> MarketView:
    """Return `market` as `plan` leaves it at its inclusion time. Raises ValueError where the pool refuses a step."""
    market = _lend(plan, market)
    for step in plan.steps:
        market = market.after(step.call, plan.inclusion_s)
    return _give_back(plan, market, plan.inclusion_s)


def _liquidate(plan: Plan, market: MarketView, at_s: int) -> tuple[tuple[Outcome, ...], MarketView] | None:
    """Return the steps' outcomes, each on what the one before left, and the market after the last."""
    steps: list[Outcome] = []
    market = _lend(plan, market)
    for step in plan.steps:
        outcome = market.outcome(step.call, at_s)
        if isinstance(outcome, Refused):
            return None
        steps.append(outcome)
        market = market.after(step.call, at_s)
    return tuple(steps), _give_back(plan, market, at_s)


def _lend(plan: Plan, market: MarketView) -> MarketView:
    """Return the market while it lends what the plan takes from it."""
    for fund in plan.funds:
        if fund.source == "aave-flash-loan":
            market = market.during_flash_loan(fund.token, fund.amount_raw)
    return market


def _give_back(plan: Plan, market: MarketView, at_s: int) -> MarketView:
    for fund in plan.funds:
        if fund.source == "aave-flash-loan":
            market = market.after_flash_loan(fund.token, fund.amount_raw, fund.premium_raw, at_s)
    return market


def _owed(plan: Plan, steps: Sequence[Outcome]) -> Gains:
    """Return what the steps bring, less what they and the lenders take."""
    gains: Gains = defaultdict(int)
    for step in steps:
        gains[step.call.collateral] += step.received_raw
        gains[step.call.debt] -= step.repaid_raw
    for fund in plan.funds:
        gains[fund.token] -= fund.premium_raw
    return gains


def _is_funded(plan: Plan, steps: Sequence[Outcome], legs: Sale) -> bool:
    """Whether each fund lends what the steps repay of its token; a flash swap lends what its pool gives for `legs`."""
    for fund in plan.funds:
        lent_raw = legs[0].amount_out_raw if fund.source == "uniswap-v3-flash" else fund.amount_raw
        if sum(step.repaid_raw for step in steps if step.call.debt == fund.token) > lent_raw:
            return False
    return True


def _sell(plan: Plan, venues: VenueView, gains: Gains) -> tuple[Sale, VenueView] | None:
    """Run the legs in order on `venues`, booking them in `gains`; None when one cannot be run."""
    last = {leg.token_in: index for index, leg in enumerate(plan.legs)}
    is_flash_swap = any(fund.source == "uniswap-v3-flash" for fund in plan.funds)
    legs: list[Leg] = []
    for index, leg in enumerate(plan.legs):
        sells_rest = last[leg.token_in] == index and leg.token_in != plan.profit_token
        amount_raw = gains[leg.token_in] if sells_rest else leg.amount_in_raw
        if is_flash_swap and index == 0:
            quotes = _quote_flash_swap(leg, venues, amount_raw)
        else:
            quotes = venues.quote(leg.route, amount_raw) if amount_raw > 0 else None
        if not quotes:
            return None
        sold = Leg(quotes=quotes)
        gains[sold.token_in] -= sold.amount_in_raw
        gains[sold.token_out] += sold.amount_out_raw
        venues = venues.after(quotes)
        legs.append(sold)
    return tuple(legs), venues


def _quote_flash_swap(leg: Leg, venues: VenueView, amount_raw: int) -> tuple[HopQuote, ...] | None:
    """Quote a leg whose last hop is paid for at the end: that hop takes the planned amount, neither more nor less."""
    fixed = leg.quotes[-1]
    final = venues.quote((fixed.hop,), fixed.amount_in_raw)
    if len(leg.quotes) == 1:
        return final
    ahead = venues.quote(leg.route[:-1], amount_raw)
    if final is None or ahead is None or ahead[-1].amount_out_raw < fixed.amount_in_raw:
        return None
    return (*ahead, *final)
