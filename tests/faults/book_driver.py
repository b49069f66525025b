"""Follows a market with a saved book, in a process of its own, and kills itself at a chosen step."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keeper.chain.backfill import backfill
from keeper.chain.client import RpcChain
from keeper.chain.connect import connect
from keeper.domain.units import Address, to_address
from keeper.lending.aave_v3 import mirror
from keeper.lending.aave_v3.reader import AaveV3Market
from keeper.lending.book import saved
from keeper.lending.book.book import Book

PAGE_BLOCKS = 4


class Killer:
    """Counts steps; at the chosen one it notes where it is and ends the process, as a power cut would."""

    def __init__(self, at: int, notes: Path) -> None:
        self.left = at
        self.notes = notes

    def step(self, place: str) -> None:
        self.left -= 1
        if self.left == 0:
            self.notes.write_text(place, encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, owner: Any, name: str, phase: str) -> None:
        """Count a step before and after each call of `owner.name`."""
        inner: Callable[..., Any] = getattr(owner, name)

        if asyncio.iscoroutinefunction(inner):

            async def later(*arguments: Any, **named: Any) -> Any:
                self.step(f"{phase}: before {name}")
                answer = await inner(*arguments, **named)
                self.step(f"{phase}: after {name}")
                return answer

            setattr(owner, name, later)
        else:

            def now(*arguments: Any, **named: Any) -> Any:
                self.step(f"{phase}: before {name}")
                answer = inner(*arguments, **named)
                self.step(f"{phase}: after {name}")
                return answer

            setattr(owner, name, now)


async def small_pages(
    chain: RpcChain, addresses: Sequence[Address], topics: Sequence[bytes], first: int, last: int, **rest: Any
) -> None:
    """The real backfill in pages of a few blocks, so that there are many."""
    for start in range(first, last + 1, PAGE_BLOCKS):
        await backfill(chain, addresses, topics, start, min(start + PAGE_BLOCKS - 1, last), **rest)


async def follow(url: str, provider: str, start_block: int, book: Path, heads: int) -> dict[str, Any]:
    """Take up `heads` heads, the newest at the end; return every account and the time to the first view."""
    chain = await connect([url], chain_id=31337)
    async with chain:
        newest = await chain.head()
        began_s = time.monotonic()
        market = AaveV3Market(
            chain,
            name="m",
            addresses_provider=to_address(provider),
            start_block=start_block,
            backfill=small_pages,
            book_path=book,
        )
        first = await chain.block(max(1, newest.number - heads + 1))
        await market.start(first)
        await market.advance(first, None)
        ready_s = time.monotonic() - began_s
        previous = first
        for number in range(first.number + 1, newest.number + 1):
            head = await chain.block(number)
            logs = await chain.logs(addresses=market.log_addresses, topics=[], first=number, last=number)
            await market.advance(head, logs, since=previous)
            previous = head
        kept = market._mirror.book
        rows = {kept.addresses.address(number).hex(): row for number, row in kept.rows() if any(row[1:])}
        return {
            "ready_s": ready_s,
            "rows": rows,
            "restored": market._mirror.restored,
            "differences": market._auditor.differences,
        }


def main() -> None:
    url, provider, start_block, book, heads, kill_at = sys.argv[1:]
    mirror._SECONDS_PER_SAVE_S = 0.0  # type: ignore[misc]
    mirror._BLOCKS_PER_SAVE = 1  # type: ignore[misc]
    if int(kill_at):
        killer = Killer(int(kill_at), Path(book).with_suffix(".notes"))
        killer.watch(mirror.Mirror, "_take_page", "backfill")
        killer.watch(mirror.Mirror, "_note", "apply")
        killer.watch(Book, "put", "apply")
        killer.watch(saved, "_replace", "save")
        killer.watch(os, "fsync", "save")
        killer.watch(Path, "replace", "save")
    found = asyncio.run(follow(url, provider, int(start_block), Path(book), int(heads)))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
