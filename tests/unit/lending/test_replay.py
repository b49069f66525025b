"""From one event to one scaled balance: the arithmetic of each family of revisions, and what is not believed."""

from __future__ import annotations

import random

import pytest

from keeper.domain.chain import Log
from keeper.domain.fixed_point import mul_div_down, mul_div_up, ray_div_half_up, ray_mul_half_up
from keeper.domain.units import RAY, Address, address_bytes
from keeper.lending.aave_v3 import replay
from keeper.lending.aave_v3.replay import Replay
from keeper.lending.aave_v3.revisions import revision_for
from keeper.lending.aave_v3.snapshot import Layout
from keeper.lending.book.book import Book
from keeper.lending.book.rows import Row
from tests.support.lending import address

POOL, TOKEN, SUPPLY, DEBT, USER = (address(number) for number in (0x9001, 0x1000, 0x2000, 0x3000, 0xB0))


def layout(revision: int) -> Layout:
    return Layout(
        pool=POOL,
        oracle=address(1),
        sentinel=address(2),
        revision=revision_for(revision),
        a_tokens={TOKEN: SUPPLY},
        debt_tokens={TOKEN: DEBT},
        stable_tokens={},
        ids={TOKEN: 5},
    )


def event(token: Address, topic: bytes, who: Address, *words: int, other: Address = USER) -> Log:
    people = (who, other) if topic in (replay.BURN, replay.BALANCE_TRANSFER, replay.TRANSFER) else (other, who)
    return Log(
        address=token,
        topics=(topic, *(address_bytes(each).rjust(32, b"\0") for each in people)),
        data=b"".join(word.to_bytes(32, "big") for word in words),
        block_number=1,
        block_hash="0x01",
        transaction_hash="0x02",
        log_index=0,
    )


def replayed(revision: int, before: Row, *logs: Log) -> tuple[Row, bool]:
    """The user's row after the logs, and whether it is believed."""
    book = Book(0, "")
    number = book.number(address_bytes(USER))
    book.put(number, before)
    found = Replay(book, layout(revision)).apply(logs)
    return book.row(number), number not in found.unsure


def moved(
    dice: random.Random, *, owed: bool, minted: bool, directional: bool
) -> tuple[int, int, int, int, tuple[int, int, int], bytes]:
    """What the token's source does: (held, scaled moved, index, after, event words, topic)."""
    last = RAY + dice.randrange(4 * RAY)
    index = last + dice.randrange(1 + RAY // dice.choice((2, 10**3, 10**15)))
    held = dice.randrange(2 ** dice.randrange(1, 100))
    scaled = dice.randrange(1, 2 ** dice.randrange(1, 100))
    if not minted:
        scaled = min(held, dice.choice((scaled, held)))
    after = held + scaled if minted else held - scaled
    if directional:
        up = mul_div_up if owed else mul_div_down
        old, new, now = up(held, last, RAY), up(after, index, RAY), up(held, index, RAY)
        interest, change = now - old, new - old
    else:
        amount = ray_mul_half_up(scaled, index)
        interest = ray_mul_half_up(held, index) - ray_mul_half_up(held, last)
        change = amount + interest if minted else interest - amount
        after = held + (1 if minted else -1) * ray_div_half_up(amount, index)
    return held, scaled, index, after, (abs(change), interest, index), replay.MINT if change > 0 else replay.BURN


@pytest.mark.parametrize("owed", [False, True])
@pytest.mark.parametrize("revision", [1, 7, 8, 9, 10, 11])
def test_mints_and_burns_of_any_size(revision: int, *, owed: bool) -> None:
    """Interest larger than the burn, dust, whole balances: the scaled balance is the source's own."""
    dice = random.Random(revision)
    shapes = set()
    for _ in range(3_000):
        minted = dice.random() < 0.5
        held, scaled, _, after, words, topic = moved(dice, owed=owed, minted=minted, directional=revision >= 9)
        if not scaled or after < 0 or after >= 2**128:
            continue
        legs = ((5, held),) if held else ()
        before = Row(0, (), legs if owed else (), () if owed else legs)
        row, believed = replayed(revision, before, event(DEBT if owed else SUPPLY, topic, USER, *words))
        assert believed
        assert (row.debts if owed else row.idle) == (((5, after),) if after else ())
        shapes.add((minted, topic == replay.MINT))
    assert shapes >= {(True, True), (False, True), (False, False)}


def test_a_balance_that_no_scaled_amount_has_is_not_believed() -> None:
    index = 3 * RAY
    row, believed = replayed(10, Row(0, (), (), ((5, 10),)), event(SUPPLY, replay.MINT, USER, 4, 0, index))
    assert not believed  # 30 + 4 is no multiple of 3
    assert row.idle == ((5, 10),)


@pytest.mark.parametrize("revision", [1, 10, 1000])
def test_more_than_there_is_is_not_believed(revision: int) -> None:
    for log in (
        event(SUPPLY, replay.BURN, USER, 500, 0, RAY),
        event(SUPPLY, replay.BALANCE_TRANSFER, USER, 500, RAY, other=address(7)),
        event(SUPPLY, replay.MINT, USER, 2**130, 0, RAY),
        event(SUPPLY, replay.MINT, USER, 1, 0, 0),
        event(SUPPLY, replay.MINT, USER, 1, 0),
    ):
        row, believed = replayed(revision, Row(0, ((5, 10),)), log)
        assert not believed
        assert row.collaterals == ((5, 10),)


@pytest.mark.parametrize("scaled_in_event", [True, False])
def test_the_oldest_tokens_report_transfers_unscaled(*, scaled_in_event: bool) -> None:
    index, amount = RAY + RAY // 3, 1_000
    scaled = ray_div_half_up(amount, index)
    logs = (
        event(SUPPLY, replay.TRANSFER, USER, amount, other=address(7)),
        event(SUPPLY, replay.BALANCE_TRANSFER, USER, scaled if scaled_in_event else amount, index, other=address(7)),
    )
    row, believed = replayed(1, Row(0, ((5, 5_000),)), *logs)
    assert (row.collaterals, believed) == (((5, 5_000 - scaled),), True)
    _, believed = replayed(1, Row(0, ((5, 5_000),)), logs[1])
    assert not believed
