"""B12: one account sized, with pairs, split sales and sequences.

Pools of two kinds between five tokens, three of them hubs; accounts as markets have them: most have one
debt and one collateral, some two of either. All are unhealthy, by little and by much. The market's rules
are those of 3.0 and of 3.3, whose close factors open sequences in different ways.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Iterator

from bench.measure import Result
from bench.synthetic import NOW_S, market, reserves, token
from keeper.domain.lending import Health
from keeper.domain.units import Address, to_address
from keeper.estimate.gas import GasMemory, GasPrice
from keeper.estimate.scene import Choice, Scene
from keeper.estimate.sizing import size
from keeper.lending.aave_v3.state import Position
from keeper.venues.pools import Pool
from keeper.venues.routes import RouteIndex
from keeper.venues.tick_math import tick_at
from keeper.venues.uniswap_v2 import V2Pool
from keeper.venues.uniswap_v3 import V3Pool
from keeper.venues.view import BookView

_ASSETS = (0, 1, 2, 3, 4)
_COLLATERALS, _DEBTS = (0, 1, 2), (3, 4)
_ACCOUNTS = 120
_ROUNDS = 3
_AT_S = NOW_S + 12
_DEPTH_USD = 20_000_000
_KINDS = {(1, 1): 60, (2, 1): 20, (1, 2): 15, (2, 2): 5}
"""(collaterals, debts) of an account: so many in a hundred."""
_LIMIT_S = 0.002


def run() -> Iterator[Result]:
    """Size each account once the pools' curves are known, as in a daemon that has seen a head before.

    Each account's time is its best of a few rounds, the figure the median of all accounts.
    """
    for revision in (1, 7):
        yield _sized(revision)


def _sized(revision: int) -> Result:
    scene, healths = make_scene(revision, _ACCOUNTS)
    best: dict[Address, float] = {}
    choices: dict[Address, Choice] = {}
    for _ in range(_ROUNDS + 1):  # the first one makes the curves
        gc.collect()
        gc.freeze()  # as the daemon does after loading
        for health in healths:
            began = time.perf_counter()
            choice = size(scene, health, "max-profit", 10**18)
            elapsed_s = time.perf_counter() - began
            if isinstance(choice, Choice):
                best[health.account] = min(elapsed_s, best.get(health.account, elapsed_s))
                choices[health.account] = choice
    taken = list(best.values())
    steps = [len(each.steps) for each in choices.values()]
    legs = [len(each.legs) for each in choices.values()]
    median_s, p95_s = statistics.median(taken), statistics.quantiles(taken, n=20)[-1]
    many, split = sum(each > 1 for each in steps), sum(each > 1 for each in legs)
    return Result(
        name=f"B12 one account sized, revision {revision}",
        ours_s=median_s,
        theirs_s=None,
        target=f"p50 <= {1000 * _LIMIT_S:.0f} ms",
        met=median_s <= _LIMIT_S,
        note=f"p95 {1000 * p95_s:.1f} ms, longest {1000 * max(taken):.0f} ms; of {len(steps)} runs "
        f"{many} are sequences, {split} sell along several routes",
    )


def make_scene(revision: int, accounts: int) -> tuple[Scene, list[Health]]:
    """Return the pools and unhealthy accounts; the same ones for the same arguments."""
    dice = random.Random(revision)
    known = reserves()
    positions: dict[Address, Position] = {}
    kinds = dice.choices(list(_KINDS), list(_KINDS.values()), k=accounts)
    for collaterals, debts in kinds:
        usd = int(10 ** dice.uniform(3.5, 5.3))
        held = dice.sample(_COLLATERALS, collaterals)
        owed = dice.sample(_DEBTS, debts)
        threshold = max(known[id_].threshold_bps for id_ in held)
        owed_usd = usd * threshold // 10_000 * dice.randrange(101, 112) // 100
        positions[to_address(dice.randbytes(20))] = Position(
            emode=0,
            collaterals=tuple(sorted((id_, _scaled(id_, usd // collaterals, owed=False)) for id_ in held)),
            debts=tuple(sorted((id_, _scaled(id_, owed_usd // debts, owed=True)) for id_ in owed)),
        )
    view = market(revision, dict(sorted(positions.items())))
    scene = Scene(
        view=view,
        venues=_pools(dice),
        at_s=_AT_S,
        balances={},
        gas=GasPrice(wei_per_gas=10**9, native_price_base=3_000 * 10**8),
        memory=GasMemory(),
    )
    return scene, view.unhealthy(_AT_S)


def _pools(dice: random.Random) -> BookView:
    """A constant-product and a concentrated pool between any two of the tokens."""
    pools: list[Pool] = []
    for one in _ASSETS:
        for other in range(one + 1, len(_ASSETS)):
            low, high = sorted((one, other), key=lambda id_: token(1, id_).lower())
            depth_usd = int(_DEPTH_USD * dice.uniform(0.2, 3))
            sides = _raw(low, depth_usd), _raw(high, depth_usd)
            tokens = {"token0": token(1, low), "token1": token(1, high)}
            place = 2 * (one * len(_ASSETS) + other)
            pools.append(
                V2Pool(
                    factory=token(8, 0),
                    address=token(9, place),
                    **tokens,
                    fee_pips=3_000,
                    reserve0=sides[0],
                    reserve1=sides[1],
                )
            )
            pools.append(_concentrated(tokens, sides, place + 1))
    return BookView({pool.address: pool for pool in pools}, RouteIndex(pools, [token(1, id_) for id_ in _ASSETS[:3]]))


def _concentrated(tokens: dict[str, Address], sides: tuple[int, int], place: int) -> V3Pool:
    price_x96 = int((sides[1] / sides[0]) ** 0.5 * 2**96)
    tick = tick_at(price_x96)
    near, liquidity = tick // 60 * 60, int((sides[0] * sides[1]) ** 0.5)
    return V3Pool(
        factory=token(8, 1),
        address=token(9, place),
        **tokens,
        fee_pips=3_000,
        tick_spacing=60,
        sqrt_price_x96=price_x96,
        tick=tick,
        liquidity=6 * liquidity,
        ticks=(near - 6_000, near - 600, near + 600, near + 6_000),
        nets=(liquidity, 5 * liquidity, -5 * liquidity, -liquidity),
    )


def _raw(id_: int, usd: int) -> int:
    reserve = reserves()[id_]
    return usd * reserve.unit * 10**8 // (reserve.price_base or 1)


def _scaled(id_: int, usd: int, *, owed: bool) -> int:
    reserve = reserves()[id_]
    return _raw(id_, usd) * 10**27 // (reserve.debt_index_ray if owed else reserve.liquidity_index_ray)
