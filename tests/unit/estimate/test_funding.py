"""Which source a run is funded from: the cheapest that has enough, and never a locked pool."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.lending import NOW_S, address, reserve, view
from support.markets import ACCOUNT, COLLATERAL, DEBT, HUB, POOL, LineMarket, line_market, span
from support.plans import HOP, STEP

from keeper.domain.lending import LiquidationCall, Outcome, Refused
from keeper.domain.plans import Fund
from keeper.domain.swaps import HopQuote, Leg, Sale
from keeper.domain.units import MAX_UINT256, RAY, WAD, Address
from keeper.estimate.funding import Sources, choose_funds, late_room_raw, needs_of
from keeper.estimate.gas import GasMemory, GasPrice, shape_of
from keeper.lending.aave_v3.state import Position

MORPHO = address(0x3071)
MARKET = line_market(span(1, 10**6))
GAS = GasPrice(wei_per_gas=10**9, native_price_base=2000 * 10**8)
V3_HOP = replace(HOP, venue="uniswap-v3", pool=address(0x7003))


def leg(*hops: object, out: int = 1_090_000) -> Leg:
    chosen = hops or (V3_HOP,)
    return Leg(quotes=tuple(HopQuote(hop=hop, amount_in_raw=1_100_000, amount_out_raw=out) for hop in chosen))  # type: ignore[arg-type]


def sources(market: LineMarket = MARKET, **changes: object) -> Sources:
    usual = Sources(view=market, at_s=12, gas=GAS, memory=GasMemory(), balances={})
    return replace(usual, **changes)  # type: ignore[arg-type]


def chosen(legs: Sale = (), steps: tuple[Outcome, ...] = (STEP,), **changes: object) -> list[tuple[str, int, int]]:
    funds = choose_funds(sources(**changes), steps, legs)  # type: ignore[arg-type]
    return [] if funds is None else [(fund.source, fund.amount_raw, fund.premium_raw) for fund in funds]


def owing(token: Address, amount_raw: int) -> Outcome:
    call = LiquidationCall(account=ACCOUNT, debt=token, collateral=COLLATERAL, cover_raw=amount_raw)
    return replace(STEP, call=call, repaid_raw=amount_raw)


def test_ones_own_balance_comes_before_everything() -> None:
    rich = {"balances": {DEBT: 10**6}, "flash_lender": MORPHO, "lendable": {DEBT: 10**9}}
    assert chosen((leg(),), **rich) == [("own", 10**6, 0)]
    assert chosen((leg(),), balances={DEBT: 10**6 - 1}) == [("uniswap-v3-flash", 1_090_000, 0)]


def test_the_market_lends_where_nobody_is_cheaper() -> None:
    assert choose_funds(sources(), (STEP,), ()) == (
        Fund(source="aave-flash-loan", lender=POOL, token=DEBT, amount_raw=10**6, premium_raw=500),
    )
    assert chosen(flash_lender=MORPHO, lendable={DEBT: 10**6 - 1}) == [("aave-flash-loan", 10**6, 500)]


def test_a_free_loan_is_taken_where_the_lender_has_enough() -> None:
    free = choose_funds(sources(flash_lender=MORPHO, lendable={DEBT: 10**6}), (STEP,), ())
    assert free == (Fund(source="morpho-flash", lender=MORPHO, token=DEBT, amount_raw=10**6, premium_raw=0),)


def test_gas_that_was_learned_may_outweigh_a_premium() -> None:
    memory = GasMemory()
    memory.learn(shape_of((STEP,), (), ("aave-flash-loan",)), 500_000)
    memory.learn(shape_of((STEP,), (), ("morpho-flash",)), 10**6)  # a dollar more; the premium is 0.0005
    lenders = {"flash_lender": MORPHO, "lendable": {DEBT: 10**6}, "memory": memory}
    assert chosen(**lenders) == [("aave-flash-loan", 10**6, 500)]
    no_gas = GasPrice(wei_per_gas=0, native_price_base=1)
    assert chosen(**lenders, gas=no_gas) == [("morpho-flash", 10**6, 0)]


def test_a_flash_swap_takes_what_the_first_leg_pays() -> None:
    funds = choose_funds(sources(), (STEP,), (leg(HOP, V3_HOP), leg(HOP)))
    assert funds == (
        Fund(source="uniswap-v3-flash", lender=V3_HOP.pool, token=DEBT, amount_raw=1_090_000, premium_raw=0),
    )


@pytest.mark.parametrize(
    "legs",
    [
        (leg(HOP),),
        (leg(V3_HOP, HOP),),
        (leg(HOP), leg(V3_HOP)),
        (leg(out=10**6 - 1),),
        (leg(), leg(V3_HOP)),
        (leg(), leg(V3_HOP, replace(HOP, token_in=DEBT, token_out=HUB))),
        (leg(replace(V3_HOP, token_out=HUB)),),
    ],
)
def test_no_flash_swap_from_another_pool_too_little_or_one_used_twice(legs: Sale) -> None:
    assert chosen(legs) == [("aave-flash-loan", 10**6, 500)]


def test_several_steps_of_one_debt_are_funded_together_and_several_debts_each() -> None:
    assert chosen(steps=(STEP, STEP)) == [("aave-flash-loan", 2 * 10**6, 1000)]
    two = (STEP, owing(HUB, 400), STEP)
    assert needs_of(two) == {DEBT: 2 * 10**6, HUB: 400}
    assert chosen((leg(out=10**7),), steps=two, market=replace(MARKET, prices={HUB: 10**8})) == [
        ("aave-flash-loan", 2 * 10**6, 1000),
        ("aave-flash-loan", 400, 1),
    ]


def test_asking_for_all_borrows_a_margin() -> None:
    everything = replace(STEP, call=replace(STEP.call, cover_raw=MAX_UINT256))
    ((_, amount_raw, _),) = chosen(steps=(everything,))
    assert 10**6 < amount_raw <= 10**6 + 51


def test_nothing_where_one_token_cannot_be_had() -> None:
    dry = replace(MARKET, flash_liquidity_raw=10**6)
    assert chosen(steps=(STEP, owing(HUB, 10**6 + 1)), market=dry) == []
    assert choose_funds(sources(replace(MARKET, flash_bps=None)), (STEP,), ()) is None


class Drained(LineMarket):
    """Pays nothing out of a reserve it has lent from."""

    def outcome(self, call: LiquidationCall, at_s: int) -> Outcome | Refused:
        if self.flash_liquidity_raw < MAX_UINT256:
            return Refused(code="NO_LIQUIDITY", detail="it is lent out")
        return super().outcome(call, at_s)


def test_the_market_does_not_lend_what_it_then_lacks_to_pay_out() -> None:
    same = replace(STEP, call=replace(STEP.call, collateral=DEBT))
    drained = Drained(lines=MARKET.lines)
    assert choose_funds(sources(drained), (same,), ()) is None
    assert chosen(steps=(same,), market=drained, flash_lender=MORPHO, lendable={DEBT: 10**7}) == [
        ("morpho-flash", 10**6, 0)
    ]
    assert chosen(steps=(STEP,), market=drained) == [("aave-flash-loan", 10**6, 500)]
    as_atoken = replace(same, call=replace(same.call, receive="atoken"))
    assert chosen(steps=(as_atoken,), market=drained) == [("aave-flash-loan", 10**6, 500)]


def test_what_is_bought_of_a_debt_has_room_for_a_late_run() -> None:
    """A millionth, or two minutes of interest where that is more and all is asked for."""
    whole = replace(STEP, call=replace(STEP.call, cover_raw=MAX_UINT256))
    assert late_room_raw(MARKET, STEP, 12) == 1
    assert late_room_raw(MARKET, whole, 12) == 1
    debt, collateral = address(0x1001), address(0x1000)
    held = Position(emode=0, collaterals=((0, 10_000 * WAD),), debts=((1, 8_200 * WAD),))
    call = LiquidationCall(account=ACCOUNT, debt=debt, collateral=collateral, cover_raw=MAX_UINT256)
    all_of_it = replace(whole, call=call, repaid_raw=8_200 * WAD)

    def grown(rate_ray: int) -> int:
        market = view(10, [reserve(0), reserve(1, debt_rate_ray=rate_ray)], {ACCOUNT: held})
        return late_room_raw(market, all_of_it, NOW_S)

    assert grown(RAY // 100) == 8_200 * WAD // 10**6
    assert 0 <= grown(RAY) - 8_200 * WAD * 120 // 31_536_000 < 10**14  # compounded
    gone = replace(all_of_it, call=replace(call, account=address(0xDEAD)))
    assert late_room_raw(view(10, [reserve(0), reserve(1)], {}), gone, NOW_S) == 8_200 * WAD // 10**6
