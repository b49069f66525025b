"""A soak in parts: which seeds this process plays, and a tally of what was done that outlives it.

KEEPER_TEST_SEEDS=1006:2006 plays seeds 1006 to 2005 in the place of a test's own, so that several processes, or several
evenings, share one soak. KEEPER_TEST_TALLY names a file that gets a line of JSON for each seed once it was played;
`python -m tests.faults.parts FILE...` adds such files up, counting a seed once however often it was played.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path


def seeds(first: int, count: int) -> range:
    """Return the seeds to play: those the environment names, else `count` of them from `first` on."""
    named = os.environ.get("KEEPER_TEST_SEEDS")
    if named is None:
        return range(first, first + count)
    low, high = named.split(":")
    return range(int(low), int(high))


def note(test: str, seed: int, figures: Mapping[str, int], broken: str = "") -> None:
    """Write down what one seed came to, where the environment says so."""
    path = os.environ.get("KEEPER_TEST_TALLY")
    if path is not None:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"test": test, "seed": seed, "broken": broken, "figures": dict(figures)}) + "\n")


def add_up(lines: Iterable[str]) -> dict[str, dict[str, object]]:
    """Return, by test: how many seeds, from which to which, the sums of their figures, and what was broken by which."""
    played: defaultdict[str, dict[int, tuple[Counter[str], str]]] = defaultdict(dict)
    for line in lines:
        found = json.loads(line)
        of_test = played[found["test"]]
        # A seed that broke something once stays broken, whatever a second turn says.
        if not of_test.get(found["seed"], (Counter(), ""))[1]:
            of_test[found["seed"]] = (Counter(found["figures"]), found["broken"])
    return {
        test: {
            "seeds": len(of_test),
            "first": min(of_test),
            "last": max(of_test),
            "figures": dict(sum((figures for figures, _ in of_test.values()), Counter())),
            "broken": {seed: words for seed, (_, words) in of_test.items() if words},
        }
        for test, of_test in played.items()
    }


if __name__ == "__main__":
    everything = [line for name in sys.argv[1:] for line in Path(name).read_text(encoding="utf-8").splitlines()]
    print(json.dumps(add_up(everything), indent=2))
