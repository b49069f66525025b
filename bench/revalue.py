"""Revalue every account of a market and flag the unhealthy ones: the book's screen against a plain Python loop."""

from __future__ import annotations

from collections.abc import Iterator

from bench.measure import Result, alternate
from bench.synthetic import fill, projection
from keeper.lending.aave_v3.rules.account import Projection
from keeper.lending.aave_v3.screening import compute_weights
from keeper.lending.book.book import Book
from keeper.lending.book.screen import find_candidates

_LEAST_RATIO = 40.0
_LONGEST_S = 0.015
_ROUNDS = {10_000: 15, 100_000: 9, 1_000_000: 7}
Legs = list[tuple[int, float]]


def run() -> Iterator[Result]:
    """Measure 10,000, 100,000 and 1,000,000 accounts of thirty reserves."""
    for accounts in _ROUNDS:
        yield _revalue(accounts)


def _revalue(accounts: int) -> Result:
    book = fill(accounts)
    known = projection()
    known.table(0)  # the projected indices are given to both
    plain = list(_plain(book))
    slack = compute_weights(known, (0,)).slack_per_leg

    def ours() -> list[int]:
        return find_candidates(book.groups, compute_weights(known, (0,)))

    def theirs() -> list[int]:
        return _loop(plain, known, slack)

    flagged = sorted(ours())
    if flagged != sorted(theirs()):
        raise SystemExit("the two sides flag different accounts")
    ours_s, theirs_s = alternate(ours, theirs, _ROUNDS[accounts])
    met = theirs_s / ours_s >= _LEAST_RATIO and (accounts < max(_ROUNDS) or ours_s <= _LONGEST_S)
    target = f">= {_LEAST_RATIO:.0f}x" + (f", <= {_LONGEST_S * 1000:.0f} ms" if accounts == max(_ROUNDS) else "")
    return Result(
        name=f"revalue {accounts:,} accounts x 30 reserves",
        ours_s=ours_s,
        theirs_s=theirs_s,
        target=target,
        met=met,
        note=f"{len(flagged)} flagged by both; the other side is a loop over lists of Python floats",
    )


def _plain(book: Book) -> Iterator[tuple[int, Legs, Legs]]:
    """Return the same accounts as a plain program would hold them."""
    for number, row in book.rows():
        yield (
            number,
            [(asset, float(amount)) for asset, amount in row.collaterals],
            [(asset, float(amount)) for asset, amount in row.debts],
        )


def _loop(accounts: list[tuple[int, Legs, Legs]], known: Projection, slack: float) -> list[int]:
    """Value every leg at index, price, unit and threshold, account by account."""
    table = known.table(0)
    collateral = {id_: tuple(map(float, row)) for id_, row in table.collateral.items() if row is not None}
    debt = {id_: tuple(map(float, row)) for id_, row in table.debt.items() if row is not None}
    flagged = []
    for number, collaterals, debts in accounts:
        supply = owed = 0.0
        for asset, amount in collaterals:
            index_ray, price, unit, threshold_bps = collateral[asset]
            supply += amount * index_ray / 1e27 * price / unit * (threshold_bps - 1) / 1e4
        for asset, amount in debts:
            index_ray, price, unit = debt[asset]
            owed += amount * index_ray / 1e27 * price / unit
        if owed and supply <= owed + slack * (len(collaterals) + len(debts) + 1):
            flagged.append(number)
    return flagged
