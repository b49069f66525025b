"""The search finds the top of every concave curve over small integers, and near it over large ones."""

from __future__ import annotations

from keeper.estimate.search import best_of, first_true, search_concave


def test_every_small_parabola() -> None:
    for high in range(60):
        for top in range(high + 1):
            curve = {x: -((x - top) ** 2) for x in range(high + 1)}
            assert search_concave(curve.get, 0, high, steps=40) == top


def test_a_plateau_ends_at_its_lower_end() -> None:
    assert search_concave(lambda x: min(x, 40), 0, 1000, steps=60) == 40


def test_where_there_is_no_value_the_search_turns_back() -> None:
    assert search_concave(lambda x: x if x <= 777 else None, 0, 10**6, steps=60) == 777


def test_large_intervals_are_narrowed_to_a_small_share() -> None:
    top = 123_456_789_012_345_678_901
    found = search_concave(lambda x: -((x - top) ** 2), 0, 10**24, steps=34)
    assert abs(found - top) < 10**24 >> 21


def test_best_of_prefers_the_first_of_equals() -> None:
    assert best_of(lambda x: x // 2, [1, 2, 3]) == 2


def test_first_true() -> None:
    assert first_true(lambda x: x * x >= 50, 0, 100) == 8
    assert first_true(lambda x: x >= 100, 0, 100) == 100
