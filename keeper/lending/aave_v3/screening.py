"""The weights and the slack with which the screen never misses an unhealthy account, per revision.

For a leg of x = scaled * index / RAY raw units at price p and unit u, all real numbers, let v = x*p/u
be its value without any rounding, LT its threshold in bps, S = sum of v*LT, C = sum of v over
collateral, D = sum of v over debt.

Half-up revisions (to 3.4). The pool's balance lies within 1/2 of x and its value rounds down, so a
collateral's value is above v - p/2u - 1 and at most v + p/2u; a debt's at most v + p/2u. The average
threshold is floored to whole bps, hence above S'/C' - 1 (primes: the pool's sums), and what counts is
P = C' * average, halved up to 1/2 below: P >= (S' - C')/10**4 - 1/2. The health factor is below 1
only if P < D'. So an unhealthy account has

    sum of v*(LT - 1)/10**4 < D + sum over debts of p/2u + 1/2
                                + sum over collaterals of ((1 + p/2u)*LT + p/2u)/10**4

Directional revisions (3.5 on, and the bundled market). A balance is above x - 1 and its value rounds
down; a debt is below x + 1 and its value rounds up. The health factor is below 1 only if
S' < 10**4 * D'. So an unhealthy account has

    sum of v*LT/10**4 < D + sum over debts of (1 + p/u) + sum over collaterals of (1 + p/u)*LT/10**4

With m = max(p/u) and t = max(1, LT/10**4) over the market, (1 + m)*t bounds each leg's share in both
(in the first, (1 + p/2u)*LT/10**4 + p/2u/10**4 <= (1 + p/u)*t), and one share more bounds the 1/2.
Float error is covered in `book.screen`.

A threshold of 0 in a half-up e-mode gives the weight -1/10**4, which is given the margin the screen
asks for. A collateral that does not count (threshold 0 where one is required) weighs 0: it adds to
neither side.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from keeper.domain.units import BPS, RAY
from keeper.lending.aave_v3.rules.account import CollateralRow, Projection
from keeper.lending.book.rows import leg_key
from keeper.lending.book.screen import Ratio, Weights, make_weights

_BILLION: Final = 10**9


def compute_weights(projection: Projection, categories: Iterable[int]) -> Weights:
    """Return the screen's weights at the projection's time, for accounts of `categories` (0: none)."""
    collateral: dict[int, Ratio | None] = {}
    debt: dict[int, Ratio | None] = {}
    largest: Ratio = (1, 1)
    highest_bps = BPS
    directional = projection.revision.directional
    for category in categories:
        table = projection.table(category)
        for id_, row in table.collateral.items():
            collateral[leg_key(id_, category)] = None if row is None else _collateral_weight(row, directional)
            if row is not None and row[3] > highest_bps:
                highest_bps = row[3]
        for id_, debt_row in table.debt.items():
            key = leg_key(id_, category)
            debt[key] = None
            if debt_row is not None:
                index_ray, price, unit = debt_row
                debt[key] = (index_ray * price, RAY * unit)
                if price * largest[1] > largest[0] * unit:
                    largest = (price, unit)
    price, unit = largest
    return make_weights(collateral, debt, slack_per_leg=((price + unit) * highest_bps, unit * BPS))


def _collateral_weight(row: CollateralRow, directional: bool) -> Ratio:  # noqa: FBT001 - the revision's one trait
    index_ray, price, unit, threshold_bps = row
    weighed_bps = threshold_bps if directional or not price else threshold_bps - 1
    up, down = index_ray * price * weighed_bps, RAY * unit * BPS
    return (up, down) if up >= 0 else (up * (_BILLION + 1), down * _BILLION)
