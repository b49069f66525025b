"""What a plan earns at a block time other than the one it was sized for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keeper.domain.lending import Outcome, Refused
from keeper.domain.plans import Plan
from keeper.domain.swaps import HopQuote
from keeper.ports import MarketView, VenueView


def reprice(plan: Plan, market: MarketView, venues: VenueView, block_time_s: int) -> int | None:
    """Return the profit of `plan` in a block of time `block_time_s`, raw units of the debt token.

    `market` and `venues` are the states the plan was sized on. None when it could not be carried
    out then. A figure under the plan's minimum means that the executor would have reverted.
    """
    done = _carried_out(plan, market, venues, block_time_s)
    return None if done is None else _profit_raw(plan, *done)


def replay(plans: Sequence[tuple[Plan, int]], markets: Mapping[str, MarketView], venues: VenueView) -> list[int | None]:
    """Return the profit of each plan at its own block time, each on what those before it left.

    `plans` are (plan, block time) in the order of the chain; `markets`, by name, and `venues` are
    the states before the first of them. A plan that could not be carried out changes nothing.
    """
    views, pools = dict(markets), venues
    profits: list[int | None] = []
    for plan, block_time_s in plans:
        market = views[plan.market]
        done = _carried_out(plan, market, pools, block_time_s)
        profits.append(None if done is None else _profit_raw(plan, *done))
        if done is not None:
            views[plan.market] = market.after(plan.call, block_time_s)
            pools = pools.after(done[1])
    return profits


def _carried_out(
    plan: Plan, market: MarketView, venues: VenueView, block_time_s: int
) -> tuple[Outcome, tuple[HopQuote, ...]] | None:
    outcome = market.outcome(plan.call, block_time_s)
    if isinstance(outcome, Refused) or outcome.repaid_raw > plan.fund_raw:
        return None
    quotes = venues.quote(tuple(quote.hop for quote in plan.route), outcome.received_raw)
    return None if quotes is None else (outcome, quotes)


def _profit_raw(plan: Plan, outcome: Outcome, quotes: tuple[HopQuote, ...]) -> int:
    proceeds_raw = quotes[-1].amount_out_raw if quotes else outcome.received_raw
    return proceeds_raw - outcome.repaid_raw - plan.premium_raw
