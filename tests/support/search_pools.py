"""A second reading of the pools' arithmetic, from the description of the contracts, for the searches.

It shares no line with `keeper.venues`: what both say is held against the deployed contracts.
`exact` answers are the contract's integers; `guess` answers are floats over whole arrays of
amounts, for grids whose best points are then looked at exactly.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from keeper.domain.swaps import Hop
from keeper.domain.units import Address
from keeper.venues.pools import Pool as KeeperPool
from keeper.venues.uniswap_v2 import V2Pool
from keeper.venues.uniswap_v3 import V3Pool

Floats = NDArray[np.float64]
_MILLION = 1_000_000
_Q96 = 1 << 96
_TOP_TICK = 887_272
_WORD = 256


def _root_factors() -> list[int]:
    """sqrt(1.0001 ** -(2 ** bit)) with 128 binary places, to the nearest: the contract's constants."""
    with localcontext() as context:
        context.prec = 120
        base, one = Decimal("1.0001"), Decimal(1 << 128)
        roots = [one / (base ** (1 << bit)).sqrt() for bit in range(20)]
        return [int(root.to_integral_value(rounding=ROUND_HALF_UP)) for root in roots]


_ROOTS = _root_factors()


@cache
def root_at(tick: int) -> int:
    """The square root of the price at `tick`, times 2 ** 96, rounded up to the last binary place kept."""
    ratio = 1 << 128
    for bit, factor in enumerate(_ROOTS):
        if abs(tick) >> bit & 1:
            ratio = (ratio * factor) >> 128
    if tick > 0:
        ratio = ((1 << 256) - 1) // ratio
    return -(-ratio // (1 << 32))


_FLOOR, _CEILING = root_at(-_TOP_TICK), root_at(_TOP_TICK)


@dataclass(frozen=True, slots=True)
class Product:
    """A constant-product pair: what it holds of each token, and its fee in pips."""

    address: Address
    tokens: tuple[Address, Address]
    held: tuple[int, int]
    fee: int

    def exact(self, token: Address, amount: int) -> tuple[int, Product] | None:
        """(paid out, the pair afterwards); None where the pair would revert."""
        side = self.tokens.index(token)
        into, out_of = self.held[side], self.held[1 - side]
        net = amount * (_MILLION - self.fee)
        if amount <= 0 or into == 0 or into + amount >= 1 << 112:
            return None
        paid = net * out_of // (into * _MILLION + net)
        if paid == 0:
            return None
        held = (into + amount, out_of - paid) if side == 0 else (out_of - paid, into + amount)
        return paid, Product(self.address, self.tokens, held, self.fee)

    def guess(self, token: Address, amounts: Floats) -> Floats:
        side = self.tokens.index(token)
        into, out_of = float(self.held[side]), float(self.held[1 - side])
        net = amounts * (1 - self.fee / _MILLION)
        return out_of * net / (into + net)


@dataclass(frozen=True, slots=True)
class Ranges:
    """A pool of liquidity in ranges: root price (2 ** 96), liquidity in range, and what each tick adds.

    `known_tick` is None where the root price tells the tick.
    """

    address: Address
    tokens: tuple[Address, Address]
    fee: int
    spacing: int
    root: int
    known_tick: int | None
    liquidity: int
    ticks: tuple[int, ...]
    nets: Mapping[int, int]

    @property
    def tick(self) -> int:
        """The present tick."""
        return _tick_of(self.root) if self.known_tick is None else self.known_tick

    def exact(self, token: Address, amount: int) -> tuple[int, Ranges] | None:
        """(paid out, the pool afterwards); None where it cannot take the whole amount."""
        down = token == self.tokens[0]
        root, tick, liquidity, left, paid = self.root, self.tick, self.liquidity, amount, 0
        last = _FLOOR + 1 if down else _CEILING - 1
        if amount <= 0:
            return None
        moved = False
        while left and root != last:
            stop, initialised = self._next_tick(tick, down=down, any_word=liquidity == 0)
            at_stop = root_at(stop)
            aim = max(at_stop, last) if down else min(at_stop, last)
            step = _step_down if down else _step_up
            ends, spent, got = step(root, aim, liquidity, left, self.fee)
            left, paid = left - spent, paid + got
            if ends == at_stop:
                if initialised:
                    liquidity += -self.nets[stop] if down else self.nets[stop]
                tick = stop - 1 if down else stop
            moved = ends not in {at_stop, root}
            root = ends
        if left:
            return None
        known = None if moved else tick
        after = Ranges(self.address, self.tokens, self.fee, self.spacing, root, known, liquidity, self.ticks, self.nets)
        return paid, after

    def _next_tick(self, tick: int, *, down: bool, any_word: bool) -> tuple[int, bool]:
        """The next initialised tick within the present word of the bitmap, or the word's edge.

        `any_word` looks beyond the word: without liquidity nothing is exchanged, nor rounded, on the way.
        """
        place = tick // self.spacing
        word = place // _WORD if down else (place + 1) // _WORD
        edge = (word * _WORD if down else (word + 1) * _WORD - 1) * self.spacing
        index = bisect_right(self.ticks, tick) - (1 if down else 0)
        if 0 <= index < len(self.ticks):
            found = self.ticks[index]
            if any_word or (found >= edge if down else found <= edge):
                return found, True
        if any_word:
            edge = -_TOP_TICK if down else _TOP_TICK
        return max(-_TOP_TICK, min(_TOP_TICK, edge)), False

    def guess(self, token: Address, amounts: Floats) -> Floats:
        table = _table(self, down=token == self.tokens[0])
        places = np.minimum(np.searchsorted(table.spent, amounts, side="right") - 1, len(table.roots) - 1)
        root, depth = table.roots[places], table.depths[places]
        net = (amounts - table.spent[places]) * (1 - self.fee / _MILLION)
        if token == self.tokens[0]:
            moved = net * root / depth
            got = depth * root * moved / (1 + moved)
        else:
            got = net / (root * (root + net / depth))
        return np.where(amounts <= table.most, table.paid[places] + got, -np.inf)


Pool = Product | Ranges


def _step_down(root: int, aim: int, liquidity: int, left: int, fee: int) -> tuple[int, int, int]:
    """Sell token 0 from `root` towards `aim`: (where it ends, spent with the fee, got)."""
    most = _ceil(_ceil((liquidity << 96) * (root - aim), root), aim)
    net = left * (_MILLION - fee) // _MILLION
    if net >= most:
        return aim, most + _ceil(most * fee, _MILLION - fee), liquidity * (root - aim) >> 96
    depth = liquidity << 96
    if depth + net * root < 1 << 256:
        ends = _ceil(depth * root, depth + net * root)
    else:
        ends = _ceil(depth, depth // root + net)
    return ends, left, liquidity * (root - ends) >> 96


def _step_up(root: int, aim: int, liquidity: int, left: int, fee: int) -> tuple[int, int, int]:
    """Sell token 1 from `root` towards `aim`."""
    most = _ceil(liquidity * (aim - root), _Q96)
    net = left * (_MILLION - fee) // _MILLION
    if net >= most:
        ends, spent = aim, most + _ceil(most * fee, _MILLION - fee)
    else:
        ends, spent = root + (net << 96) // liquidity, left
    return ends, spent, (liquidity << 96) * (ends - root) // ends // root


def _ceil(value: int, by: int) -> int:
    return -(-value // by)


@lru_cache(maxsize=1 << 16)
def _tick_of(root: int) -> int:
    """The greatest tick whose root price is not above `root`, by halving."""
    low, high = -_TOP_TICK, _TOP_TICK
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if root_at(middle) <= root else (low, middle - 1)
    return low


@dataclass(frozen=True, slots=True)
class _Table:
    """One direction of a pool, segment by segment: spent and paid before it, its root price and liquidity."""

    spent: Floats
    paid: Floats
    roots: Floats
    depths: Floats
    most: float


_TABLES: dict[tuple[int, bool], tuple[Ranges, _Table]] = {}


def _table(pool: Ranges, *, down: bool) -> _Table:
    known = _TABLES.get((id(pool), down))
    if known is not None and known[0] is pool:
        return known[1]
    if len(_TABLES) > 256:
        _TABLES.clear()
    made = _make_table(pool, down=down)
    _TABLES[id(pool), down] = (pool, made)
    return made


def _make_table(pool: Ranges, *, down: bool) -> _Table:
    ticks = sorted(pool.nets)
    ahead = [each for each in reversed(ticks) if each <= pool.tick] if down else [e for e in ticks if e > pool.tick]
    edge = -_TOP_TICK if down else _TOP_TICK
    root, liquidity = pool.root / _Q96, float(pool.liquidity)
    spent = paid = 0.0
    rows: list[tuple[float, float, float, float]] = []
    for tick in [*ahead, edge]:
        stop = root_at(tick) / _Q96
        if liquidity > 0:
            rows.append((spent, paid, root, liquidity))
            net = liquidity * (1 / stop - 1 / root) if down else liquidity * (stop - root)
            spent += net / (1 - pool.fee / _MILLION)
            paid += liquidity * (root - stop) if down else liquidity * (1 / root - 1 / stop)
        root = stop
        liquidity += (-1 if down else 1) * pool.nets.get(tick, 0)
    columns = [np.array(column, dtype=np.float64) for column in zip(*(rows or [(0.0, 0.0, 1.0, 1.0)]), strict=True)]
    return _Table(columns[0], columns[1], columns[2], columns[3], spent if rows else -1.0)


def own_pools(pools: Iterable[KeeperPool]) -> dict[Address, Pool]:
    """The keeper's pools as the searches see them: the same states, this module's arithmetic."""
    return {pool.address: _own(pool) for pool in pools}


def _own(pool: KeeperPool) -> Pool:
    tokens = (pool.token0, pool.token1)
    if isinstance(pool, V2Pool):
        return Product(pool.address, tokens, (pool.reserve0, pool.reserve1), pool.fee_pips)
    assert isinstance(pool, V3Pool)
    return Ranges(
        address=pool.address,
        tokens=tokens,
        fee=pool.fee_pips,
        spacing=pool.tick_spacing,
        root=pool.sqrt_price_x96,
        known_tick=pool.tick,
        liquidity=pool.liquidity,
        ticks=pool.ticks,
        nets=dict(zip(pool.ticks, pool.nets, strict=True)),
    )


Route = tuple[Hop, ...]
Pools = Mapping[Address, Pool]


def find_routes(pools: Iterable[KeeperPool], token_in: Address, token_out: Address, most_hops: int = 3) -> list[Route]:
    """Every way from one token to another that enters no token twice, over any token, shortest first."""
    hops = [
        Hop(
            venue=pool.venue,
            factory=pool.factory,
            pool=pool.address,
            token_in=one,
            token_out=other,
            fee_pips=pool.fee_pips,
        )
        for pool in pools
        for one, other in ((pool.token0, pool.token1), (pool.token1, pool.token0))
    ]
    found: list[Route] = []
    paths: list[Route] = [(hop,) for hop in hops if hop.token_in == token_in]
    for _ in range(most_hops):
        found += [path for path in paths if path[-1].token_out == token_out]
        paths = [
            (*path, hop)
            for path in paths
            if path[-1].token_out != token_out
            for hop in hops
            if hop.token_in == path[-1].token_out and hop.token_out not in {token_in, *(e.token_out for e in path)}
        ]
    return found
