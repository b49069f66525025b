"""Every account at once, in floats: who may be unhealthy, and who certainly is not.

A leg's value is its scaled amount times a weight, a rational number that the protocol's rules give
for (asset, category). An account may be unhealthy unless

    sum of collateral weights * (1 - EPSILON) * amounts > sum of debt weights * amounts + slack

The protocol proves that this holds for every account it would call unhealthy if all arithmetic
were exact; `slack` bounds its integer roundings. What is left is float error: converting an amount,
converting a weight, taking EPSILON off it and multiplying them each err by at most u = 2**-53 in
relative terms, and adding n non-negative terms by (n - 1) u more. With at most 256 legs that is
below 260 u < 3e-14 on either
side, so EPSILON = 1e-12 on one side covers both. A weight below zero has to be
given with a margin of its own, a billionth of it, which covers its share of the error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keeper.lending.book.columns import Group
from keeper.lending.book.rows import MOST_ASSETS

EPSILON: Final = 1e-12
_BLOCK: Final = 65_536  # rows at a time: the buffers stay in the second-level cache

Ratio = tuple[int, int]
"""A weight as (numerator, denominator)."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What one scaled unit is worth, by leg key; NaN where there is no price."""

    collateral: Floats
    debt: Floats
    slack_per_leg: float


def make_weights(
    collateral: Mapping[int, Ratio | None], debt: Mapping[int, Ratio | None], *, slack_per_leg: Ratio
) -> Weights:
    """Return weights by leg key (see `rows.leg_key`). None stands for a missing price."""
    up, down = slack_per_leg
    return Weights(
        collateral=_table(collateral) * (1 - EPSILON),
        debt=_table(debt),
        slack_per_leg=up / down * (1 + EPSILON),
    )


def _table(ratios: Mapping[int, Ratio | None]) -> Floats:
    # One entry more than there are keys: a key beyond them is clipped to it, and it is NaN.
    table = [nan] * (max(ratios, default=0) + 2)
    for key, ratio in ratios.items():
        if ratio is not None:
            table[key] = ratio[0] / ratio[1]
    return np.array(table)


def find_candidates(groups: Sequence[Group], weights: Weights) -> list[int]:
    """Return the number of every account with debt that may be unhealthy, the largest debt first.

    Accounts with a leg that has no price are left out: their health is unknown.
    """
    numbers: list[NDArray[np.uint32]] = []
    owed: list[Floats] = []
    for group in groups:
        collaterals, debts, _ = group.shape
        slack = (collaterals + debts + 1) * weights.slack_per_leg
        for rows, supply, debt in _totals(group, weights):
            np.add(debt, slack, out=debt)
            flagged = (supply <= debt).nonzero()[0]
            if len(flagged):
                numbers.append(group.owners[rows][flagged])
                owed.append(debt[flagged])
    if not numbers:
        return []
    order = np.argsort(-np.concatenate(owed), kind="stable")
    found: list[int] = np.concatenate(numbers)[order].tolist()
    return found


def count_unpriced(groups: Sequence[Group], weights: Weights) -> int:
    """Return how many accounts with debt have a leg without a price."""
    return sum(
        int(np.count_nonzero(np.isnan(supply + debt)))
        for group in groups
        for _, supply, debt in _totals(group, weights)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Falls:
    """At which multiple of one asset's price accounts reach health 1, everything else standing still.

    `multiples` ascend. An estimate for forecasts: exact to about 1e-4 (the floored average) and
    blind to roundings; no decision rests on it.
    """

    multiples: Floats
    numbers: NDArray[np.uint32]

    def at(self, price_bps: int) -> list[int]:
        """Return the accounts that are unhealthy once the price is so many ten-thousandths of today's."""
        first = np.searchsorted(self.multiples, price_bps / 10_000, side="left")
        found: list[int] = self.numbers[first:].tolist()
        return found


def find_falls(groups: Sequence[Group], weights: Weights, asset: int) -> Falls:
    """Return the index of `asset`: every account with debt that a fall of its price can make unhealthy."""
    multiples: list[Floats] = []
    numbers: list[NDArray[np.uint32]] = []
    for group in groups:
        for rows, supply, debt in _totals(group, weights):
            mine = _margin_of(group, weights, rows, asset)
            # health 1 where supply + (m - 1) * mine = debt, `mine` being what the asset adds to supply less debt
            falling = np.flatnonzero(mine > 0)
            if len(falling):
                multiples.append(1 + (debt[falling] - supply[falling]) / mine[falling])
                numbers.append(group.owners[rows][falling])
    if not multiples:
        return Falls(multiples=np.empty(0), numbers=np.empty(0, np.uint32))
    joined = np.concatenate(multiples)
    order = np.argsort(joined, kind="stable")
    return Falls(multiples=joined[order], numbers=np.concatenate(numbers)[order])


def _totals(group: Group, weights: Weights) -> Iterator[tuple[slice, Floats, Floats]]:
    """Yield (rows, weighted collateral, debt) block by block; the arrays are reused by the next block."""
    collaterals, debts, _ = group.shape
    if not debts:
        return
    size = min(_BLOCK, group.count)
    supply, debt, scratch = np.empty(size), np.empty(size), np.empty(size)
    for start in range(0, group.count, _BLOCK):
        rows = slice(start, min(start + _BLOCK, group.count))
        used = rows.stop - start
        _add_up(group, weights.collateral, range(collaterals), rows, supply[:used], scratch[:used])
        _add_up(group, weights.debt, range(collaterals, collaterals + debts), rows, debt[:used], scratch[:used])
        yield rows, supply[:used], debt[:used]


def _add_up(group: Group, table: Floats, legs: range, rows: slice, total: Floats, scratch: Floats) -> None:
    if not legs:
        total[:] = 0
        return
    for leg in legs:
        out = total if leg == legs.start else scratch
        table.take(group.keys[leg, rows], out=out, mode="clip")  # see `_table`
        np.multiply(out, group.values[leg, rows], out=out)
        if out is scratch:
            np.add(total, scratch, out=total)


def _margin_of(group: Group, weights: Weights, rows: slice, asset: int) -> Floats:
    collaterals, debts, _ = group.shape
    margin = np.zeros(rows.stop - rows.start)
    for leg in range(collaterals + debts):
        keys = group.keys[leg, rows]
        table = weights.collateral if leg < collaterals else weights.debt
        part = np.where(keys % MOST_ASSETS == asset, table.take(keys, mode="clip") * group.values[leg, rows], 0.0)
        margin += part if leg < collaterals else -part
    return margin
