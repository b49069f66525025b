"""The positions of a market as a mapping that makes each one when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from keeper.domain.units import Address, address_bytes, to_address
from keeper.lending.aave_v3.rules.account import Projection
from keeper.lending.aave_v3.screening import compute_weights
from keeper.lending.aave_v3.state import Position, StableDebt
from keeper.lending.book.book import Book, Version
from keeper.lending.book.rows import Row
from keeper.lending.book.screen import Weights, count_unpriced, find_candidates, find_falls

_NOBODY: Final[Mapping[Address, tuple[StableDebt, ...]]] = MappingProxyType({})
_NOTHING: Final[Mapping[Address, Position | None]] = MappingProxyType({})


class BookPositions(Mapping[Address, Position]):
    """Accounts with debt in one version of the book, sorted by address. Never changes, whatever the book does.

    `stable` are the stable-rate debts, which stand beside the book; `over` replaces (None: removes)
    what the book says of a few accounts.
    """

    __slots__ = ("_book", "_last", "_over", "_sorted", "_stable", "_version")

    def __init__(
        self,
        book: Book,
        version: Version,
        stable: Mapping[Address, tuple[StableDebt, ...]] = _NOBODY,
        over: Mapping[Address, Position | None] = _NOTHING,
    ) -> None:
        self._book = book
        self._version = version
        self._stable = stable
        self._over = over
        self._sorted: tuple[Address, ...] | None = None
        self._last: tuple[Address | None, Position | None] = None, None

    def __getitem__(self, account: Address) -> Position:
        position = self._over[account] if account in self._over else self._in_book(account)
        if position is None or not position.has_debt:
            raise KeyError(account)
        return position

    def __iter__(self) -> Iterator[Address]:
        if self._sorted is None:
            self._sorted = tuple(sorted(self._with_debt()))
        return iter(self._sorted)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, account: object) -> bool:
        try:
            self[Address(str(account))]
        except KeyError:
            return False
        return True

    def with_position(self, account: Address, position: Position | None) -> BookPositions:
        """Return the same positions with one replaced; None, or one without debt, removes it."""
        return BookPositions(self._book, self._version, self._stable, {**self._over, account: position})

    def candidates(self, projection: Projection) -> Iterator[Address]:
        """Yield every account that may be unhealthy, and some that are not, the largest debts first."""
        aside = self._aside()
        numbers = find_candidates(self._book.groups, self.weights(projection))
        address = self._book.addresses.address
        yield from (to_address(address(number)) for number in numbers if number not in aside)
        yield from self._set_apart(aside)

    def unpriced(self, projection: Projection) -> bool:
        """Return whether any account with debt may have a leg without a price."""
        return bool(self._aside()) or bool(count_unpriced(self._book.groups, self.weights(projection)))

    def falls(self, projection: Projection, reserve_id: int) -> Callable[[int], list[Address]]:
        """Return the index of one reserve: which accounts fall once its price is so many bps of today's.

        An estimate that speaks of what the book alone says; see `book.screen.Falls`.
        """
        index, aside = find_falls(self._book.groups, self.weights(projection), reserve_id), self._aside()
        address = self._book.addresses.address

        def at(price_bps: int) -> list[Address]:
            return sorted(to_address(address(number)) for number in index.at(price_bps) if number not in aside)

        return at

    def weights(self, projection: Projection) -> Weights:
        """Return the screen's weights for the categories the market has."""
        return compute_weights(projection, (0, *projection.emodes))

    def _in_book(self, account: Address) -> Position | None:
        """Return what the book says of an account; it is usually the account that was asked about last."""
        if self._last[0] != account:
            self._last = account, self._decode(account)
        return self._last[1]

    def _decode(self, account: Address) -> Position | None:
        number = self._book.addresses.find(address_bytes(account))
        stable = self._stable.get(account, ())
        if number is None:
            return None
        return position_of(self._book.row_at(self._version, number), stable)

    def _with_debt(self) -> Iterator[Address]:
        aside = self._aside()
        address = self._book.addresses.address
        for group in self._book.groups:
            if group.shape[1]:
                owners = group.owners[: group.count].tolist()
                yield from (to_address(address(number)) for number in owners if number not in aside)
        yield from self._set_apart(aside)

    def _aside(self) -> set[int]:
        """Return the accounts for which the columns do not speak."""
        aside = self._book.changed_since(self._version)
        for account in (*self._stable, *self._over):
            number = self._book.addresses.find(address_bytes(account))
            if number is not None:
                aside.add(number)
        return aside

    def _set_apart(self, aside: set[int]) -> Iterator[Address]:
        address = self._book.addresses.address
        accounts = {to_address(address(number)) for number in aside}
        accounts.update(account for account in self._over if account not in accounts)
        return (account for account in sorted(accounts) if account in self)


def with_position(
    positions: Mapping[Address, Position], account: Address, position: Position
) -> Mapping[Address, Position]:
    """Return `positions` with one replaced; one without debt removes it."""
    if isinstance(positions, BookPositions):
        return positions.with_position(account, position)
    kept = {**positions, account: position}
    return kept if position.has_debt else {other: held for other, held in kept.items() if other != account}


def position_of(row: Row, stable: tuple[StableDebt, ...] = ()) -> Position:
    """Return a row as the rules want it: what is supplied but no collateral does not count.

    A reserve that is owed at a stable rate alone is borrowed too, with no variable debt.
    """
    debts = row.debts
    if stable:
        debts = tuple(sorted({**dict.fromkeys((debt.reserve_id for debt in stable), 0), **dict(debts)}.items()))
    return Position(emode=row.category, collaterals=row.collaterals, debts=debts, stable_debts=stable)
