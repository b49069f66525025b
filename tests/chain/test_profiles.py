"""What decides about an account, told in full: the figures fit each other and the plan that is made."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal

from support.desk import open_desk

from keeper.devnet.world import World
from keeper.domain.l1_fee import L1Fee
from keeper.domain.plans import Plan
from keeper.domain.units import Address
from keeper.estimate.funding import late_room_raw
from keeper.estimate.planner import Planner, Proposal
from keeper.estimate.profile import Costs, PairProfile, Profile
from keeper.estimate.settings import EstimateSettings
from keeper.estimate.situation import Situation
from keeper.ports import MarketView

CRASH = {"WETH": -14, "WBTC": -14, "LINK": -14}
_ROUNDING_BASE = 20
_NEAR_SHIFT = 24
"""A second debt token may be bought by this relative part over what is wanted: nobody searches any nearer."""


async def told(world: World, accounts: int, **changes: object) -> tuple[Planner, list[tuple[Profile, Proposal]]]:
    """Profiles and plans of some accounts, in a situation with `changes`; and that a healthy one has none."""
    async with open_desk(world) as desk:
        await world.shock(CRASH)
        settings: EstimateSettings = desk.settings(min_profit_usd=Decimal(1))
        situation: Situation = replace(await desk.situation(settings), **changes)  # type: ignore[arg-type]
        planner = Planner(situation, settings, desk.memory)
        found = []
        unhealthy = list(planner.candidates())
        for key in unhealthy[:accounts]:
            profile, proposal = planner.profile(*key), planner.assess(*key)
            assert profile is not None
            if isinstance(proposal, Proposal):
                found.append((profile, proposal))
        assert found
        market, _ = unhealthy[0]
        healthy = {(market, account) for account in planner.markets[market].accounts()} - set(unhealthy)
        assert planner.profile(*min(healthy)) is None
        return planner, found


def is_accepted(pair: PairProfile, repay_raw: int) -> bool:
    return any(span.low_raw <= repay_raw <= span.high_raw for span in pair.ranges)


def missing_base(costs: Costs) -> int:
    taken = costs.repaid_base + costs.premium_base + costs.slippage_base + costs.gas_base + costs.l1_fee_base
    return costs.seized_base - taken - costs.net_base


def left_over_raw(plan: Plan) -> dict[Address, int]:
    """What a run leaves of each token but the profit token: no profit, only room for being late."""
    left: Counter[Address] = Counter()
    for step in plan.steps:
        left[step.call.collateral] += step.received_raw
        left[step.call.debt] -= step.repaid_raw
    for leg in plan.legs:
        left[leg.token_in] -= leg.amount_in_raw
        left[leg.token_out] += leg.amount_out_raw
    for fund in plan.funds:
        left[fund.token] -= fund.premium_raw
    return {token: raw for token, raw in left.items() if token != plan.profit_token}


def check_costs(view: MarketView, costs: Costs, plan: Plan) -> None:
    """Whatever is seized is accounted for, and no more is left over than the planner keeps for a late run."""
    left = left_over_raw(plan)
    left_base = sum(raw * (view.price_base(token) or 0) // 10 ** view.decimals(token) for token, raw in left.items())
    assert abs(missing_base(costs) - left_base) <= _ROUNDING_BASE
    room: Counter[Address] = Counter()
    for step in plan.steps:
        kept_raw = late_room_raw(view, step, plan.inclusion_s)
        room[step.call.debt] += kept_raw + ((step.repaid_raw + kept_raw) >> _NEAR_SHIFT) + 1
    for leg in plan.legs:  # and whole units of what is sold, dear ones where it has few decimals
        room[leg.token_out] += leg.amount_out_raw // leg.amount_in_raw + 1
    for token, raw in left.items():
        assert 0 <= raw <= room[token]


async def test_the_figures_fit_each_other_and_the_plan(aave_36_world: World) -> None:
    planner, found = await told(aave_36_world, 4)
    for profile, proposal in found:
        assert profile.chosen is not None
        assert profile.costs is not None
        assert profile.chosen == proposal.choice
        check_costs(planner.markets[profile.market], profile.costs, proposal.plan)
        if profile.runner_up is not None:
            assert profile.runner_up.steps != profile.chosen.steps
            assert profile.runner_up.net_base <= profile.chosen.net_base
        for pair in profile.pairs:
            check_curve(pair, profile.chosen.net_base)


def check_curve(pair: PairProfile, chosen_base: int) -> None:
    repays = [point.repay_raw for point in pair.points]
    assert repays == sorted(set(repays))
    assert repays[-1] == pair.owed_raw
    for point in pair.points:
        if not is_accepted(pair, point.repay_raw):
            assert point.net_base is None
        elif point.repay_raw > pair.owed_raw // 1000:  # of a few units nothing may come out of the pools
            assert point.net_base is not None
    nets = [point.net_base for point in pair.points if point.net_base is not None]
    assert pair.best is not None
    assert pair.largest is not None
    hair_base = abs(pair.best.net_base) >> 20
    assert max(nets) <= pair.best.net_base + hair_base + 1, "no sample beats what is called the best"
    assert pair.best.net_base <= chosen_base + hair_base + 1
    assert pair.largest.net_base in nets


async def test_data_is_a_cost_of_its_own(aave_36_world: World) -> None:
    fee = L1Fee(wei=10**15)
    planner, found = await told(aave_36_world, 1, l1_fee=fee)
    for profile, proposal in found:
        gas = planner.gas_price(profile.market)
        assert gas is not None
        assert profile.costs is not None
        assert profile.costs.l1_fee_base == gas.base_of(fee.wei) > 0
        check_costs(planner.markets[profile.market], profile.costs, proposal.plan)
