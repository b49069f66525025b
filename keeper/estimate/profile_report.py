"""What decided about an account, as a document for the terminal and the plot."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from keeper.domain.fixed_point import mul_div_down
from keeper.domain.plans import Rejected, SimulatedPlan
from keeper.domain.units import WAD, Address
from keeper.estimate.planner import Planner
from keeper.estimate.profile import Costs, PairProfile, Profile
from keeper.estimate.report import usd
from keeper.estimate.scene import Choice
from keeper.ports import MarketView


def profile_json(profile: Profile, view: MarketView) -> dict[str, Any]:
    """Return a profile: amounts as decimal strings, dollars signed and at the oracle prices of `view`."""
    unit = view.base_unit
    return {
        "market": profile.market,
        "account": profile.account,
        "pairs": [_pair_json(pair, view) for pair in profile.pairs],
        "chosen": _way_json(profile.chosen, unit),
        "runner_up": _way_json(profile.runner_up, unit),
        "costs": None if profile.costs is None else _costs_json(profile.costs, unit),
        "rejected": None if profile.rejected is None else profile.rejected.reason,
    }


def profiles_json(
    planner: Planner, plans: Sequence[SimulatedPlan], rejected: Sequence[Rejected], *, most: int
) -> list[dict[str, Any]]:
    """Return the profiles of the `most` accounts that net most, and then of rejected ones."""
    best = sorted(plans, key=lambda each: each.net_profit_base, reverse=True)
    keys = [(each.plan.market, each.plan.account) for each in best]
    keys += [(each.market, each.account) for each in rejected if each.account is not None]
    found = (planner.profile(*key) for key in keys)
    profiles = islice((each for each in found if each is not None), most)
    return [profile_json(each, planner.markets[each.market]) for each in profiles]


def _pair_json(pair: PairProfile, view: MarketView) -> dict[str, Any]:
    unit = view.base_unit
    return {
        "debt": pair.debt,
        "collateral": pair.collateral,
        "owed_raw": str(pair.owed_raw),
        "owed_usd": usd(_value_base(pair.owed_raw, pair.debt, view), unit),
        "ranges": [
            {"low_raw": str(each.low_raw), "high_raw": str(each.high_raw), "cover_max": each.cover_max}
            for each in pair.ranges
        ],
        "points": [
            {"repay_raw": str(each.repay_raw), "net_usd": None if each.net_base is None else usd(each.net_base, unit)}
            for each in pair.points
        ],
        "best": _way_json(pair.best, unit),
        "largest": _way_json(pair.largest, unit),
        "why_not": None if pair.why_not is None else {"reason": pair.why_not[0], "detail": pair.why_not[1]},
    }


def _way_json(choice: Choice | None, unit: int) -> dict[str, Any] | None:
    if choice is None:
        return None
    return {
        "steps": [
            {"debt": step.call.debt, "collateral": step.call.collateral, "repay_raw": str(step.repaid_raw)}
            for step in choice.steps
        ],
        "legs": len(choice.legs),
        "funding": [fund.source for fund in choice.funds],
        "repaid_usd": usd(mul_div_down(choice.repaid_value, 1, WAD), unit),
        "net_usd": usd(choice.net_base, unit),
    }


def _costs_json(costs: Costs, unit: int) -> dict[str, str]:
    parts = {
        "seized": costs.seized_base,
        "repaid": costs.repaid_base,
        "premium": costs.premium_base,
        "slippage": costs.slippage_base,
        "gas": costs.gas_base,
        "l1_fee": costs.l1_fee_base,
        "net": costs.net_base,
    }
    return {f"{name}_usd": usd(amount_base, unit) for name, amount_base in parts.items()}


def _value_base(amount_raw: int, token: Address, view: MarketView) -> int:
    return mul_div_down(amount_raw, view.price_base(token) or 0, 10 ** view.decimals(token))
