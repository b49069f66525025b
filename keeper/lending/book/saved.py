"""The book on disk: one file with a version and a checksum, replaced as a whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from keeper.lending.book.addresses import AddressIndex
from keeper.lending.book.book import BLOCKS_KEPT, Book, Version
from keeper.lending.book.columns import Group
from keeper.lending.book.rows import Leg, Row

_MAGIC: Final = b"keeperbook"
_FORMAT: Final = 1
_CHECKSUM: Final = 32  # bytes
_LENGTH: Final = 8
_PRIVATE: Final = 0o600


class UnreadableBookError(ValueError):
    """The file is no saved book of this format, or it is damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedBook:
    """A book and the names under which it was saved: whose it is, and the accounts to be read again."""

    book: Book
    scope: str
    unsure: frozenset[int]


def dump_book(book: Book, *, scope: str, unsure: frozenset[int]) -> bytes:
    """Return the file's content: the live rows, and the versions one can go back to."""
    parts: list[bytes] = [book.addresses.packed(), book.categories_held()]
    shapes = []
    for group in book.groups:
        shapes.append([*group.shape, group.count])
        parts += group.dump()
    versions = []
    for version in book.versions:
        versions.append([version.block, version.block_hash, len(version.before), sorted(version.unsure)])
        parts.append(b"".join(_pack_row(number, row) for number, row in version.before.items()))
    head = {
        "scope": scope,
        "unsure": sorted(unsure),
        "shapes": shapes,
        "versions": versions,
        "lengths": [len(part) for part in parts],
    }
    text = orjson.dumps(head)
    body = b"".join([_MAGIC, _FORMAT.to_bytes(2, "big"), len(text).to_bytes(_LENGTH, "big"), text, *parts])
    return body + hashlib.blake2b(body, digest_size=_CHECKSUM).digest()


def parse_book(content: bytes, *, blocks_kept: int = BLOCKS_KEPT) -> SavedBook:
    """Return what `dump_book` wrote. Raises UnreadableBookError."""
    body, checksum = content[:-_CHECKSUM], content[-_CHECKSUM:]
    start = len(_MAGIC) + 2
    if not body.startswith(_MAGIC) or hashlib.blake2b(body, digest_size=_CHECKSUM).digest() != checksum:
        raise UnreadableBookError("it is no saved book, or it is damaged")
    if int.from_bytes(body[len(_MAGIC) : start], "big") != _FORMAT:
        raise UnreadableBookError("it has another format")
    end = start + _LENGTH + int.from_bytes(body[start : start + _LENGTH], "big")
    try:
        head = orjson.loads(body[start + _LENGTH : end])
        return _assemble(head, _cut(memoryview(body)[end:], head["lengths"]), blocks_kept)
    except (ValueError, KeyError, IndexError, TypeError, StopIteration) as error:
        raise UnreadableBookError(f"its parts do not fit: {error}") from error


def _cut(rest: memoryview, lengths: list[int]) -> Iterator[bytes]:
    if sum(lengths) != len(rest):
        raise ValueError("the lengths are wrong")
    at = 0
    for length in lengths:
        yield bytes(rest[at : at + length])
        at += length


def _assemble(head: dict[str, Any], parts: Iterator[bytes], blocks_kept: int) -> SavedBook:
    addresses, categories = AddressIndex(next(parts)), next(parts)
    groups = []
    for collaterals, debts, idle, count in head["shapes"]:
        columns = [next(parts) for _ in range(4)]
        groups.append(Group.load((collaterals, debts, idle), count, columns))
    versions = []
    for block, block_hash, count, unsure in head["versions"]:
        version = Version(block, block_hash)
        version.before = dict(_unpack_rows(next(parts), count))
        version.unsure = set(unsure)
        versions.append(version)
    book = Book(0, "", blocks_kept=blocks_kept)
    book.restore(groups, addresses, categories, versions)
    return SavedBook(book=book, scope=head["scope"], unsure=frozenset(head["unsure"]))


def _pack_row(number: int, row: Row) -> bytes:
    legs = (*row.collaterals, *row.debts, *row.idle)
    counts = bytes((row.category, len(row.collaterals), len(row.debts), len(row.idle)))
    packed = [bytes((asset,)) + amount.to_bytes(16, "little") for asset, amount in legs]
    return b"".join((number.to_bytes(4, "little"), counts, *packed))


def _unpack_rows(content: bytes, count: int) -> Iterator[tuple[int, Row]]:
    at = 0
    for _ in range(count):
        number = int.from_bytes(content[at : at + 4], "little")
        category, collaterals, debts, idle = content[at + 4 : at + 8]
        at += 8
        legs: list[Leg] = []
        for _ in range(collaterals + debts + idle):
            legs.append((content[at], int.from_bytes(content[at + 1 : at + 17], "little")))
            at += 17
        valued = collaterals + debts
        yield number, Row(category, tuple(legs[:collaterals]), tuple(legs[collaterals:valued]), tuple(legs[valued:]))


class BookFile:
    """Where one market's book is kept."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def load(self, *, blocks_kept: int = BLOCKS_KEPT) -> SavedBook | None:
        """Return the saved book, None when there is none. Raises UnreadableBookError."""
        try:
            content = await asyncio.to_thread(self.path.read_bytes)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnreadableBookError(f"it cannot be read: {error}") from error
        return parse_book(content, blocks_kept=blocks_kept)

    async def save(self, content: bytes) -> None:
        """Replace the file, so that a reader or a crash finds the old content or the new. Raises OSError."""
        await asyncio.to_thread(_replace, self.path, content)


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
