"""The sizer against independent tries on the real rules and real pool curves."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from support.lending import NOW_S, address, reserve, view
from support.pool_chain import v2_pool, v3_pool

from keeper.domain.lending import Outcome, Refused
from keeper.domain.units import MAX_UINT256, WAD
from keeper.estimate.curve import PairCurve
from keeper.estimate.gas import GasMemory, GasPrice
from keeper.estimate.runs import weigh
from keeper.estimate.scene import Choice, Scene, better_of
from keeper.estimate.sequence import RunSearch
from keeper.estimate.sizing import best_choice, find_curves
from keeper.lending.aave_v3.state import Position
from keeper.ports import MarketView
from keeper.venues.pools import Pool
from keeper.venues.routes import RouteIndex
from keeper.venues.tick_math import tick_at
from keeper.venues.view import BookView

RESERVES = [
    reserve(0, decimals=18, price_base=1600 * 10**8, threshold_bps=8250, bonus_bps=10500),
    reserve(1, decimals=6, price_base=10**8, threshold_bps=7800, bonus_bps=10450),
    reserve(2, decimals=8, price_base=30_000 * 10**8, threshold_bps=7800, bonus_bps=10625),
    reserve(3, decimals=18, price_base=10**8, threshold_bps=7700, bonus_bps=10400, fee_bps=0),
]
TOKENS = [each.token for each in RESERVES]
ACCOUNT = address(0xABC)
GAS = GasPrice(wei_per_gas=10**10, native_price_base=1600 * 10**8)
GAS_UNIT = GAS.wei_per_gas * GAS.native_price_base
SAMPLES = 400
STEP_SAMPLES = 12


def raw_for_usd(id_: int, usd: int) -> int:
    return usd * 10 ** (RESERVES[id_].decimals + 8) // (RESERVES[id_].price_base or 1)


def pools_of_depth(dice: random.Random, usd: int) -> BookView:
    pools: list[Pool] = []
    for one in range(len(RESERVES)):
        for other in range(one + 1, len(RESERVES)):
            low, high = sorted((one, other), key=lambda id_: TOKENS[id_].lower())
            depth = int(usd * dice.uniform(0.2, 3))
            sides = raw_for_usd(low, depth), raw_for_usd(high, depth)
            pools.append(v2_pool(len(pools), TOKENS[low], TOKENS[high], *sides))
            price = int((sides[1] / sides[0]) ** 0.5 * dice.uniform(0.995, 1.005) * 2**96)
            tick = tick_at(price)
            near = tick // 60 * 60
            liquidity = int((sides[0] * sides[1]) ** 0.5)
            positions = [(near - 6000, near + 6000, liquidity), (near - 600, near + 600, 5 * liquidity)]
            pools.append(
                v3_pool(
                    len(pools),
                    (TOKENS[low], TOKENS[high]),
                    tick=tick,
                    positions=positions,
                    sqrt_price_x96=price,
                )
            )
    return BookView({pool.address: pool for pool in pools}, RouteIndex(pools, TOKENS))


def scene(dice: random.Random, revision: int, depth_usd: int, debts: int = 2) -> Scene:
    """One account a little under water, two collaterals against one or two debts."""
    worth = dice.randrange(2_000, 200_000)
    share = dice.randrange(1, 10)
    collaterals = ((0, raw_for_usd(0, worth * share // 10)), (2, raw_for_usd(2, worth * (10 - share) // 10)))
    owed = int(worth * dice.uniform(0.81, 0.95))
    part = dice.randrange(1, 10) if debts > 1 else 10
    owing = ((1, raw_for_usd(1, owed * part // 10)), (3, raw_for_usd(3, owed * (10 - part) // 10)))[:debts]
    market = view(revision, RESERVES, {ACCOUNT: Position(emode=0, collaterals=collaterals, debts=owing)})
    return Scene(
        view=market,
        venues=pools_of_depth(dice, depth_usd),
        at_s=NOW_S + 12,
        balances={},
        gas=GAS,
        memory=GasMemory(),
    )


def as_good(ours: Choice | None, theirs: Choice) -> bool:
    return ours is not None and (ours.rank >= theirs.rank * 9999 // 10_000 or theirs.rank - ours.rank <= GAS_UNIT)


def searched(curve: PairCurve) -> Choice | None:
    """Many amounts over each range, then refined around the best."""
    best: Choice | None = None
    for each in curve.ranges:
        if each.cover_max:
            best = better_of(best, curve.choice(MAX_UINT256))
            continue
        covers = {each.low_raw + (each.high_raw - each.low_raw) * n // SAMPLES for n in range(SAMPLES + 1)}
        covers |= {max(each.low_raw, each.high_raw >> shift) for shift in range(1, 24)}
        local: Choice | None = None
        for cover in sorted(covers):
            local = better_of(local, curve.choice(cover))
        step = (each.high_raw - each.low_raw) // SAMPLES
        while local is not None and step > 0 and local.rank > 0:
            middle = local.outcome.call.cover_raw
            for cover in (middle - step // 2, middle + step // 2):
                if each.low_raw <= cover <= each.high_raw:
                    local = better_of(local, curve.choice(cover))
            step //= 2
        best = better_of(best, local)
    return best


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("revision", [1, 10, 1000])
def test_no_searched_amount_nets_more(seed: int, revision: int) -> None:
    dice = random.Random(f"{seed}/{revision}")
    place = scene(dice, revision, dice.choice([30_000, 300_000, 5_000_000]))
    for debt, collateral in place.view.pairs(ACCOUNT):
        curve = PairCurve(place, ACCOUNT, debt, collateral)
        theirs = searched(curve)
        if theirs is None or theirs.rank <= 0:
            continue
        assert as_good(RunSearch(place, ACCOUNT, [curve], "single").run(), theirs)


def grid(market: MarketView, at_s: int) -> Iterator[Outcome]:
    """What the pool does with amounts all over its ranges."""
    for debt, collateral in market.pairs(ACCOUNT):
        pair = market.pair(ACCOUNT, debt, collateral, at_s)
        if isinstance(pair, Refused):
            continue
        covers = {MAX_UINT256}
        for each in pair.ranges():
            covers |= {
                each.low_raw + (each.high_raw - each.low_raw) * n // STEP_SAMPLES for n in range(STEP_SAMPLES + 1)
            }
        for cover in covers:
            outcome = pair.outcome(cover)
            if not isinstance(outcome, Refused):
                yield outcome


def best_of_two(place: Scene) -> Choice | None:
    """The best of all runs of one or two steps on a grid; what each nets is worked out exactly."""
    best: Choice | None = None
    for first in grid(place.view, place.at_s):
        best = better_of(best, weigh(place, (first,)))
        if first.health_after_wad >= WAD:
            continue
        for second in grid(place.view.after(first.call, place.at_s), place.at_s):
            best = better_of(best, weigh(place, (first, second)))
    return best


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("revision", [1, 10])
def test_no_run_of_two_steps_on_a_grid_nets_more(seed: int, revision: int) -> None:
    place = scene(random.Random(f"two {seed}/{revision}"), revision, 1_000_000, debts=1)
    theirs = best_of_two(place)
    assert theirs is not None
    assert as_good(best_choice(place, ACCOUNT, find_curves(place, ACCOUNT)), theirs)


@pytest.mark.parametrize("revision", [1, 10, 1000])
def test_a_run_is_what_its_steps_do_one_after_another(revision: int) -> None:
    place = scene(random.Random(f"exact {revision}"), revision, 300_000)
    choice = best_choice(place, ACCOUNT, find_curves(place, ACCOUNT))
    assert choice is not None
    assert len(choice.steps) > 1
    market, venues = place.view, place.venues
    gains = dict.fromkeys(TOKENS, 0)
    for step in choice.steps:
        assert market.outcome(step.call, place.at_s) == step
        market = market.after(step.call, place.at_s)
        gains[step.call.collateral] += step.received_raw
        gains[step.call.debt] -= step.repaid_raw
    for leg in choice.legs:
        assert venues.quote(leg.route, leg.amount_in_raw) == leg.quotes
        venues = venues.after(leg.quotes)
        gains[leg.token_in] -= leg.amount_in_raw
        gains[leg.token_out] += leg.amount_out_raw
    for fund in choice.funds:
        gains[fund.token] -= fund.premium_raw
    assert all(raw >= 0 for raw in gains.values())
    assert gains.pop(choice.profit_token) == choice.profit_raw
    # nothing but a hair's breadth of another token is left over
    assert sum(place.value_of(token, raw) for token, raw in gains.items()) <= choice.rank // 1000


def test_a_first_step_opens_the_full_close_factor() -> None:
    """With a threshold times bonus above 0.95 a repay lowers health; below 0.95 all of it may be repaid."""
    tight = [replace(each, threshold_bps=9700, liquidation_bonus_bps=10100, protocol_fee_bps=0) for each in RESERVES]
    held, owed = raw_for_usd(0, 100_000), raw_for_usd(1, 100_900)
    market = view(1, tight, {ACCOUNT: Position(emode=0, collaterals=((0, held),), debts=((1, owed),))})
    place = replace(scene(random.Random(7), 1, 10**9), view=market)
    health = market.health(ACCOUNT, place.at_s)
    assert health is not None
    assert 95 * 10**16 < health.health_factor_wad < 97 * 10**16
    choice = best_choice(place, ACCOUNT, find_curves(place, ACCOUNT))
    assert choice is not None
    first, *_, last = choice.steps
    assert len(choice.steps) == 2
    assert first.repaid_raw <= owed // 2
    assert first.health_after_wad <= 95 * 10**16
    assert last.repaid_raw > (owed - first.repaid_raw) // 2
    single = RunSearch(place, ACCOUNT, find_curves(place, ACCOUNT), "single").run()
    assert single is not None
    assert choice.rank > single.rank * 13 // 10
