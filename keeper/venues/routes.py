"""Which routes there are between two tokens: found once for a set of pools, whatever their prices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise, permutations, product
from typing import Final

from keeper.domain.swaps import Hop, Route
from keeper.domain.units import Address
from keeper.venues.pools import Pool

_LONG_HUBS: Final = 4
"""Routes of three hops go through this many hubs: those with the most pools."""
_LONG_POOLS: Final = 3
"""Each hop of a route with several hops has this many pools to choose from: the deepest."""

_FALL_SHIFT: Final = 6

Side = tuple[Address, Address]


class RouteIndex:
    """Routes of up to three hops; made anew when pools come or go.

    All pools between the two tokens themselves; else, for each hop, the deepest few, through one
    hub or through two of the best connected hubs.
    """

    def __init__(self, pools: Iterable[Pool], hub_tokens: Iterable[Address]) -> None:
        self._sides = _group_by_side(pools)
        linked = Counter(token_in for (token_in, _), found in self._sides.items() for _ in found)
        self._hubs = tuple(sorted(set(hub_tokens)))
        self._by_links = sorted(self._hubs, key=lambda token: (-linked[token], token))
        self._hops: dict[Side, tuple[Hop, ...]] = {}
        self._known: dict[Side, tuple[Route, ...]] = {}

    def routes(self, token_in: Address, token_out: Address) -> tuple[Route, ...]:
        """Return routes in order of their hops, no pool twice in one; one empty route for equal tokens."""
        known = self._known.get((token_in, token_out))
        if known is None:
            known = ((),) if token_in == token_out else self._find(token_in, token_out)
            self._known[token_in, token_out] = known
        return known

    def _find(self, token_in: Address, token_out: Address) -> tuple[Route, ...]:
        ends = (token_in, token_out)
        single = [hub for hub in self._hubs if hub not in ends]
        double = permutations([hub for hub in self._by_links if hub not in ends][:_LONG_HUBS], 2)
        stops = [(hub,) for hub in single] + list(double)
        direct = [(hop,) for hop in self._between(ends)]
        longer = [route for between in stops for route in self._through((token_in, *between, token_out))]
        return (*direct, *longer)

    def _through(self, tokens: tuple[Address, ...]) -> Iterable[Route]:
        # tokens differ, so the pools do
        return product(*(self._between(side)[:_LONG_POOLS] for side in pairwise(tokens)))

    def _between(self, side: Side) -> tuple[Hop, ...]:
        """Return the hops from one token to another, the pool that takes most first."""
        known = self._hops.get(side)
        if known is None:
            ranked = sorted(self._sides.get(side, ()), key=lambda pool: (-_room(pool, side[0]), pool.address))
            known = self._hops[side] = tuple(_hop(pool, side) for pool in ranked)
        return known


def _group_by_side(pools: Iterable[Pool]) -> dict[Side, list[Pool]]:
    sides: dict[Side, list[Pool]] = {}
    for pool in pools:
        for side in ((pool.token0, pool.token1), (pool.token1, pool.token0)):
            sides.setdefault(side, []).append(pool)
    return sides


def _room(pool: Pool, token_in: Address) -> int:
    """Return about how much the pool takes before its price has fallen by some three in a hundred."""
    curve = pool.curve(token_in)
    return curve.in_at(curve.start_level - (curve.start_level >> _FALL_SHIFT))


def _hop(pool: Pool, side: Side) -> Hop:
    return Hop(
        venue=pool.venue,
        factory=pool.factory,
        pool=pool.address,
        token_in=side[0],
        token_out=side[1],
        fee_pips=pool.fee_pips,
    )


class ShortRoutes:
    """Of the routes of an index those of the fewest hops: sales of different tokens hardly meet on them."""

    def __init__(self, index: RouteIndex) -> None:
        self._index = index

    def routes(self, token_in: Address, token_out: Address) -> tuple[Route, ...]:
        """Return the routes of the fewest hops between two tokens."""
        found = self._index.routes(token_in, token_out)
        return tuple(route for route in found if len(route) == len(found[0]))
