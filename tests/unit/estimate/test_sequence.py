"""Runs of several steps: what their outlines take for granted, and first steps that make room for the next."""

from __future__ import annotations

from dataclasses import replace

from support.lending import NOW_S, address, reserve, view
from support.pool_chain import v2_pool

from keeper.domain.units import WAD, Address
from keeper.estimate.gas import GasMemory, GasPrice
from keeper.estimate.scene import Scene
from keeper.estimate.shifting import Shifter
from keeper.estimate.sketch import Sketcher
from keeper.estimate.walk import Walker
from keeper.lending.aave_v3.state import Position
from keeper.venues.routes import RouteIndex
from keeper.venues.view import BookView

ACCOUNT = address(0xABC)
AT_S = NOW_S + 12
RESERVES = [
    reserve(0, decimals=18, price_base=2_000 * 10**8, threshold_bps=8250, bonus_bps=10500),
    reserve(1, decimals=18, price_base=10**8, threshold_bps=7800, bonus_bps=10450),
    reserve(2, decimals=18, price_base=2_000 * 10**8, threshold_bps=8100, bonus_bps=10625),
]
ETH, USD, STAKED = (each.token for each in RESERVES)


def scene(depth_usd: int, owed_usd: int, *, own_usd: int = 0) -> Scene:
    """Two collaterals of 5,000 dollars against dollars, and a pool for each as deep as asked for on either side."""
    held = ((0, 25 * 10**17), (2, 25 * 10**17))
    market = view(7, RESERVES, {ACCOUNT: Position(emode=0, collaterals=held, debts=((1, owed_usd * 10**18),))})
    market = replace(market, reserves={id_: replace(each, balance_raw=10**30) for id_, each in market.reserves.items()})
    pools = [
        v2_pool(number, token, USD, depth_usd * 10**18 // 2_000, depth_usd * 10**18)
        for number, token in enumerate((ETH, STAKED), 1)
    ]
    venues = BookView({pool.address: pool for pool in pools}, RouteIndex(pools, []))
    gas = GasPrice(wei_per_gas=10**6, native_price_base=2_000 * 10**8)
    own = {USD: own_usd * 10**18} if own_usd else {}
    return Scene(view=market, venues=venues, at_s=AT_S, balances=own, gas=gas, memory=GasMemory())


def outline_of(place: Scene, premium_bps: int, *covers: tuple[Address, int]) -> int:
    walker = Walker(place, ACCOUNT, Sketcher(place, {USD: premium_bps}), 100)
    run = walker.start
    for collateral, usd in covers:
        ended = walker.end(run, walker.curve(run, (USD, collateral)), usd * 10**18)
        assert ended is not None
        run = walker.go_on(ended)
    return run.gross


def test_an_outline_takes_a_premium_only_where_no_single_pool_could_lend_what_is_repaid() -> None:
    place = scene(10**8, 8_280)
    assert outline_of(place, 500, (ETH, 100)) == outline_of(place, 0, (ETH, 100))
    mixed = (ETH, 100), (STAKED, 100)
    assert outline_of(place, 500, *mixed) == outline_of(place, 0, *mixed) - place.value_of(USD, 10 * 10**18)
    assert outline_of(scene(10**8, 8_280, own_usd=300), 500, *mixed) == outline_of(place, 0, *mixed)


def test_a_step_at_a_border_stays_there_while_the_one_before_it_is_moved() -> None:
    """The more the first step repays, the less is left for the second to repay before the account is healthy."""
    place = scene(10**8, 8_280)
    walker = Walker(place, ACCOUNT, Sketcher(place), 1_000)
    first = walker.step(walker.start, walker.curve(walker.start, (USD, ETH)), 100 * 10**18)
    assert first is not None
    curve = walker.curve(first, (USD, STAKED))
    second = walker.step(first, curve, max(turn for turn in curve.turns if curve.outcome(turn) is not None))
    assert second is not None
    (run, *_) = walker.ends(second, walker.curve(second, (USD, ETH)))
    moved = Shifter(walker, lambda outline: outline.steps[0].repaid_raw).improve(run)
    assert len(moved.steps) == 3
    assert moved.steps[0].repaid_raw > 150 * 10**18
    assert moved.steps[1].repaid_raw < run.steps[1].repaid_raw
    assert 0 < WAD - moved.steps[1].health_after_wad < 10**13
