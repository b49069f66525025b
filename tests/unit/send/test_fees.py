from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.units import WAD
from keeper.send.fees import (
    GasOffer,
    TooDear,
    bump_limit_wei,
    fee_ceiling_wei,
    raise_offer,
    result_usd_e8,
)
from keeper.store.records import Stake
from tests.unit.send.test_machine import GWEI, SLOT

WEI = st.integers(min_value=0, max_value=10**15)
OFFERS = st.lists(
    st.tuples(WEI, WEI).map(lambda pair: GasOffer(fee_cap_wei=max(pair), tip_wei=min(pair))), min_size=1, max_size=5
)


@given(earlier=OFFERS, base_fee_wei=WEI, limit_wei=st.none() | WEI)
def test_an_offer_rises_on_both_fields_within_its_limit(
    earlier: list[GasOffer], base_fee_wei: int, limit_wei: int | None
) -> None:
    found = raise_offer(earlier, base_fee_wei=base_fee_wei, limit_wei=limit_wei)
    most = max(each.fee_cap_wei for each in earlier)
    if isinstance(found, TooDear):
        assert limit_wei is not None
        assert limit_wei < found.least_cap_wei
        assert found.least_cap_wei >= most
        return
    for each in earlier:
        assert found.fee_cap_wei * 1000 >= each.fee_cap_wei * 1125
        assert found.tip_wei * 1000 >= each.tip_wei * 1125
    assert found.fee_cap_wei > most or most == 0
    assert 0 < found.tip_wei <= found.fee_cap_wei
    assert limit_wei is None or found.fee_cap_wei <= limit_wei


@pytest.mark.parametrize(
    ("operator", "profit", "limit"), [(None, None, None), (5, None, 5), (None, 7, 7), (5, 7, 5), (9, 7, 7)]
)
def test_a_bump_is_bound_by_the_operator_and_by_the_profit(
    operator: int | None, profit: int | None, limit: int | None
) -> None:
    assert bump_limit_wei(replace(SLOT, stake=Stake(fee_ceiling_wei=profit)), operator) == limit


@given(
    profit=st.integers(min_value=0, max_value=10**14),
    native=st.integers(min_value=1, max_value=10**13),
    gas=st.integers(min_value=21_000, max_value=10**7),
)
def test_gas_at_the_ceiling_costs_no_more_than_the_profit(profit: int, native: int, gas: int) -> None:
    ceiling = fee_ceiling_wei(profit, native, gas)
    assert ceiling is not None
    assert gas * ceiling * native <= profit * WAD
    assert gas * (ceiling + 1) * native > (profit - 1) * WAD - native * gas


def test_without_a_price_of_gas_nothing_is_said_about_the_ceiling() -> None:
    assert fee_ceiling_wei(10**8, 0, 300_000) is None


def test_a_result_counts_gas_against_the_gain_and_rounds_against_us() -> None:
    stake = Stake(profit_usd_e8=50 * 10**8, native_usd_e8=2_000 * 10**8)
    gas_wei = 300_000 * 20 * GWEI  # 0.006 of 2,000 dollars
    assert result_usd_e8(stake, planned_raw=1_000, realised_raw=1_000, gas_wei=gas_wei) == 38 * 10**8
    assert result_usd_e8(stake, planned_raw=1_000, realised_raw=0, gas_wei=gas_wei) == -12 * 10**8
    assert result_usd_e8(stake, planned_raw=1_000, realised_raw=0, gas_wei=1) == -1
    assert result_usd_e8(Stake(), planned_raw=0, realised_raw=5, gas_wei=gas_wei) == 0
