"""One pair asked many amounts: the same answers as the market's, and where the rules change."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from support.lending import NOW_S, address, reserve, view

from keeper.domain.lending import LiquidationCall, Outcome, Refused
from keeper.domain.units import MAX_UINT256, WAD
from keeper.lending.aave_v3.state import Position
from keeper.lending.aave_v3.view import AaveV3View
from keeper.ports import PairView

ACCOUNT = address(0xABC)
AT_S = NOW_S + 12
RESERVES = [
    reserve(0, decimals=18, price_base=1_600 * 10**8, threshold_bps=8250, bonus_bps=10500),
    reserve(1, decimals=6, price_base=10**8, threshold_bps=7800, bonus_bps=10450),
    reserve(2, decimals=8, price_base=30_000 * 10**8, threshold_bps=7800, bonus_bps=10625),
]
DEBT, ETH, BTC = RESERVES[1].token, RESERVES[0].token, RESERVES[2].token


def market(revision: int, owed_share: float, usd: int = 100_000) -> AaveV3View:
    """Ether and bitcoin of the same worth against dollars; the share is of what the collateral counts for."""
    collaterals = ((0, usd * 10**18 // 3_200), (2, usd * 10**8 // 60_000))
    owed = int(usd * 0.8025 / owed_share * 10**6)
    return view(revision, RESERVES, {ACCOUNT: Position(emode=0, collaterals=collaterals, debts=((1, owed),))})


def pair_of(place: AaveV3View, collateral: str = ETH) -> PairView:
    pair = place.pair(ACCOUNT, DEBT, ETH if collateral == ETH else BTC, AT_S)
    assert not isinstance(pair, Refused)
    return pair


def health_after(pair: PairView, repay_raw: int) -> int:
    outcome = pair.outcome(repay_raw)
    assert isinstance(outcome, Outcome)
    return outcome.health_after_wad


@pytest.mark.parametrize("revision", [1, 7, 10, 1000])
def test_a_pair_answers_as_the_market_does(revision: int) -> None:
    dice = random.Random(revision)
    place = market(revision, 0.94)
    pair = pair_of(place)
    assert pair.ranges() == place.ranges(ACCOUNT, DEBT, ETH, AT_S)
    for cover in (0, 1, MAX_UINT256, *(dice.randrange(pair.owed_raw * 2) for _ in range(50))):
        call = LiquidationCall(account=ACCOUNT, debt=DEBT, collateral=ETH, cover_raw=cover)
        answer = place.outcome(call, AT_S)
        assert pair.outcome(cover) == answer
        taken = None if isinstance(answer, Refused) else (answer.repaid_raw, answer.received_raw)
        assert pair.taken(cover) == taken


def test_the_rate_is_what_is_received_for_what_is_repaid() -> None:
    pair = pair_of(market(1, 0.97))
    received, repaid = pair.rate
    taken = pair.taken(10**10)
    assert taken is not None
    assert abs(taken[1] - 10**10 * received // repaid) <= taken[1] // 10**12 + 2


def test_a_refused_account_has_no_pair() -> None:
    healthy = market(1, 1.2).pair(ACCOUNT, DEBT, ETH, AT_S)
    assert isinstance(healthy, Refused)
    assert healthy.code == "HEALTH_FACTOR_NOT_BELOW_THRESHOLD"


@pytest.mark.parametrize("collateral", [ETH, BTC])
@pytest.mark.parametrize("revision", [1, 7, 10])
def test_the_last_repay_that_leaves_the_account_liquidatable_is_a_turn(revision: int, collateral: str) -> None:
    pair = pair_of(market(revision, 0.98), collateral)
    near = [turn for turn in pair.turns() if WAD - 10**12 < health_after(pair, turn) < WAD]
    assert len(near) == 1
    assert health_after(pair, near[0] + near[0] // 10**5) >= WAD


def test_the_repay_after_which_all_may_be_closed_is_a_turn() -> None:
    """Below 0.95 the whole debt may be repaid; a repay heals here, so it is the last one that stays below."""
    pair = pair_of(market(1, 0.94))
    limit = 95 * 10**16
    # health counts whole hundredths of a percent of the average threshold here
    assert any(limit - 2 * 10**14 < health_after(pair, turn) <= limit for turn in pair.turns())


def saw(revision: int, ether_usd: int, health: float, thresholds_bps: tuple[int, int], bonus_bps: int) -> AaveV3View:
    """Ether and the rest of 100,000 dollars in bitcoin; the average threshold is cut to whole bps."""
    ether, dollar, bitcoin = RESERVES
    ether = replace(ether, threshold_bps=thresholds_bps[0], liquidation_bonus_bps=bonus_bps)
    bitcoin = replace(bitcoin, threshold_bps=thresholds_bps[1], liquidation_bonus_bps=bonus_bps)
    bitcoin_usd = 100_000 - ether_usd
    held = ((0, ether_usd * 10**18 // 1_600), (2, bitcoin_usd * 10**8 // 30_000))
    counted_usd = (ether_usd * thresholds_bps[0] + bitcoin_usd * thresholds_bps[1]) / 10_000
    owing = Position(emode=0, collaterals=held, debts=((1, int(counted_usd / health * 10**6)),))
    return view(revision, [ether, dollar, bitcoin], {ACCOUNT: owing})


@pytest.mark.parametrize("collateral", [ETH, BTC])
@pytest.mark.parametrize(
    ("revision", "ether_usd", "health", "target_wad"),
    [
        (1, 63_000, 0.997, WAD),
        (1, 17_000, 0.9437, 95 * 10**16),
        (7, 85_000, 0.9928, WAD),
        (7, 11_000, 0.9406, 95 * 10**16),
        (1, 79_000, 0.9985, WAD),
        (7, 69_000, 0.9984, WAD),
    ],
)
def test_where_health_is_a_saw_the_turn_is_the_last_amount_below(
    revision: int, ether_usd: int, health: float, target_wad: int, collateral: str
) -> None:
    """A growing repay crosses the threshold back and forth: upwards, from below, is what counts."""
    pair = pair_of(saw(revision, ether_usd, health, (8250, 7800), 10500), collateral)
    (turn,) = [each for each in pair.turns() if abs(health_after(pair, each) - target_wad) < 10**14]
    assert health_after(pair, turn) < target_wad <= health_after(pair, turn + turn // 10**5)


@pytest.mark.parametrize(("revision", "ether_usd", "health"), [(1, 18_000, 0.9556), (7, 20_000, 0.953)])
def test_where_repaying_lowers_health_the_turn_is_an_amount_that_is_below(
    revision: int, ether_usd: int, health: float
) -> None:
    """What is seized counts for more than what is repaid: below 0.95 all may be closed."""
    pair = pair_of(saw(revision, ether_usd, health, (9300, 9000), 11000), BTC)
    limit = 95 * 10**16
    (turn,) = [each for each in pair.turns() if abs(health_after(pair, each) - limit) < 10**14]
    assert health_after(pair, turn) < limit <= health_after(pair, turn - turn // 10**5)


@pytest.mark.parametrize("falls", [False, True])
def test_no_threshold_that_health_crosses_is_without_a_turn_below_it(falls: bool) -> None:
    """Barely off the threshold, the saw's teeth are as high as all that a repay changes."""
    dice, limit, seen = random.Random(23), 95 * 10**16, 0
    terms = ((9300, 9000), 11000) if falls else ((8250, 7800), 10500)
    for _ in range(150):
        health = 0.95 + (1 if falls else -1) * 10 ** dice.uniform(-4, -2)
        pair = pair_of(saw(dice.choice((1, 7)), dice.randrange(3_000, 97_000), health, *terms), dice.choice((ETH, BTC)))
        start, end = health_after(pair, 10**4), health_after(pair, pair.ranges()[0].high_raw)
        if (start >= limit) != falls or (end < limit) != falls:
            continue
        seen += 1
        assert any(health_after(pair, turn) < limit for turn in pair.turns() if turn <= pair.ranges()[0].high_raw)
    assert seen > 75


def test_a_leftover_small_enough_to_be_closed_whole_is_a_turn() -> None:
    place = market(7, 0.97, usd=4_300)
    pair = pair_of(place)
    found = [turn for turn in pair.turns() if not isinstance(pair.outcome(turn), Refused)]
    limited = [outcome for turn in found if isinstance(outcome := pair.outcome(turn), Outcome)]
    kept = [2_150 * 10**18 // 1_600 - each.received_raw - each.fee_raw for each in limited]
    assert any(0 <= 2_000 * 10**18 // 1_600 - raw < 10**14 for raw in kept)
