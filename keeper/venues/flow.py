"""Several routes at once: how an amount is best divided among them, with a pool they share counted once.

Routes that share no pool stand side by side; routes that begin (or end) in the same pool branch
behind (or before) it. Each such arrangement is one curve, and selling down that curve is the best division.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from keeper.domain.swaps import Hop, Route
from keeper.domain.units import Address
from keeper.venues.curve import Curve, in_parallel, in_series

CurveOf = Callable[[Hop], Curve]
"""The curve of one hop."""
Parts = list[tuple[Route, int]]
"""Routes and what each sells, in the order in which they run, amounts with the binary places of curves."""


class Flow(Protocol):
    """An arrangement of routes that is one curve. Amounts have the binary places of curves."""

    @property
    def curve(self) -> Curve:
        """What the whole arrangement pays."""

    def out_at(self, amount_in: int) -> int | None:
        """Return what an amount brings; None when it is too much."""

    def level_at(self, amount_in: int) -> int | None:
        """Return the level once an amount is sold; None when it is too much."""

    def parts(self, amount_in: int) -> Parts:
        """Return the best division of an amount that the curve takes."""

    def levels(self, amount_in: int) -> dict[Address, int]:
        """Return the level of each pool after that."""


class _OnCurve:
    """What its curve says of an arrangement."""

    __slots__ = ()
    curve: Curve

    def out_at(self, amount_in: int) -> int | None:
        """Return what an amount brings; None when it is too much."""
        return self.curve.out_at(amount_in)

    def level_at(self, amount_in: int) -> int | None:
        """Return the level once an amount is sold; None when it is too much."""
        return self.curve.level_at(amount_in)


@dataclass(frozen=True, slots=True)
class Pass(_OnCurve):
    """One pool."""

    hop: Hop
    curve: Curve

    def parts(self, amount_in: int) -> Parts:
        """Return the one part there is."""
        return [((self.hop,), amount_in)]

    def levels(self, amount_in: int) -> dict[Address, int]:
        """Return the level of the one pool, 0 beyond its end."""
        return {self.hop.pool: self.curve.level_at(amount_in) or 0}


@dataclass(frozen=True, slots=True)
class Chain(_OnCurve):
    """One arrangement that sells what another brings: `rest` is one pool, or `first` is made of pools side by side."""

    first: Flow
    rest: Flow
    curve: Curve

    def parts(self, amount_in: int) -> Parts:
        """Return as few parts as carry what each side takes."""
        parts = self.first.parts(amount_in)
        between = self.rest.parts(self._between(amount_in))
        if not between:  # too little to bring a unit of the token between
            return []
        if len(between) == 1:
            return [(route + between[0][0], amount) for route, amount in parts]
        passes = self.first.branches if isinstance(self.first, Fork) else [self.first]
        curves = {each.hop.pool: each.curve for each in passes if isinstance(each, Pass)}
        # what is sold first meets who buys most: so pools that had better not be divided seldom are
        sellers = sorted(parts, key=lambda part: (curves[part[0][0].pool].is_divisible, part[1]))
        buyers = between if _share_pools(between) else sorted(between, key=lambda part: -part[1])
        return _join([(route, amount, curves[route[0].pool]) for route, amount in sellers], buyers)

    def levels(self, amount_in: int) -> dict[Address, int]:
        """Return the levels of both."""
        return self.first.levels(amount_in) | self.rest.levels(self._between(amount_in))

    def _between(self, amount_in: int) -> int:
        return self.first.curve.out_at(amount_in) or 0


@dataclass(frozen=True, slots=True)
class Fork(_OnCurve):
    """Arrangements without a pool in common."""

    branches: Sequence[Flow]
    curve: Curve

    def parts(self, amount_in: int) -> Parts:
        """Return the parts of all branches, one at least; what rounding leaves goes with the first."""
        shares = self._shares(amount_in)
        shares[0] += amount_in - sum(shares)
        used = [(branch, share) for branch, share in zip(self.branches, shares, strict=True) if share > 0]
        return [part for branch, share in used or [(self.branches[0], amount_in)] for part in branch.parts(share)]

    def levels(self, amount_in: int) -> dict[Address, int]:
        """Return the levels of all branches."""
        levels: dict[Address, int] = {}
        for branch, share in zip(self.branches, self._shares(amount_in), strict=True):
            levels |= branch.levels(share)
        return levels

    def _shares(self, amount_in: int) -> list[int]:
        level = self.curve.level_at(amount_in) or 0
        return [branch.curve.in_at(level) for branch in self.branches]


def _share_pools(parts: Parts) -> bool:
    return len({route[0].pool for route, _ in parts}) < len(parts)


def _join(sellers: Sequence[tuple[Route, int, Curve]], buyers: Parts) -> Parts:
    """Lead what each of `sellers` brings to the next of `buyers` that still wants something."""
    joined: Parts = []
    waiting = list(reversed(buyers))
    for route, amount, curve in sellers:
        sold = brought = 0
        while len(waiting) > 1:
            buyer, wanted = waiting[-1]
            until = min(curve.in_for(brought + wanted), amount)
            if until == amount:
                waiting[-1] = (buyer, wanted - ((curve.out_at(amount) or 0) - brought))
                break
            joined.append((route + buyer, until - sold))
            sold, brought = until, brought + wanted
            waiting.pop()
        joined.append((route + waiting[-1][0], amount - sold))
    return joined


Lines = dict[tuple[Address, ...], Flow]
"""Single routes known already, by their pools."""


def arrange(routes: Sequence[Route], curve_of: CurveOf, lines: Lines) -> Flow | None:
    """Return the arrangement of different routes between the same tokens; None when they cross otherwise."""
    if len(routes) == 1:
        return line(routes[0], curve_of, lines)
    groups = _connected(routes)
    if len(groups) > 1:
        branches = [arrange(group, curve_of, lines) for group in groups]
        known = [branch for branch in branches if branch is not None]
        return None if len(known) < len(branches) else _fork(known)
    if min(map(len, routes)) < 2:
        return None
    first, last = routes[0][0], routes[0][-1]
    if all(route[0].pool == first.pool for route in routes):
        rest = arrange([route[1:] for route in routes], curve_of, lines)
        return None if rest is None else _chain(Pass(first, curve_of(first)), rest)
    if all(route[-1].pool == last.pool for route in routes):
        start = arrange([route[:-1] for route in routes], curve_of, {})
        return None if start is None else _chain(start, Pass(last, curve_of(last)))
    return _lattice(routes, curve_of) if len({_tokens(route) for route in routes}) == 1 else None


def spread(routes: Sequence[Route], curve_of: CurveOf) -> Flow:
    """Return the widest arrangement of many routes: all through the same tokens, beside others that share no step.

    Of token paths that have a step in common the one that comes first is taken.
    """
    paths: dict[tuple[Address, ...], list[Route]] = {}
    for route in routes:
        paths.setdefault(_tokens(route), []).append(route)
    taken: set[tuple[Address, Address]] = set()
    branches = []
    for members in paths.values():
        steps = {(hop.token_in, hop.token_out) for hop in members[0]}
        if taken.isdisjoint(steps):
            taken |= steps | {(after, before) for before, after in steps}
            branches.append(_lattice(members, curve_of))
    return branches[0] if len(branches) == 1 else _fork(branches)


def line(route: Route, curve_of: CurveOf, lines: Lines) -> Flow:
    """Return a single route."""
    pools = tuple(hop.pool for hop in route)
    known = lines.get(pools)
    if known is None:
        known = Pass(route[0], curve_of(route[0]))
        if len(route) > 1:
            known = _chain(known, line(route[1:], curve_of, lines))
        lines[pools] = known
    return known


def _lattice(routes: Sequence[Route], curve_of: CurveOf) -> Flow:
    """Return routes through the same tokens as one row of pools after another."""
    rows: list[Flow] = []
    for hops in zip(*routes, strict=True):
        passes = [Pass(hop, curve_of(hop)) for hop in {hop.pool: hop for hop in hops}.values()]
        rows.append(passes[0] if len(passes) == 1 else _fork(passes))
    flow = rows[-1]
    for row in reversed(rows[:-1]):
        flow = _chain(row, flow)
    return flow


def _fork(branches: Sequence[Flow]) -> Flow:
    return Fork(branches, in_parallel([branch.curve for branch in branches]))


def _chain(first: Flow, rest: Flow) -> Flow:
    return Chain(first, rest, in_series(first.curve, rest.curve))


def _tokens(route: Route) -> tuple[Address, ...]:
    return tuple(hop.token_out for hop in route)


def _connected(routes: Sequence[Route]) -> list[list[Route]]:
    """Group routes that share pools, also through others, in the order given."""
    groups: list[tuple[set[Address], list[Route]]] = []
    for route in routes:
        pools = {hop.pool for hop in route}
        merged: list[Route] = []
        apart = []
        for group in groups:
            if group[0].isdisjoint(pools):
                apart.append(group)
            else:
                pools |= group[0]
                merged += group[1]
        groups = [*apart, (pools, [*merged, route])]
    return [members for _, members in groups]
