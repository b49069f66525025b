"""The sizer against an independent search of the real rules and real pool curves."""

from __future__ import annotations

import random

import pytest
from support.lending import NOW_S, address, reserve, view
from support.pool_chain import v2_pool, v3_pool

from keeper.domain.units import MAX_UINT256
from keeper.estimate.curve import Choice, PairCurve, Scene
from keeper.estimate.gas import GasMemory, GasPrice
from keeper.estimate.sizing import best_choice, better_of
from keeper.lending.aave_v3.state import Position
from keeper.venues.pools import Pool
from keeper.venues.tick_math import tick_at
from keeper.venues.view import BookView, RouteIndex

RESERVES = [
    reserve(0, decimals=18, price_base=1600 * 10**8, threshold_bps=8250, bonus_bps=10500),
    reserve(1, decimals=6, price_base=10**8, threshold_bps=7800, bonus_bps=10450),
    reserve(2, decimals=8, price_base=30_000 * 10**8, threshold_bps=7800, bonus_bps=10625),
    reserve(3, decimals=18, price_base=10**8, threshold_bps=7700, bonus_bps=10400, fee_bps=0),
]
TOKENS = [each.token for each in RESERVES]
ACCOUNT = address(0xABC)
GAS = GasPrice(wei_per_gas=10**10, native_price_base=1600 * 10**8)
SAMPLES = 400


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


def scene(dice: random.Random, revision: int, depth_usd: int) -> Scene:
    """One account a little under water, two collaterals against two debts."""
    worth = dice.randrange(2_000, 200_000)
    share = dice.randrange(1, 10)
    collaterals = ((0, raw_for_usd(0, worth * share // 10)), (2, raw_for_usd(2, worth * (10 - share) // 10)))
    owed = int(worth * dice.uniform(0.81, 0.95))
    part = dice.randrange(1, 10)
    debts = ((1, raw_for_usd(1, owed * part // 10)), (3, raw_for_usd(3, owed * (10 - part) // 10)))
    market = view(revision, RESERVES, {ACCOUNT: Position(emode=0, collaterals=collaterals, debts=debts)})
    return Scene(
        view=market,
        venues=pools_of_depth(dice, depth_usd),
        at_s=NOW_S + 12,
        balances={},
        gas=GAS,
        memory=GasMemory(),
    )


def searched(curve: PairCurve) -> Choice | None:
    """Many amounts over each range on every route, then refined around the best."""
    best: Choice | None = None
    for each in curve.ranges():
        if each.cover_max:
            for route in curve.routes():
                best = better_of(best, curve.choice(route, MAX_UINT256))
            continue
        covers = {each.low_raw + (each.high_raw - each.low_raw) * n // SAMPLES for n in range(SAMPLES + 1)}
        covers |= {max(each.low_raw, each.high_raw >> shift) for shift in range(1, 24)}
        width = (each.high_raw - each.low_raw) // SAMPLES
        for route in curve.routes():
            local: Choice | None = None
            for cover in sorted(covers):
                local = better_of(local, curve.choice(route, cover))
            step = width
            while local is not None and step > 0 and local.rank > 0:
                middle = local.outcome.call.cover_raw
                for cover in (middle - step // 2, middle + step // 2):
                    if each.low_raw <= cover <= each.high_raw:
                        local = better_of(local, curve.choice(route, cover))
                step //= 2
            best = better_of(best, local)
    return best


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("revision", [1, 10, 1000])
def test_no_searched_amount_nets_more(seed: int, revision: int) -> None:
    dice = random.Random(f"{seed}/{revision}")
    place = scene(dice, revision, dice.choice([30_000, 300_000, 5_000_000]))
    for debt, collateral in place.view.pairs(ACCOUNT):
        curve = PairCurve(place, ACCOUNT, debt, collateral)
        ours, theirs = best_choice(curve), searched(curve)
        if theirs is None or theirs.rank <= 0:
            continue
        assert ours is not None
        gas_unit = GAS.wei_per_gas * GAS.native_price_base
        assert ours.rank >= theirs.rank * 9999 // 10_000 or theirs.rank - ours.rank <= gas_unit
