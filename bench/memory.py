"""Bytes an account costs, with exact balances, address, index and what the screen reads: 100,000 accounts."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator

from bench.measure import Result
from bench.synthetic import fill

_ACCOUNTS = 100_000
_MOST_BYTES = 300


def run() -> Iterator[Result]:
    """Measure what filling a book allocates and keeps, against a dictionary of dictionaries of the same rows."""
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    book = fill(_ACCOUNTS)
    book.versions[0].before.clear()
    gc.collect()
    ours = (tracemalloc.get_traced_memory()[0] - before) / _ACCOUNTS
    before, _ = tracemalloc.get_traced_memory()
    plain = {
        book.addresses.address(number): {
            "collaterals": dict(row.collaterals),
            "debts": dict(row.debts),
            "category": row.category,
        }
        for number, row in book.rows()
    }
    theirs = (tracemalloc.get_traced_memory()[0] - before) / len(plain)
    tracemalloc.stop()
    yield Result(
        name=f"bytes per account, {_ACCOUNTS:,} accounts",
        ours_s=ours,
        theirs_s=theirs,
        target=f"<= {_MOST_BYTES} bytes",
        met=ours <= _MOST_BYTES,
        note="bytes, not seconds; columns and index alone hold "
        f"{book.bytes_held / _ACCOUNTS:.0f}; the other side is a dictionary of dictionaries",
    )
