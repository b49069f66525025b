"""The table of faults in docs/reliability.md names the tests there are, and leaves out little."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS = {*range(1, 15), *range(24, 32), *range(33, 41)}
MOST_LEFT_OUT = 4


def table() -> dict[int, str]:
    """The last column, by row number."""
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    section = text.split("## Faults and their tests")[1].split("\n## ")[0]
    return {int(row): last for row, last in re.findall(r"^\| (\d+) \|.*\| ([^|]+) \|$", section, re.MULTILINE)}


def written() -> set[str]:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    return {name for source in sources for name in re.findall(r"def (test_row_\w+)", source)}


def test_every_row_is_shown_by_tests_of_its_name_or_left_out_with_a_reason() -> None:
    shown = table()
    assert set(shown) == ROWS
    left_out = [row for row, last in shown.items() if last.startswith("left out")]
    assert len(left_out) <= MOST_LEFT_OUT
    for row, last in shown.items():
        named = re.findall(r"`(test_row_\w+)`", last)
        assert all(name.startswith(f"test_row_{row:02}_") for name in named)
        assert bool(named) != (row in left_out)


def test_the_table_and_the_tests_name_each_other() -> None:
    named = {name for last in table().values() for name in re.findall(r"`(test_row_\w+)`", last)}
    assert named == written()
