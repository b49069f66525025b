"""The book against a plain dictionary: any writes, any way back, any views held meanwhile, any file."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from keeper.lending.book.addresses import AddressIndex
from keeper.lending.book.book import BLOCKS_KEPT, Book, Version
from keeper.lending.book.rows import NO_ROW, Leg, Row
from keeper.lending.book.saved import BookFile, UnreadableBookError, dump_book, parse_book

Model = dict[int, Row]


def legs(dice: random.Random, assets: list[int], *, may_be_empty: bool = False) -> tuple[Leg, ...]:
    least = 0 if may_be_empty else 1
    return tuple((asset, dice.randrange(least, 2 ** dice.choice((1, 64, 65, 128)) + least)) for asset in sorted(assets))


def random_row(dice: random.Random) -> Row:
    assets = dice.sample(range(128), dice.randrange(7))
    first, second = sorted((dice.randrange(len(assets) + 1), dice.randrange(len(assets) + 1)))
    on, idle = assets[:first], assets[first:second]
    row = Row(
        dice.choice((0, 0, 1, 255)),
        legs(dice, on, may_be_empty=True),
        legs(dice, assets[second:]),
        legs(dice, idle),
    )
    fits = all(amount < 2**128 for _, amount in (*row.collaterals, *row.debts, *row.idle))
    return row if fits else random_row(dice)


def model_of(book: Book) -> Model:
    return {number: row for number, row in book.rows() if row != NO_ROW}


def sums_of(model: Model) -> dict[tuple[bool, int], int]:
    sums: dict[tuple[bool, int], int] = {}
    for row in model.values():
        for owed, held in ((False, (*row.collaterals, *row.idle)), (True, row.debts)):
            for asset, amount in held:
                sums[owed, asset] = sums.get((owed, asset), 0) + amount
    return {key: total for key, total in sums.items() if total}


@pytest.mark.parametrize("seed", range(12))
def test_any_history(seed: int) -> None:
    dice = random.Random(seed)
    book, model = Book(0, ""), Model()
    path: list[tuple[Version, Model]] = [(book.now, {})]
    held: list[tuple[Version, Model]] = []
    for step in range(150):
        if dice.random() < 0.15 and len(path) > 1:
            back = dice.randrange(max(0, len(path) - 6), len(path) - 1)
            version, model = path[back]
            book.go_back(version)
            del path[back + 1 :]
        else:
            version = book.begin(book.now.block + dice.randint(1, 3), f"hash {step}")
            model = dict(model)
            for _ in range(dice.randrange(5)):
                number, row = book.number(dice.randrange(30).to_bytes(20, "big")), random_row(dice)
                book.put(number, row)
                model[number] = row
            path.append((version, model))
        if dice.random() < 0.4:
            held.append(dice.choice(path))
        model = dict(model)
        assert model_of(book) == {number: row for number, row in model.items() if row != NO_ROW}
        assert {key: total for key, total in book.sums.items() if total} == sums_of(model)
        for old, then in held[-20:]:
            assert all(book.row_at(old, number) == row for number, row in then.items())
            changed = {number for number, row in book.rows() if row != then.get(number, NO_ROW)}
            assert changed <= book.changed_since(old)
        content = dump_book(book, scope="s", unsure=frozenset({step}))
        if step % 30 == 0:
            saved = parse_book(content)
            assert (saved.scope, saved.unsure) == ("s", {step})
            assert list(saved.book.rows()) == list(book.rows())
            assert saved.book.sums.items() >= sums_of(model).items()
            assert [(v.block, v.block_hash, v.before) for v in saved.book.versions] == [
                (v.block, v.block_hash, v.before) for v in book.versions
            ]
            if len(path) > 1:
                place = dice.randrange(len(saved.book.versions))
                then = path[len(path) - len(saved.book.versions) + place][1]
                saved.book.go_back(saved.book.versions[place])
                assert model_of(saved.book) == {number: row for number, row in then.items() if row != NO_ROW}


def test_the_way_back_is_as_long_as_promised() -> None:
    book = Book(0, "")
    number = book.number(bytes(20))
    for block in range(1, 400):
        book.begin(block, str(block))
        book.put(number, Row(0, ((1, block),)))
    oldest = book.versions[0]
    assert oldest.block == 399 - BLOCKS_KEPT
    book.go_back(oldest)
    assert book.row(number) == Row(0, ((1, oldest.block),))


def test_an_amount_of_more_than_128_bits_is_refused() -> None:
    book = Book(0, "")
    with pytest.raises(OverflowError):
        book.put(book.number(bytes(20)), Row(0, ((1, 2**128),)))


def test_addresses_are_numbered_once() -> None:
    dice = random.Random(7)
    known = [dice.randbytes(20) for _ in range(5_000)]
    index = AddressIndex()
    assert [index.add(each) for each in known] == list(range(5_000))
    assert [index.add(each) for each in known] == list(range(5_000))
    again = AddressIndex(index.packed())
    assert [again.find(each) for each in known] == list(range(5_000))
    assert again.find(dice.randbytes(20)) is None
    assert again.address(4_999) == known[4_999]
    assert index.bytes_held < 5_000 * 40


async def test_a_file_that_is_no_book_is_refused(tmp_path: Path) -> None:
    file = BookFile(tmp_path / "a.book")
    assert await file.load() is None
    book = Book(0, "")
    book.put(book.number(bytes(20)), Row(3, ((1, 5),), ((2, 6),), ((3, 7),)))
    content = dump_book(book, scope="s", unsure=frozenset())
    await file.save(content)
    found = await file.load()
    assert found is not None
    assert list(found.book.rows()) == list(book.rows())
    for place in random.Random(1).sample(range(len(content)), 60):
        broken = content[:place] + bytes((content[place] ^ 1,)) + content[place + 1 :]
        with pytest.raises(UnreadableBookError):
            parse_book(broken)
    for cut in (0, 10, len(content) - 1):
        with pytest.raises(UnreadableBookError):
            parse_book(content[:cut])
    assert os.listdir(tmp_path) == ["a.book"]  # noqa: PTH208 - nothing else may be left


def test_rows_written_together_are_as_if_written_one_by_one() -> None:
    """New and known accounts, with and without legs; the columns, the sums and the way back are the same."""
    dice = random.Random(7)
    for _ in range(30):
        together, singly = Book(0, ""), Book(0, "")
        for block in range(1, 6):
            for book in (together, singly):
                book.begin(block, f"0x{block}")
            chosen = dice.sample(range(60), dice.randrange(60))
            rows = [(dice.choice((NO_ROW, random_row(dice))), each.to_bytes(20, "big")) for each in chosen]
            changes = [(together.number(who), row) for row, who in rows]
            together.put_all([(number, together.row(number), row) for number, row in changes])
            for row, who in rows:
                singly.put(singly.number(who), row)
            assert model_of(together) == model_of(singly)
            assert {key: total for key, total in together.sums.items() if total} == {
                key: total for key, total in singly.sums.items() if total
            }
            assert together.categories == singly.categories
        again = parse_book(dump_book(together, scope="", unsure=frozenset()), blocks_kept=BLOCKS_KEPT).book
        assert model_of(again) == model_of(singly)
        for book in (together, singly):
            book.go_back(book.versions[2])
        assert model_of(together) == model_of(singly)
