"""Made-up markets and logs, the same for both sides of a benchmark."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from eth_utils import to_checksum_address

from keeper.domain.chain import Head
from keeper.domain.fixed_point import ray_div_half_up
from keeper.domain.units import RAY, WAD, Address, to_address
from keeper.lending.aave_v3.replay import BALANCE_TRANSFER, BURN, COLLATERAL_ON, MINT
from keeper.lending.aave_v3.revisions import revision_for
from keeper.lending.aave_v3.rules.account import Projection
from keeper.lending.aave_v3.snapshot import Layout
from keeper.lending.aave_v3.state import Position, Reserve
from keeper.lending.aave_v3.view import AaveV3View
from keeper.lending.book.book import Book
from keeper.lending.book.rows import Row

RESERVES = 30
NOW_S = 1_700_000_000
POOL = to_address((0x9001).to_bytes(20, "big"))


def token(kind: int, id_: int) -> Address:
    """Return the address of a reserve's underlying (1), aToken (2), debt token (3) or feed (4)."""
    return to_address((kind << 16 | id_).to_bytes(20, "big"))


def reserves() -> dict[int, Reserve]:
    """Thirty reserves of 6, 8 and 18 decimals with prices between a cent and 60,000 dollars."""
    dice = random.Random(30)
    return {
        id_: Reserve(
            id=id_,
            token=token(1, id_),
            a_token=token(2, id_),
            variable_debt_token=token(3, id_),
            stable_debt_token=token(5, id_),
            decimals=dice.choice((6, 8, 18)),
            threshold_bps=dice.randrange(6_000, 9_500),
            liquidation_bonus_bps=10_500,
            protocol_fee_bps=1_000,
            active=True,
            frozen=False,
            paused=False,
            flash_loans=True,
            emode_category=0,
            liquidity_index_ray=RAY + dice.randrange(RAY // 5),
            liquidity_rate_ray=RAY // 50,
            debt_index_ray=RAY + dice.randrange(RAY // 3),
            debt_rate_ray=RAY // 20,
            updated_s=NOW_S,
            price_base=int(10 ** dice.uniform(6, 12.7)),
            source=token(4, id_),
            balance_raw=10**30,
        )
        for id_ in range(RESERVES)
    }


def projection() -> Projection:
    """The reserves under the rules of 3.0, a block later."""
    return Projection(revision_for(1), reserves(), {}, NOW_S + 12)


def market(revision: int, positions: Mapping[Address, Position]) -> AaveV3View:
    """Return the reserves and these accounts under the rules of `revision`, at block 100."""
    known = reserves()
    head = Head(
        number=100,
        hash=block_hash(100),
        parent_hash=block_hash(99),
        timestamp_s=NOW_S,
        base_fee_wei=10**9,
        gas_used=0,
        gas_limit=36_000_000,
    )
    return AaveV3View(
        name="bench",
        deployment=revision_for(revision),
        pool=POOL,
        head=head,
        base_unit=10**8,
        reserves=known,
        emodes={},
        sentinel=None,
        flash_premium_bps=5,
        positions=positions,
        ids={reserve.token: id_ for id_, reserve in known.items()},
    )


def layout() -> Layout:
    """Where the made-up market's parts are."""
    tokens = {id_: token(1, id_) for id_ in range(RESERVES)}
    return Layout(
        pool=POOL,
        oracle=token(6, 0),
        sentinel=token(6, 1),
        revision=revision_for(7),
        a_tokens={tokens[id_]: token(2, id_) for id_ in tokens},
        debt_tokens={tokens[id_]: token(3, id_) for id_ in tokens},
        stable_tokens={},
        ids={address: id_ for id_, address in tokens.items()},
    )


def fill(accounts: int) -> Book:
    """Return a book of random accounts, about 3.5 legs each, few of them unhealthy."""
    dice = random.Random(accounts)
    known = projection()
    worth = {id_: known.reserves[id_].unit * 10**8 // (known.reserves[id_].price_base or 1) for id_ in known.reserves}
    book = Book(0, "")
    for _ in range(accounts):
        legs = dice.choice((2, 2, 3, 4, 4, 5, 6))
        ids = dice.sample(range(RESERVES), legs)
        debts = max(1, legs // 3)
        dollars = dice.randrange(100, 100_000)
        supplied = [(id_, worth[id_] * dollars // (legs - debts) + 1) for id_ in ids[debts:]]
        share = dice.uniform(0.1, 0.66) if dice.random() < 0.995 else 1.2
        owed = [(id_, int(worth[id_] * dollars * share / debts) + 1) for id_ in ids[:debts]]
        row = Row(0, tuple(sorted(supplied)), tuple(sorted(owed)), ())
        book.put(book.number(dice.randbytes(20)), row)
    return book


@dataclass(frozen=True, slots=True, kw_only=True)
class RawLog:
    """A log before it becomes JSON."""

    address: Address
    topics: tuple[bytes, ...]
    words: tuple[int, ...]


def traffic(count: int, accounts: int) -> Iterator[RawLog]:
    """Yield token and pool events of a half-up market: mints, burns, transfers and flags, with true arithmetic."""
    dice = random.Random(count)
    people = [dice.randbytes(20).rjust(32, b"\0") for _ in range(accounts)]
    held: dict[tuple[int, int, int], int] = {}
    index = [RAY + RAY // 7 + 1] * RESERVES
    made = 0
    while made < count:
        who, id_ = dice.randrange(accounts), dice.randrange(RESERVES)
        index[id_] += dice.randrange(1, RAY // 10**9)
        kind = dice.choice((2, 2, 3))
        key = (kind, id_, who)
        amount = dice.randrange(10**6, 10**4 * WAD)
        scaled = ray_div_half_up(amount, index[id_])
        action = dice.random()
        if action < 0.55 or held.get(key, 0) <= scaled:
            interest = dice.randrange(10**6)
            held[key] = held.get(key, 0) + scaled
            yield RawLog(
                address=token(kind, id_),
                topics=(MINT, people[who], people[who]),
                words=(amount + interest, interest, index[id_]),
            )
            if kind == 2 and held[key] == scaled:
                yield RawLog(address=POOL, topics=(COLLATERAL_ON, _word(token(1, id_)), people[who]), words=())
                made += 1
        elif action < 0.85 or kind == 3:
            interest = dice.randrange(10**6)
            held[key] -= scaled
            yield RawLog(
                address=token(kind, id_),
                topics=(BURN, people[who], people[who]),
                words=(amount - interest, interest, index[id_]),
            )
        else:
            other = dice.randrange(accounts)
            held[key] -= scaled
            held[kind, id_, other] = held.get((kind, id_, other), 0) + scaled
            yield RawLog(
                address=token(2, id_), topics=(BALANCE_TRANSFER, people[who], people[other]), words=(scaled, index[id_])
            )
        made += 1


def log_json(log: RawLog, block: int, place: int) -> dict[str, Any]:
    """Return a log as a node tells it."""
    return {
        "address": log.address.lower(),
        "topics": ["0x" + topic.hex() for topic in log.topics],
        "data": "0x" + b"".join(word.to_bytes(32, "big") for word in log.words).hex(),
        "blockHash": block_hash(block),
        "blockNumber": hex(block),
        "blockTimestamp": hex(NOW_S + block),
        "transactionHash": "0x" + (block << 32 | place).to_bytes(32, "big").hex(),
        "transactionIndex": hex(place),
        "logIndex": hex(place),
        "removed": False,
    }


def block_hash(block: int) -> str:
    """Return a block's hash."""
    return "0x" + (block + (1 << 200)).to_bytes(32, "big").hex()


def _word(address: Address) -> bytes:
    return bytes.fromhex(to_checksum_address(address)[2:]).rjust(32, b"\0")
