"""The closed forms of the search against trying every amount, on small markets of every revision."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.lending import LiquidationCall, Outcome, Refused
from keeper.domain.units import MAX_UINT256, RAY
from keeper.lending.aave_v3.revisions import known_revisions
from keeper.lending.aave_v3.rules.liquidation import LEAST_LEFTOVER_BASE
from keeper.lending.aave_v3.state import Position
from keeper.lending.aave_v3.view import AaveV3View
from tests.support.lending import NOW_S, address, reserve, view

BORROWER = address(0xB0)
NUMBERS = [revision.number for revision in known_revisions()]
# Coarse tokens: a few thousand units in all, so that every amount can be tried and roundings weigh.
UNITS = st.integers(min_value=1, max_value=3)


@st.composite
def markets(draw: st.DrawFn) -> AaveV3View:
    number = draw(st.sampled_from(NUMBERS))
    same = draw(st.booleans()) and draw(st.booleans())
    value = draw(st.sampled_from([1_500, 2_500, 4_000, 9_000])) * 10**8
    debt_units = draw(st.integers(20, 700))
    collateral_units = draw(st.integers(20, 700))
    health = draw(st.integers(80, 99))
    threshold = draw(st.sampled_from([7_000, 8_250, 9_000]))
    decimals = draw(st.tuples(UNITS, UNITS))
    debt_decimals = decimals[0]
    collateral_decimals = decimals[1]
    income = RAY + draw(st.integers(0, RAY // 2))
    debt_index = RAY + draw(st.integers(0, RAY // 2))
    held = collateral_units * income // RAY + 1
    owed = debt_units * debt_index // RAY + 1
    collateral_price = max(1, value * 10**collateral_decimals // held)
    debt_base = value * threshold // 10_000 * 100 // health
    debt_price = max(1, debt_base * 10**debt_decimals // owed)
    liquidity = draw(st.one_of(st.just(10**9), st.integers(0, held)))
    virtual = draw(st.one_of(st.none(), st.just(10**9), st.integers(0, held)))
    collateral = reserve(
        0,
        decimals=collateral_decimals,
        threshold_bps=threshold,
        bonus_bps=draw(st.sampled_from([10_300, 10_500, 11_000])),
        fee_bps=draw(st.sampled_from([0, 1_000, 5_000, 10_000])),
        price_base=collateral_price,
        income_ray=income,
        debt_ray=debt_index,
        balance_raw=liquidity,
        virtual_raw=virtual,
    )
    debt = reserve(1, decimals=debt_decimals, price_base=debt_price, income_ray=income, debt_ray=debt_index)
    if same:
        scaled = max(1, collateral_units * threshold * 100 // (10_000 * health))
        position = Position(emode=0, collaterals=((0, collateral_units),), debts=((0, scaled),))
    else:
        position = Position(emode=0, collaterals=((0, collateral_units),), debts=((1, debt_units),))
    return view(number, [collateral, debt], {BORROWER: position})


def every_outcome(market: AaveV3View, receive: str) -> dict[int, Outcome]:
    """What the pool accepts, by cover, for every cover up to well beyond the debt."""
    (debt, collateral), *_ = market.pairs(BORROWER)
    found = {}
    for cover in (*range(2_200), MAX_UINT256):
        call = LiquidationCall(
            account=BORROWER,
            debt=debt,
            collateral=collateral,
            cover_raw=cover,
            receive="atoken" if receive == "atoken" else "underlying",
        )
        outcome = market.outcome(call, NOW_S)
        if isinstance(outcome, Outcome):
            found[cover] = outcome
    return found


@given(markets())
def test_nothing_repays_more_than_the_largest(market: AaveV3View) -> None:
    (debt, collateral), *_ = market.pairs(BORROWER)
    largest = market.largest(BORROWER, debt, collateral, NOW_S)
    accepted = [*every_outcome(market, "underlying").values(), *every_outcome(market, "atoken").values()]
    if isinstance(largest, Refused):
        assert accepted == []
        return
    best = max(outcome.repaid_raw for outcome in accepted)
    assert largest.repaid_raw == best
    assert market.outcome(largest.call, NOW_S) == largest
    ways = [outcome for outcome in accepted if outcome.repaid_raw == best]
    if any(outcome.call.receive == "underlying" for outcome in ways):
        assert largest.call.receive == "underlying"
    same_way = [outcome for outcome in ways if outcome.call.receive == largest.call.receive]
    if any(outcome.call.cover_raw == MAX_UINT256 for outcome in same_way):
        assert largest.call.cover_raw == MAX_UINT256


@given(markets())
def test_ranges_hold_only_accepted_amounts_and_miss_none_that_is_safe(market: AaveV3View) -> None:
    (debt, collateral), *_ = market.pairs(BORROWER)
    accepted = every_outcome(market, "underlying")
    ranges = market.ranges(BORROWER, debt, collateral, NOW_S)
    explicit = {
        cover for item in ranges if not item.cover_max for cover in range(item.low_raw, min(item.high_raw, 2_199) + 1)
    }
    for cover in explicit:
        assert accepted[cover].repaid_raw == cover
    points = [item for item in ranges if item.cover_max]
    assert len(points) == (MAX_UINT256 in accepted)
    for item in points:
        assert item.low_raw == item.high_raw == accepted[MAX_UINT256].repaid_raw
    for cover, outcome in accepted.items():
        missed = outcome.repaid_raw == cover and cover not in explicit
        # Left out are only amounts that work by a coincidence of units: full close or full seizure to the last one.
        assert not missed or leaves_too_little(market, outcome)


def leaves_too_little(market: AaveV3View, outcome: Outcome) -> bool:
    """Whether the call leaves so little on one side that a second later it might be refused."""
    left = market.after(outcome.call, NOW_S).positions.get(BORROWER)
    if left is None:
        return True
    health = market.after(outcome.call, NOW_S).health(BORROWER, NOW_S)
    assert health is not None
    return min(health.debt_base, health.collateral_base) < LEAST_LEFTOVER_BASE


@given(markets(), st.integers(1, 2_000))
def test_no_call_gives_more_than_there_is_or_takes_more_than_asked(market: AaveV3View, cover: int) -> None:
    (debt, collateral), *_ = market.pairs(BORROWER)
    call = LiquidationCall(account=BORROWER, debt=debt, collateral=collateral, cover_raw=cover)
    outcome = market.outcome(call, NOW_S)
    if isinstance(outcome, Refused):
        return
    before = market.positions[BORROWER]
    after = market.after(call, NOW_S).positions.get(BORROWER)
    assert outcome.repaid_raw <= cover
    held = dict(before.collaterals)[0] * market.reserves[0].liquidity_index_ray // RAY + 1
    assert outcome.received_raw + outcome.fee_raw <= held
    if after is not None:
        assert all(scaled >= 0 for _, scaled in (*after.collaterals, *after.debts))
    paid_in = market.after(call, NOW_S)._reserve(debt).balance_raw - market._reserve(debt).balance_raw
    assert paid_in == outcome.repaid_raw - (outcome.received_raw if debt == collateral else 0)
