"""B13: one price makes 2,000 accounts liquidatable; everything that pays is planned, plan after plan.

The market is made up: six collaterals that fell, four debts, one or two of either an account. Each
token is traded against two others in constant-product and concentrated pools, too thin for all. The
code is the keeper's own: from the revalued market to the last plan, each exact on the pools as
the ones before it leave them, and the reason of each account that gets none. No node is asked.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isqrt

from bench.hot_path import AT_S, make_view
from bench.measure import Result
from bench.synthetic import token
from keeper.domain.plans import Fees
from keeper.domain.units import Address
from keeper.estimate.gas import GasMemory
from keeper.estimate.planner import Planner
from keeper.estimate.settings import EstimateSettings
from keeper.estimate.situation import Situation
from keeper.lending.aave_v3.positions import BookPositions
from keeper.lending.aave_v3.view import AaveV3View
from keeper.lending.book.book import Book
from keeper.lending.book.rows import Row
from keeper.venues.pools import Pool
from keeper.venues.tick_math import tick_at
from keeper.venues.uniswap_v2 import V2Pool
from keeper.venues.uniswap_v3 import V3Pool
from keeper.venues.view import BookView, RouteIndex

_ACCOUNTS = 2_350
_DEBTS = (0, 1, 2, 3)
_COLLATERALS = (4, 5, 6, 7, 8, 9)
_HUBS = (0, 1)
_ROUNDS = 7
_LIMIT_S = 1.0
_FEES = Fees(fee_cap_wei=2 * 10**9, tip_wei=0, expected_wei=10**9)


@dataclass(frozen=True, slots=True)
class _Planned:
    plans: int
    first_s: float
    all_s: float
    rejected: int


def run() -> Iterator[Result]:
    """Measure how long all plans of one burst take, and when the first is there."""
    situation = _situation()
    (view,) = situation.markets.values()
    settings = EstimateSettings(chain_id=1)
    found = len(view.unhealthy(AT_S))
    gc.collect()
    gc.freeze()
    rounds = [_plan_all(situation, settings) for _ in range(_ROUNDS)]
    taken = statistics.median(each.all_s for each in rounds)
    first = statistics.median(each.first_s for each in rounds)
    yield Result(
        name=f"B13 burst of {found:,} accounts planned",
        ours_s=taken,
        theirs_s=None,
        target=f"<= {_LIMIT_S:.0f} s",
        met=taken <= _LIMIT_S,
        note=f"{rounds[0].plans} plans, {rounds[0].rejected} rejections, the first plan after {1000 * first:.0f} ms;"
        f" {1000 * min(each.all_s for each in rounds):.0f} to {1000 * max(each.all_s for each in rounds):.0f} ms",
    )


def _plan_all(situation: Situation, settings: EstimateSettings) -> _Planned:
    planner = Planner(situation, settings, GasMemory())
    plans, first_s = 0, 0.0
    began = time.perf_counter()
    while (plan := planner.next_plan()) is not None:
        first_s = first_s or time.perf_counter() - began
        planner.accept(plan)
        plans += 1
    rejected = len(planner.rejections())
    return _Planned(plans, first_s, time.perf_counter() - began, rejected)


def _situation() -> Situation:
    view = _market()
    pools = {pool.address: pool for pool in _pools(view)}
    return Situation(
        head=view.head,
        inclusion_s=AT_S,
        markets={view.name: view},
        venues=BookView(pools, RouteIndex(pools.values(), [token(1, hub) for hub in _HUBS])),
        feeds={},
        fees=_FEES,
        native_price_base=2_000 * 10**8,
    )


def _market() -> AaveV3View:
    """Ten reserves and their accounts, of which interest leaves about 2,000 under water."""
    view = make_view(0)
    dice, known = random.Random(13), view.reserves
    book = Book(0, "")
    for _ in range(_ACCOUNTS):
        dollars = int(min(max(dice.lognormvariate(8.5, 1.3), 300), 500_000))
        held = dice.sample(_COLLATERALS, dice.choice((1, 1, 2)))
        owed = dice.sample(_DEBTS, dice.choice((1, 1, 2)))
        limit = sum(known[id_].threshold_bps for id_ in held) * dollars // (10_000 * len(held))
        debt = int(limit * dice.uniform(1.001, 1.12))
        supplied = [(id_, _raw(view, id_, dollars // len(held))) for id_ in held]
        borrowed = [(id_, _raw(view, id_, debt // len(owed))) for id_ in owed]
        book.put(book.number(dice.randbytes(20)), Row(0, tuple(sorted(supplied)), tuple(sorted(borrowed)), ()))
    return replace(view, positions=BookPositions(book, book.now))


def _raw(view: AaveV3View, id_: int, dollars: int) -> int:
    """So many dollars in the scaled units of a reserve, near enough."""
    reserve = view.reserves[id_]
    return dollars * reserve.unit * 10**8 // (reserve.price_base or 1) + 1


def _pools(view: AaveV3View) -> Iterator[Pool]:
    """Every token against two of them, between two and forty million dollars a side."""
    dice = random.Random(14)
    for number in (*_DEBTS, *_COLLATERALS):
        for hub in (hub for hub in _HUBS if hub != number):
            low, high = sorted((token(1, number), token(1, hub)), key=str.lower)
            yield _product(number, low, high, _sides(view, low, high, dice.randrange(2_000_000, 40_000_000)))
            yield _ranges(number, low, high, _sides(view, low, high, dice.randrange(2_000_000, 40_000_000)))


def _sides(view: AaveV3View, low: Address, high: Address, dollars: int) -> tuple[int, int]:
    """So many dollars of both tokens, at the oracle's prices."""
    one, other = (dollars * 10 ** (view.decimals(each) + 8) // (view.price_base(each) or 1) for each in (low, high))
    return one, other


def _product(number: int, low: Address, high: Address, sides: tuple[int, int]) -> V2Pool:
    return V2Pool(
        factory=token(8, 0),
        address=token(9, number << 8 | int(high[-2:], 16)),
        token0=low,
        token1=high,
        fee_pips=3_000,
        reserve0=sides[0],
        reserve1=sides[1],
    )


def _ranges(number: int, low: Address, high: Address, sides: tuple[int, int]) -> V3Pool:
    price = isqrt((sides[1] << 192) // sides[0])
    tick = tick_at(price)
    near, liquidity = tick // 60 * 60, isqrt(sides[0] * sides[1])
    return V3Pool(
        factory=token(8, 1),
        address=token(10, number << 8 | int(high[-2:], 16)),
        token0=low,
        token1=high,
        fee_pips=3_000,
        tick_spacing=60,
        sqrt_price_x96=price,
        tick=tick,
        liquidity=2 * liquidity,
        ticks=(near - 6_000, near - 600, near + 660, near + 6_000),
        nets=(liquidity, liquidity, -liquidity, -liquidity),
    )
