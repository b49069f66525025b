"""What the keeper chooses for a case, and what that choice is by the searches' own arithmetic."""

from __future__ import annotations

from support.search_sale import Case, run_legs

from keeper.domain.plans import Plan, Rejected
from keeper.domain.units import WAD, Address
from keeper.estimate.curve import PairCurve
from keeper.estimate.gas import GasPrice, shape_of
from keeper.estimate.scene import Choice, Scene
from keeper.estimate.sequence import RunSearch
from keeper.estimate.settings import Sizing
from keeper.estimate.sizing import best_choice, find_curves, size
from keeper.venues.routes import RouteIndex
from keeper.venues.view import BookView


def venues_of(case: Case) -> BookView:
    """The pools of a case with every token of the market as a hub."""
    return BookView(case.pools, RouteIndex(case.pools.values(), case.view.tokens))


def scene_of(case: Case) -> Scene:
    """What the sizer is given."""
    price = case.view.price_base(case.native)
    assert price is not None
    return Scene(
        view=case.view,
        venues=venues_of(case),
        at_s=case.at_s,
        balances=case.balances,
        gas=GasPrice(wei_per_gas=case.wei_per_gas, native_price_base=price),
        memory=case.memory,
        flash_lender=case.lender,
        lendable=case.lendable,
    )


def single(case: Case) -> Choice | None:
    """The sizer's best single liquidation."""
    scene = scene_of(case)
    return RunSearch(scene, case.account, find_curves(scene, case.account), "single").run()


def best(case: Case) -> Choice | None:
    """The sizer's best run of up to three liquidations."""
    scene = scene_of(case)
    return best_choice(scene, case.account, find_curves(scene, case.account))


def curves_of(case: Case) -> list[PairCurve]:
    """The sizer's curves of all pairs, for what a given amount comes to."""
    return find_curves(scene_of(case), case.account)


def sized(case: Case, policy: Sizing, target_health_wad: int = WAD) -> Choice | Rejected:
    """What a policy takes."""
    health = case.view.health(case.account, case.at_s)
    assert health is not None
    return size(scene_of(case), health, policy, target_health_wad)


def rank_of(case: Case, ours: Choice | Plan) -> int:
    """What a choice nets, every figure of it worked out again here. Fails where it is not what it says it is."""
    view = case.view
    had: dict[Address, int] = {}
    repaid: dict[Address, int] = {}
    for n, step in enumerate(ours.steps):
        if n:
            view = view.after(ours.steps[n - 1].call, case.at_s)
        assert view.outcome(step.call, case.at_s) == step
        had[step.call.collateral] = had.get(step.call.collateral, 0) + step.received_raw
        repaid[step.call.debt] = repaid.get(step.call.debt, 0) + step.repaid_raw
    ran = run_legs(case.own(), [(leg.route, leg.amount_in_raw) for leg in ours.legs])
    assert ran is not None
    for leg, sold in zip(ours.legs, ran[0], strict=True):
        assert [leg.amount_in_raw, *(quote.amount_out_raw for quote in leg.quotes)] == list(sold.amounts)
        had[leg.token_in] = had.get(leg.token_in, 0) - leg.amount_in_raw
        had[leg.token_out] = had.get(leg.token_out, 0) + leg.amount_out_raw
    premium = {fund.token: fund.premium_raw for fund in ours.funds}
    assert premium.keys() == repaid.keys()
    left = {token: had.get(token, 0) - repaid.get(token, 0) - premium.get(token, 0) for token in had | repaid}
    assert min(left.values()) >= 0 or left[ours.profit_token] < 0
    assert left[ours.profit_token] == ours.profit_raw
    routes = [leg.route for leg in ours.legs]
    gas = case.memory.guess(shape_of(ours.steps, routes, [fund.source for fund in ours.funds]))
    return case.rank(ours.profit_raw, ours.profit_token, gas)
