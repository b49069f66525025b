"""What the journal, the guards and the ledger are told of a plan with several steps, legs and funds."""

from __future__ import annotations

from dataclasses import replace

from support.lending import address
from support.markets import COLLATERAL, DEBT, HUB
from support.plans import FUND, HOP, LEG, PLAN, STEP, simulated

from keeper.domain.documents import plan_parts
from keeper.domain.swaps import HopQuote, Leg
from keeper.send.intents import intent_key, plan_detail, to_intent, to_tokens
from tests.support.documents import FUND as FUND_SHAPE
from tests.support.documents import HOP as HOP_SHAPE
from tests.support.documents import LEG as LEG_SHAPE
from tests.support.documents import STEP as STEP_SHAPE
from tests.support.documents import check

MIDDLE, OTHER, SIDE = (address(n) for n in (0x301, 0x302, 0x303))
SECOND = replace(
    STEP, call=replace(STEP.call, debt=HUB, collateral=OTHER), repaid_raw=7, received_raw=9, health_after_wad=2 * 10**18
)
THIRD = replace(STEP, repaid_raw=30, received_raw=33)
DETOUR = Leg(
    quotes=(
        HopQuote(hop=replace(HOP, token_in=OTHER, token_out=MIDDLE), amount_in_raw=4, amount_out_raw=5),
        HopQuote(hop=replace(HOP, token_in=MIDDLE, token_out=HUB), amount_in_raw=5, amount_out_raw=8),
    )
)
LONG = replace(
    PLAN,
    steps=(STEP, SECOND, THIRD),
    legs=(LEG, DETOUR),
    funds=(FUND, replace(FUND, source="morpho-flash", lender=SIDE, token=HUB, amount_raw=7, premium_raw=0)),
)


def test_guards_hear_of_every_token_on_the_way() -> None:
    assert to_tokens(simulated(plan=LONG)) == (DEBT, COLLATERAL, HUB, OTHER, MIDDLE)


def test_a_plan_is_named_after_its_first_pair() -> None:
    assert intent_key(LONG) == intent_key(PLAN)
    turned = replace(LONG, steps=(SECOND, STEP, THIRD))
    assert intent_key(turned) != intent_key(PLAN)
    assert (LONG.account, LONG.call, LONG.health_after_wad) == (PLAN.account, PLAN.call, THIRD.health_after_wad)


def test_totals_are_those_of_the_first_pairs_tokens() -> None:
    parts = plan_parts(LONG)
    assert (parts["debt"], parts["collateral"]) == (DEBT, COLLATERAL)
    assert (parts["repay_raw"], parts["seize_raw"]) == ("1000030", "1100033")
    assert (parts["funding"], parts["fund_raw"], parts["premium_raw"]) == ("aave-flash-loan", "1000000", "500")


def test_every_step_leg_and_fund_is_written_down_in_order() -> None:
    parts = plan_parts(LONG)
    for name, shape in (("steps", STEP_SHAPE), ("legs", LEG_SHAPE), ("funds", FUND_SHAPE), ("route", HOP_SHAPE)):
        for each in parts[name]:
            check(each, shape)
    assert [(each["debt"], each["repay_raw"], each["seize_raw"]) for each in parts["steps"]] == [
        (DEBT, "1000000", "1100000"),
        (HUB, "7", "9"),
        (DEBT, "30", "33"),
    ]
    assert [(each["token_in"], each["amount_in_raw"], each["amount_out_raw"]) for each in parts["legs"]] == [
        (COLLATERAL, "1100000", "1090000"),
        (OTHER, "4", "8"),
    ]
    assert [(each["source"], each["lender"], each["token"]) for each in parts["funds"]] == [
        ("aave-flash-loan", FUND.lender, DEBT),
        ("morpho-flash", SIDE, HUB),
    ]
    assert [hop["token_out"] for hop in parts["route"]] == [DEBT, MIDDLE, HUB]


def test_the_ledger_has_all_of_it_and_the_token_the_profit_is_in() -> None:
    other = simulated(plan=replace(LONG, profit_token=HUB))
    assert plan_detail(other).items() >= plan_parts(LONG).items()
    assert to_intent(other, address(0x51)).profit_token == HUB
