"""Parts of a soak add up to what was done, not to more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.parts import add_up, note, seeds


def test_parts_add_up_and_a_seed_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tally = tmp_path / "tally"
    monkeypatch.setenv("KEEPER_TEST_TALLY", str(tally))
    for seed in (6, 7, 7, 9):
        note("model", seed, {"steps": 300, "landed": seed})
    note("kills", 6, {"kills": 250})
    found = add_up(tally.read_text(encoding="utf-8").splitlines())
    assert found["model"] == {
        "seeds": 3, "first": 6, "last": 9, "figures": {"steps": 900, "landed": 22}, "broken": {}
    }  # fmt: skip
    assert found["kills"]["figures"] == {"kills": 250}


@pytest.mark.parametrize("words", [("", "I2"), ("I2", "")])
def test_a_seed_that_broke_something_once_stays_broken(words: tuple[str, str]) -> None:
    lines = [f'{{"test": "model", "seed": 6, "broken": "{each}", "figures": {{"steps": 300}}}}' for each in words]
    assert add_up(lines)["model"]["broken"] == {6: "I2"}


def test_the_seeds_are_those_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEEPER_TEST_SEEDS", raising=False)
    assert list(seeds(6, 3)) == [6, 7, 8]
    monkeypatch.setenv("KEEPER_TEST_SEEDS", "1006:1008")
    assert list(seeds(6, 3)) == [1006, 1007]
