"""The float screen never misses an unhealthy account, on any revision, at and around every threshold."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from conftest import TestSize

from keeper.domain.units import RAY, WAD, address_bytes, to_address
from keeper.lending.aave_v3.positions import BookPositions, position_of
from keeper.lending.aave_v3.revisions import Revision, known_revisions
from keeper.lending.aave_v3.rules.account import Projection, compute_health_factor_wad, compute_sums
from keeper.lending.aave_v3.screening import compute_weights
from keeper.lending.aave_v3.state import EMode, Reserve
from keeper.lending.book.book import Book
from keeper.lending.book.rows import Leg, Row
from keeper.lending.book.screen import find_candidates
from tests.support.lending import NOW_S, reserve

_DECIMALS = (0, 2, 6, 8, 18, 24)
_BATCH = 2_000


def random_reserve(dice: random.Random, id_: int, revision: Revision) -> Reserve:
    """Anything governance allows, and some extremes."""
    threshold = dice.choice((1, 100, dice.randrange(1, 10_000), dice.randrange(7_000, 9_000), 10_000))
    if dice.random() < 0.05:
        threshold = 0
    return reserve(
        id_,
        decimals=dice.choice(_DECIMALS),
        threshold_bps=threshold,
        price_base=None
        if dice.random() < 0.02
        else dice.choice((1, 10**8, dice.randrange(1, 10**6), dice.randrange(10**6, 10**13), 10**14)),
        income_ray=RAY + dice.randrange(0, 3 * RAY) * dice.choice((0, 1)),
        debt_ray=RAY + dice.randrange(0, 5 * RAY) * dice.choice((0, 1)),
        liquidity_rate_ray=dice.randrange(0, RAY),
        debt_rate_ray=dice.randrange(0, 2 * RAY),
        updated_s=NOW_S - dice.choice((0, 1, 12, 86_400, 400 * 86_400)),
        emode_category=dice.choice((0, 1, 2)) if revision.emode == "category" else 0,
    )


def random_market(dice: random.Random, revision: Revision) -> Projection:
    reserves = {id_: random_reserve(dice, id_, revision) for id_ in range(6)}
    emodes = {}
    if revision.emode is not None:
        for id_ in (1, 2):
            emodes[id_] = EMode(
                id=id_,
                threshold_bps=dice.choice((9_700, dice.randrange(1, 10_000), 10_000, 0 if dice.random() < 0.1 else 1)),
                liquidation_bonus_bps=10_100,
                collateral_bitmap=dice.randrange(64),
                priced=revision.emode == "category" and dice.random() < 0.3,
                price_base=dice.randrange(1, 10**12),
            )
    return Projection(revision, reserves, emodes, NOW_S + dice.choice((0, 1, 12, 3_600, 10**7)))


def random_legs(dice: random.Random, most: int) -> tuple[Leg, ...]:
    ids = sorted(dice.sample(range(6), dice.randint(0, most)))
    return tuple((id_, dice.randrange(1, 2 ** dice.randint(1, 100))) for id_ in ids)


def is_unhealthy(row: Row, projection: Projection) -> bool | None:
    sums = compute_sums(position_of(row), projection)
    return None if sums is None else compute_health_factor_wad(sums, projection.revision) < WAD


def on_the_edge(dice: random.Random, row: Row, projection: Projection) -> tuple[Row, ...]:
    """Accounts that owe exactly the most they may, one unit more, one less, and a few around it."""
    which = dice.randrange(len(row.debts))
    asset = row.debts[which][0]

    def owing(scaled: int) -> Row:
        return row._replace(debts=(*row.debts[:which], (asset, scaled), *row.debts[which + 1 :]))

    low, high = 1, 2**127
    if is_unhealthy(owing(low), projection) is not False:
        return (row,)
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_unhealthy(owing(middle), projection) else (middle, high)
    steps = (0, 1, 2, 1 + dice.randrange(1 + high // 10**12), 1 + dice.randrange(1 + high // 10**4))
    return tuple(owing(max(1, high + sign * step)) for step in steps for sign in (-1, 1))


def random_rows(dice: random.Random, projection: Projection) -> list[Row]:
    categories = [0, *projection.emodes]
    rows: list[Row] = []
    while len(rows) < _BATCH:
        debts = random_legs(dice, 3)
        if debts:
            row = Row(dice.choice(categories), random_legs(dice, 4), debts, ())
            rows += on_the_edge(dice, row, projection) if dice.random() < 0.7 else (row,)
    return rows


@pytest.mark.parametrize("revision", known_revisions(), ids=lambda revision: f"{revision.number}-{revision.version}")
def test_no_unhealthy_account_is_missed(revision: Revision, size: TestSize) -> None:
    dice = random.Random(f"screen {revision.number} 20261120")
    seen: Counter[str] = Counter()
    wanted = size.pick(quick=4_000, prove=72_000)
    while seen["accounts"] < wanted:
        projection = random_market(dice, revision)
        book = Book(0, "")
        rows = random_rows(dice, projection)
        for number, row in enumerate(rows):
            book.put(book.number(number.to_bytes(20, "big")), row)
        weights = compute_weights(projection, (0, *projection.emodes))
        flagged = set(find_candidates(book.groups, weights))
        unhealthy = {number for number, row in enumerate(rows) if is_unhealthy(row, projection)}
        assert unhealthy - flagged == set(), [rows[number] for number in sorted(unhealthy - flagged)[:3]]
        seen["accounts"] += len(rows)
        seen["unhealthy"] += len(unhealthy)
        seen["flagged"] += len(flagged)
    print(revision.number, revision.version, dict(seen))
    assert seen["unhealthy"] > wanted // 10
    assert seen["accounts"] - seen["flagged"] > wanted // 20  # it does tell the healthy apart


@pytest.mark.parametrize("number", [1, 7, 8, 9, 10, 11, 1000])
def test_the_screen_is_sharp_where_dollars_are(number: int) -> None:
    """With usual figures, whoever is healthy by 0.1 % is not flagged."""
    revision = next(each for each in known_revisions() if each.number == number)
    projection = Projection(
        revision,
        {0: reserve(0, price_base=2_500 * 10**8, threshold_bps=8_250), 1: reserve(1, decimals=6, price_base=10**8)},
        {},
        NOW_S,
    )
    book = Book(0, "")
    debts = {per_mille: 10**3 * 2_500 * 8_250 * per_mille // 10_000 for per_mille in (998, 999, 1001, 1002)}
    for per_mille, debt_raw in debts.items():
        row = Row(0, ((0, WAD),), ((1, debt_raw),), ())
        book.put(book.number(per_mille.to_bytes(20, "big")), row)
    found = find_candidates(book.groups, compute_weights(projection, (0,)))
    flagged = {int.from_bytes(book.addresses.address(one), "big") for one in found}
    assert flagged == {1001, 1002}


def test_candidates_come_by_the_value_of_their_debt_and_are_confirmed() -> None:
    revision = known_revisions()[0]
    projection = Projection(revision, {0: reserve(0), 1: reserve(1)}, {}, NOW_S)
    book = Book(0, "")
    for value in (5, 50, 20, 7):
        row = Row(0, ((0, value * WAD),), ((1, value * WAD),), ())
        book.put(book.number(value.to_bytes(20, "big")), row)
    book.put(book.number((99).to_bytes(20, "big")), Row(0, ((0, 900 * WAD),), ((1, 100 * WAD),), ()))
    ranked = [int(account, 16) for account in BookPositions(book, book.now).candidates(projection)]
    assert ranked == [50, 20, 7, 5]
    assert address_bytes(to_address((50).to_bytes(20, "big"))) == (50).to_bytes(20, "big")


@pytest.mark.parametrize("number", [1, 8, 10, 1000])
def test_the_index_of_falls_says_what_the_exact_rules_say(number: int) -> None:
    """Who falls at so many percent of one price, up to those who stand within a thousandth of health one."""
    dice = random.Random(number)
    revision = next(each for each in known_revisions() if each.number == number)
    prices = {0: 2_500 * 10**8, 1: 10**8, 2: 60_000 * 10**8, 3: 15 * 10**8}
    reserves = {id_: reserve(id_, price_base=price, threshold_bps=8_250 - 100 * id_) for id_, price in prices.items()}
    book = Book(0, "")
    for account in range(400):
        assets = dice.sample(range(4), 3)
        held = tuple(sorted((id_, 10**4 * 10**8 * WAD // prices[id_]) for id_ in assets[: dice.choice((1, 2))]))
        owed = (assets[2], len(held) * dice.randrange(1_000, 8_200) * 10**8 * WAD // prices[assets[2]])
        book.put(book.number(account.to_bytes(20, "big")), Row(0, held, (owed,), ()))
    projection = Projection(revision, reserves, {}, NOW_S)
    fallen = BookPositions(book, book.now).falls(projection, 0)
    met: Counter[str] = Counter()
    for bps in (10_000, 9_500, 9_000, 7_000, 5_000, 1):
        shocked = Projection(
            revision, {**reserves, 0: replace(reserves[0], price_base=max(1, prices[0] * bps // 10_000))}, {}, NOW_S
        )
        named = set(fallen(bps))
        for account, row in book.rows():
            if not any(asset == 0 for asset, _ in row.collaterals):
                continue
            sums = compute_sums(position_of(row), shocked)
            assert sums is not None
            health_wad = compute_health_factor_wad(sums, revision)
            if abs(health_wad - WAD) > WAD // 1_000:
                assert (to_address(account.to_bytes(20, "big")) in named) == (health_wad < WAD)
                met["fallen" if health_wad < WAD else "standing"] += 1
    assert min(met["fallen"], met["standing"]) > 200
