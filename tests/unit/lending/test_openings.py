"""Where the close factor lets one more call take all that is left of a debt or a collateral: found by trying."""

from __future__ import annotations

import random

import pytest
from support.lending import NOW_S, address, reserve, view

from keeper.domain.lending import LiquidationCall, Outcome, Refused
from keeper.domain.units import MAX_UINT256, WAD, Address
from keeper.lending.aave_v3.state import Position
from keeper.lending.aave_v3.view import AaveV3View
from keeper.ports import PairView

ACCOUNT = address(0xABC)
AT_S = NOW_S + 12
TRIED = 40
RESERVES = [
    reserve(0, decimals=18, price_base=1_600 * 10**8, threshold_bps=8250, bonus_bps=10500),
    reserve(1, decimals=6, price_base=10**8, threshold_bps=7800, bonus_bps=10450),
    reserve(2, decimals=8, price_base=30_000 * 10**8, threshold_bps=8100, bonus_bps=10625),
    reserve(3, decimals=18, price_base=10**8, threshold_bps=7700, bonus_bps=10500),
]
UNIT_RAW = {0: 10**18 // 1_600, 1: 10**6, 2: 10**8 // 30_000, 3: 10**18}  # what a dollar buys


def unhealthy(dice: random.Random, revision: int) -> AaveV3View:
    """Two collaterals of any worth against two debts of any worth, at a health at which half may be repaid."""
    held_usd = {0: dice.randrange(1_500, 9_000), 2: dice.randrange(1_500, 9_000)}
    counted_usd = sum(usd * RESERVES[id_].threshold_bps for id_, usd in held_usd.items()) / 10_000
    share = dice.uniform(0.1, 0.9)
    owed_usd = counted_usd / dice.uniform(0.955, 0.995)
    collaterals = tuple((id_, usd * UNIT_RAW[id_]) for id_, usd in held_usd.items())
    debts = ((1, int(owed_usd * share * UNIT_RAW[1])), (3, int(owed_usd * (1 - share)) * UNIT_RAW[3]))
    return view(revision, RESERVES, {ACCOUNT: Position(emode=0, collaterals=collaterals, debts=debts)})


def pair_of(place: AaveV3View, debt: Address, collateral: Address) -> PairView:
    found = place.pair(ACCOUNT, debt, collateral, AT_S)
    assert not isinstance(found, Refused)
    return found


def takes_all(
    place: AaveV3View, first: tuple[Address, Address], cover_raw: int, then: tuple[Address, Address]
) -> bool | None:
    """Whether everything of a pair may be taken after a first call; None where nothing may follow."""
    call = LiquidationCall(account=ACCOUNT, debt=first[0], collateral=first[1], cover_raw=cover_raw)
    done = place.outcome(call, AT_S)
    if isinstance(done, Refused) or done.health_after_wad >= WAD:
        return None
    rest = place.after(call, AT_S).pair(ACCOUNT, *then, AT_S)
    taken = None if isinstance(rest, Refused) else rest.outcome(MAX_UINT256)
    if isinstance(rest, Refused) or not isinstance(taken, Outcome):
        return False
    left_raw = rest.held_raw - taken.received_raw - taken.fee_raw
    return left_raw <= rest.held_raw >> 14 or taken.repaid_raw >= rest.owed_raw - (rest.owed_raw >> 14)


@pytest.mark.parametrize("revision", [1, 7, 10])
def test_where_one_call_opens_or_closes_the_way_for_all_of_another_pair_is_a_turn(revision: int) -> None:
    dice, borders = random.Random(revision), 0
    for _ in range(120):
        place = unhealthy(dice, revision)
        pairs = list(place.pairs(ACCOUNT))
        first, then = dice.choice(pairs), dice.choice(pairs)
        pair = pair_of(place, *first)
        most_raw = max((span.high_raw for span in pair.ranges() if not span.cover_max), default=0)
        covers = [most_raw * n // TRIED for n in range(1, TRIED + 1)]
        open_ = [takes_all(place, first, cover, then) for cover in covers]
        for n in range(TRIED - 1):
            if {open_[n], open_[n + 1]} == {True, False}:
                borders += 1
                between = [turn for turn in pair.turns() if covers[n] <= turn <= covers[n + 1]]
                assert any(takes_all(place, first, turn, then) for turn in between), (first, then, covers[n])
    assert borders


def test_nothing_past_a_health_of_one_is_an_opening() -> None:
    """There no call may follow: such amounts would only use up what a search may try."""
    dice = random.Random(3)
    for _ in range(20):
        place = unhealthy(dice, 7)
        for debt, collateral in place.pairs(ACCOUNT):
            pair = pair_of(place, debt, collateral)
            after = [pair.outcome(turn) for turn in pair.turns()]
            assert all(each.health_after_wad < WAD for each in after if isinstance(each, Outcome))
