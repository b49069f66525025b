"""A chain that can reorganise, and a market and pools that show whether their watcher missed anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keeper.domain.chain import Head, Log
from keeper.domain.errors import HistoryMissing, RangeRefused
from keeper.domain.feeds import FeedStatus
from keeper.domain.units import Address, to_address

POOL = to_address((0xA1).to_bytes(20, "big"))
PAIR = to_address((0xA2).to_bytes(20, "big"))
BLOCK_S = 12


def block_hash(branch: str, number: int) -> str:
    """Return a hash from which branch and height can be read."""
    return "0x" + f"{branch}{number:04d}".encode().hex().rjust(64, "0")


@dataclass(slots=True)
class Branches:
    """Implements the part of the port Chain that a watcher uses.

    Each block writes to some accounts. What an account is worth at a block is the list of blocks of that branch that
    wrote to it: two branches never agree by accident.
    """

    blocks: list[tuple[Head, tuple[str, ...]]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    ranges: list[tuple[int, int]] = field(default_factory=list)
    pending_s: int | None = None
    most_blocks: int | None = None
    failures: list[Exception] = field(default_factory=list)
    forget_below: int = 0
    swapped: str | None = None

    def grow(self, *writes: str, branch: str = "a") -> Head:
        """Mine a block on top that writes to the accounts in each of `writes` ("" for none); return the last."""
        for accounts in writes or ("",):
            number = len(self.blocks)
            parent = self.blocks[-1][0].hash if self.blocks else "0x" + "00" * 32
            head = Head(
                number=number,
                hash=block_hash(branch, number),
                parent_hash=parent,
                timestamp_s=1_000 + BLOCK_S * number,
                base_fee_wei=1,
                gas_used=0,
                gas_limit=1,
            )
            self.blocks.append((head, tuple(accounts.split())))
        return self.blocks[-1][0]

    def fork(self, height: int) -> None:
        """Drop all blocks above `height`."""
        del self.blocks[height + 1 :]

    def truth(self, account: str, head: Head) -> tuple[str, ...]:
        """Return what `account` is worth at `head`, which must be on the present branch."""
        assert self.blocks[head.number][0].hash == head.hash
        return tuple(block.hash for block, names in self.blocks[: head.number + 1] if account in names)

    def accounts(self, head: Head) -> set[str]:
        """Return all accounts written to up to `head`."""
        return {name for _, names in self.blocks[: head.number + 1] for name in names}

    async def block(self, number: int) -> Head:
        """The header at a height."""
        self.asked["block"] += 1
        if not self.forget_below <= number < len(self.blocks):
            raise HistoryMissing(f"no block {number}")
        return self.blocks[number][0]

    async def pending_timestamp_s(self) -> int | None:
        """What the node says of the next block's time."""
        return self.pending_s

    async def logs(self, *, addresses: Sequence[Address], topics: Sequence[bytes], first: int, last: int) -> list[Log]:
        """One log per write, from the present branch."""
        self.asked["logs"] += 1
        self.ranges.append((first, last))
        if self.failures:
            raise self.failures.pop(0)
        if self.most_blocks is not None and last - first + 1 > self.most_blocks:
            raise RangeRefused(-32005, "too many blocks")
        assert set(addresses) == {POOL, PAIR}
        return [self._log(head, name) for head, names in self.blocks[first : last + 1] for name in names]

    def _log(self, head: Head, name: str) -> Log:
        return Log(
            address=POOL,
            topics=(name.encode(),),
            data=b"",
            block_number=head.number,
            block_hash=self.swapped or head.hash,
            transaction_hash="0x" + "22" * 32,
            log_index=0,
        )


@dataclass(slots=True)
class Mirror:
    """Implements the ports LendingMarket and Venues: re-reads what the logs name, or everything."""

    chain: Branches
    name: str = "main"
    address: Address = POOL
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    tokens: tuple[Address, ...] = ()

    @property
    def log_addresses(self) -> Sequence[Address]:
        """The contract whose logs are wanted."""
        return (self.address,)

    @property
    def sources(self) -> Mapping[Address, Address]:
        """No feeds."""
        return {}

    async def start(self, *arguments: Any) -> None:
        """Forget everything and find all accounts."""
        self.calls.append("start")
        self.values = dict.fromkeys(self.chain.accounts(arguments[-1]), ())

    async def advance(self, at: Head, logs: Sequence[Log] | None, *, since: Head | None = None) -> Mirror:
        """Forget what was written after `since`, then re-read the accounts the logs name; all, when there are none."""
        self.calls.append("all" if logs is None else "logs")
        if self.failures:
            raise self.failures.pop(0)
        if logs is None:
            self.values = dict.fromkeys(self.values.keys() | self.chain.accounts(at), ())
        if since is not None:
            kept = {block.hash for block, _ in self.chain.blocks[: since.number + 1]}
            self.values = {name: tuple(one for one in value if one in kept) for name, value in self.values.items()}
        named = self.values if logs is None else {log.topics[0].decode() for log in logs}
        for name in named:
            self.values[name] = self.chain.truth(name, at)
        return self

    def differences(self, head: Head) -> dict[str, Any]:
        """Return the accounts whose mirror is not what the chain says at `head`."""
        wanted = {name: self.chain.truth(name, head) for name in self.chain.accounts(head)}
        held = {name: value for name, value in self.values.items() if value or name in wanted}
        return {
            name: (held.get(name), wanted.get(name))
            for name in held.keys() | wanted.keys()
            if held.get(name) != wanted.get(name)
        }


class NoFeeds:
    """Implements the port FeedReader for markets without feeds."""

    async def read(self, sources: Mapping[Address, Address], at: Head) -> Mapping[Address, FeedStatus]:
        """Nothing to say."""
        return {}
