"""One plan and its simulation, to be changed field by field."""

from __future__ import annotations

from dataclasses import replace

from support.lending import address
from support.markets import ACCOUNT, COLLATERAL, DEBT
from support.pool_chain import V2_FACTORY, head

from keeper.domain.lending import LiquidationCall, Outcome
from keeper.domain.plans import Fees, Fund, Plan, SimulatedPlan
from keeper.domain.swaps import Hop, HopQuote, Leg

HOP = Hop(
    venue="uniswap-v2",
    factory=V2_FACTORY,
    pool=address(0x7001),
    token_in=COLLATERAL,
    token_out=DEBT,
    fee_pips=3000,
)
STEP = Outcome(
    call=LiquidationCall(account=ACCOUNT, debt=DEBT, collateral=COLLATERAL, cover_raw=10**6),
    repaid_raw=10**6,
    received_raw=1_100_000,
    fee_raw=0,
    health_after_wad=105 * 10**16,
)
LEG = Leg(quotes=(HopQuote(hop=HOP, amount_in_raw=1_100_000, amount_out_raw=1_090_000),))
FUND = Fund(source="aave-flash-loan", lender=address(0x9001), token=DEBT, amount_raw=10**6, premium_raw=500)
PLAN = Plan(
    chain_id=31337,
    market="lines",
    pool=address(0x9001),
    epoch="e1",
    steps=(STEP,),
    legs=(LEG,),
    funds=(FUND,),
    profit_token=DEBT,
    proceeds_raw=1_090_000,
    profit_raw=89_500,
    min_profit_raw=0,
    deadline_block=11,
    head=head(),
    inclusion_s=head().timestamp_s + 12,
    health_before_wad=95 * 10**16,
)


def plan(**changes: object) -> Plan:
    return replace(PLAN, **changes)  # type: ignore[arg-type]


def called(**changes: object) -> tuple[Outcome, ...]:
    """The plan's one step with another call."""
    return (replace(STEP, call=replace(STEP.call, **changes)),)  # type: ignore[arg-type]


def simulated(**changes: object) -> SimulatedPlan:
    whole = SimulatedPlan(
        plan=PLAN,
        executor=address(0xE0),
        calldata=b"\x01",
        gas_units=500_000,
        gas_limit=800_000,
        fees=Fees(fee_cap_wei=3, tip_wei=1, expected_wei=2),
        gas_cost_wei=10**6,
        gas_cost_base=100,
        profit_base=8_950_000,
        net_profit_base=8_949_900,
        base_unit=10**8,
        notional_base=50_000,
        native_price_base=2_000 * 10**8,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]
