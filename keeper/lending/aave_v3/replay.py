"""From logs to scaled balances, to the last unit.

The events of the tokens do not carry scaled amounts (transfers apart), but they determine them:

Half up (to 3.4): a mint reports amount + interest, a burn amount - interest (or, where the interest
is larger, a mint of interest - amount); the pool moved amount / index, rounded half up.

Balances (3.5 on): a mint or burn reports the difference between the balance after and the one before
at the account's last index, and the interest since. With the scaled balance s known,
after = f(s) - interest + minted (or - burnt), where f(s) is the balance at the event's index. As an
index is at least one, f is strictly increasing and the scaled balance after is the only one with
that balance.

Directed amounts (the bundled market): as half up, but each operation has its direction: supply and
repay round down, borrow and withdraw up. What the pool mints to the treasury is a scaled amount.

What does not add up marks the account to be read again. Nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from eth_utils import keccak

from keeper.domain.chain import Log
from keeper.domain.fixed_point import mul_div_down, mul_div_half_up, mul_div_up, ray_div_half_up
from keeper.domain.units import MAX_UINT256, RAY, Address, address_bytes
from keeper.lending.aave_v3.revisions import Revision
from keeper.lending.aave_v3.snapshot import Layout
from keeper.lending.book.book import Book
from keeper.lending.book.rows import Row

MINT: Final = keccak(text="Mint(address,address,uint256,uint256,uint256)")
BURN: Final = keccak(text="Burn(address,address,uint256,uint256,uint256)")
BALANCE_TRANSFER: Final = keccak(text="BalanceTransfer(address,address,uint256,uint256)")
TRANSFER: Final = keccak(text="Transfer(address,address,uint256)")
COLLATERAL_ON: Final = keccak(text="ReserveUsedAsCollateralEnabled(address,address)")
COLLATERAL_OFF: Final = keccak(text="ReserveUsedAsCollateralDisabled(address,address)")
EMODE_SET: Final = keccak(text="UserEModeSet(address,uint8)")
UPGRADED: Final = keccak(text="Upgraded(address)")
STABLE_MINT: Final = keccak(text="Mint(address,address,uint256,uint256,uint256,uint256,uint256,uint256)")
STABLE_BURN: Final = keccak(text="Burn(address,uint256,uint256,uint256,uint256,uint256)")

_COMMON: Final = (MINT, BURN, BALANCE_TRANSFER, COLLATERAL_ON, COLLATERAL_OFF, EMODE_SET, UPGRADED)
_TOPICS_OF_A_MOVE: Final = 3
_WORDS_OF_A_MOVE: Final = 96  # bytes: value, interest, index
_SCALED_SINCE: Final = 4  # before this revision some aTokens report transfers unscaled


_After = Callable[[int, int, int, int, bool, bool], int | None]


class Draft:
    """One account while logs are applied to it."""

    __slots__ = ("category", "collateral", "debt", "number", "supply", "was")

    def __init__(self, number: int, row: Row) -> None:
        self.number = number
        self.was = row
        self.category = row.category
        self.supply = dict((*row.collaterals, *row.idle))
        self.collateral = {asset for asset, _ in row.collaterals}
        self.debt = dict(row.debts)

    def row(self) -> Row:
        """Return the account as the book keeps it."""
        on, supply = self.collateral, self.supply
        return Row(
            self.category,
            tuple([(asset, supply.get(asset, 0)) for asset in sorted(on)]),
            tuple(sorted([leg for leg in self.debt.items() if leg[1]])),
            tuple(sorted([leg for leg in supply.items() if leg[1] and leg[0] not in on])),
        )


@dataclass(slots=True)
class Replayed:
    """What a replay left open: accounts to be read from the chain, and whether a contract was upgraded."""

    unsure: set[int] = field(default_factory=set)
    touched: set[int] = field(default_factory=set)
    upgraded: bool = False


def wanted_topics(revision: Revision) -> tuple[bytes, ...]:
    """Return the first topics of all logs a replay reads."""
    topics: tuple[bytes, ...] = _COMMON
    if revision.number < _SCALED_SINCE:
        topics = (*topics, TRANSFER)
    return (*topics, STABLE_MINT, STABLE_BURN) if revision.stable_debt else topics


class Replay:
    """Applies logs, in order, to a book. Pure apart from the book."""

    def __init__(self, book: Book, layout: Layout) -> None:
        self._book = book
        self._revision = layout.revision
        self._pool = layout.pool
        self._pool_word = address_bytes(layout.pool).rjust(32, b"\0")
        self._ids = {address_bytes(token): id_ for token, id_ in layout.ids.items()}
        self._tokens: Mapping[Address, tuple[bool, int]] = {
            **{token: (False, layout.ids[underlying]) for underlying, token in layout.a_tokens.items()},
            **{token: (True, layout.ids[underlying]) for underlying, token in layout.debt_tokens.items()},
        }
        self._stable = frozenset(layout.stable_tokens.values())
        self._drafts: dict[bytes, Draft] = {}
        self._transfers: dict[Address, Log] = {}
        self._result = Replayed()
        self._after: _After = _after_half_up
        if layout.revision.balance_events:
            self._after = _after_by_balance
        elif layout.revision.directional:
            self._after = _after_by_direction
        self._takers: Mapping[bytes, tuple[Callable[[Log, int], None], int]] = {
            MINT: (self._move, 1),
            BURN: (self._move, -1),
            BALANCE_TRANSFER: (self._transfer, 0),
            TRANSFER: (self._note_transfer, 0),
            COLLATERAL_ON: (self._set_collateral, 1),
            COLLATERAL_OFF: (self._set_collateral, -1),
            EMODE_SET: (self._set_category, 0),
            STABLE_MINT: (self._note_stable, 0),
            STABLE_BURN: (self._note_stable, 0),
            UPGRADED: (self._note_upgrade, 0),
        }

    @property
    def knows_anybody(self) -> bool:
        """Whether the book has any account yet."""
        return len(self._book.addresses) > 0

    def __len__(self) -> int:
        """How many accounts are changed and not yet written."""
        return len(self._drafts)

    def apply(self, logs: Iterable[Log]) -> Replayed:
        """Write what `logs` say into the book's live version."""
        self.take(logs)
        return self.write()

    def take(self, logs: Iterable[Log]) -> None:
        """Take in logs; the book stays as it is until `write`."""
        takers = self._takers
        for log in logs:
            if log[1]:  # topics; by place and not by name, as in `_move`: there are hundreds of thousands
                taker = takers.get(log[1][0])
                if taker is not None:
                    taker[0](log, taker[1])

    def write(self) -> Replayed:
        """Write what was taken in into the book's live version."""
        drafts, result = self._drafts.values(), self._result
        self._book.put_all((draft.number, draft.was, draft.row()) for draft in drafts)
        result.touched.update(draft.number for draft in drafts)
        self._drafts, self._result = {}, Replayed()
        return result

    def _note_upgrade(self, log: Log, sign: int) -> None:  # noqa: ARG002 - whatever it is, it is an upgrade
        self._result.upgraded = True

    def _note_stable(self, log: Log, sign: int) -> None:  # noqa: ARG002 - either way the account is read
        if log.address in self._stable:
            self._result.unsure.update(self._book.number(word[12:]) for word in log.topics[1:])

    def _note_transfer(self, log: Log, sign: int) -> None:  # noqa: ARG002 - a transfer has no sign
        if log.address in self._tokens:
            self._transfers[log.address] = log

    def _set_category(self, log: Log, sign: int) -> None:  # noqa: ARG002 - nor has a category
        if log.address == self._pool:
            self._draft(log.topics[1]).category = int.from_bytes(log.data[:32], "big")

    def _set_collateral(self, log: Log, sign: int) -> None:
        asset = self._ids.get(log.topics[1][12:]) if log.address == self._pool else None
        if asset is None:
            return  # a reserve that was dropped since: nobody has anything in it
        collateral = self._draft(log.topics[2]).collateral
        if sign > 0:
            collateral.add(asset)
        else:
            collateral.discard(asset)

    def _move(self, log: Log, sign: int) -> None:
        emitter, topics, data, _, _, _, _ = log
        token = self._tokens.get(emitter)
        if token is None:
            return
        if len(topics) < _TOPICS_OF_A_MOVE:
            self._result.upgraded = True  # another token's idea of this event: the sums will tell
            return
        word = topics[2 if sign > 0 else 1]
        draft = self._drafts.get(word) or self._draft(word)
        owed, asset = token
        legs = draft.debt if owed else draft.supply
        after: int | None = None
        if len(data) == _WORDS_OF_A_MOVE:
            words = int.from_bytes(data, "big")
            value, interest, index_ray = words >> 512, words >> 256 & MAX_UINT256, words & MAX_UINT256
            by_pool = sign > 0 and topics[1] == self._pool_word
            after = self._after(legs.get(asset, 0), sign * value, interest, index_ray, owed, by_pool)
        if after is None or after < 0 or after >> 128:
            self._result.unsure.add(draft.number)
        else:
            legs[asset] = after

    def _transfer(self, log: Log, sign: int) -> None:  # noqa: ARG002 - one gives, one takes
        token = self._tokens.get(log.address)
        if token is None:
            return
        if len(log.topics) < _TOPICS_OF_A_MOVE:
            self._result.upgraded = True  # see `_move`
            return
        asset = token[1]
        value = int.from_bytes(log.data[:32], "big")
        index_ray = int.from_bytes(log.data[32:64], "big")
        giver, taker = self._draft(log.topics[1]), self._draft(log.topics[2])
        moved = self._scaled(log, value, index_ray)
        left = -1 if moved is None else giver.supply.get(asset, 0) - moved
        if moved is None or left < 0 or taker.supply.get(asset, 0) + moved >> 128:
            self._result.unsure |= {giver.number, taker.number}
            return
        giver.supply[asset] = left
        taker.supply[asset] = taker.supply.get(asset, 0) + moved

    def _scaled(self, log: Log, value: int, index_ray: int) -> int | None:
        """Return the scaled amount of a transfer; the oldest aTokens report it unscaled."""
        if self._revision.number >= _SCALED_SINCE or index_ray == 0:
            return value
        plain = self._transfers.get(log.address)
        if plain is None or plain.transaction_hash != log.transaction_hash or plain.topics[1:] != log.topics[1:]:
            return None
        amount = int.from_bytes(plain.data[:32], "big")
        scaled = ray_div_half_up(amount, index_ray)
        return scaled if value in (scaled, amount) else None

    def _draft(self, word: bytes) -> Draft:
        draft = self._drafts.get(word)
        if draft is None:
            number = self._book.number(word[12:])
            draft = self._drafts[word] = Draft(number, self._book.row(number))
        return draft


# Each takes the scaled balance held, the value with its sign, the interest, the index, whether it is the debt token's,
# and whether it is a mint for the pool, and returns the scaled balance after, None when no scaled balance explains it.


def _after_half_up(held: int, change: int, interest: int, index_ray: int, _owed: bool, _by_pool: bool) -> int | None:  # noqa: FBT001
    if not index_ray:
        return None
    amount = change - interest
    moved = mul_div_half_up(abs(amount), RAY, index_ray)
    return held + moved if amount >= 0 else held - moved


def _after_by_balance(held: int, change: int, interest: int, index_ray: int, owed: bool, _by_pool: bool) -> int | None:  # noqa: FBT001
    if index_ray < RAY:
        return None
    balance = mul_div_up(held, index_ray, RAY) if owed else mul_div_down(held, index_ray, RAY)
    wanted = balance - interest + change
    if wanted < 0:
        return None
    after = mul_div_down(wanted, RAY, index_ray) if owed else mul_div_up(wanted, RAY, index_ray)
    found = mul_div_up(after, index_ray, RAY) if owed else mul_div_down(after, index_ray, RAY)
    return after if found == wanted else None


def _after_by_direction(held: int, change: int, interest: int, index_ray: int, owed: bool, by_pool: bool) -> int | None:  # noqa: FBT001
    """Amounts are reported, and each operation has its rounding."""
    if index_ray < RAY:
        return None
    amount = change - interest
    if amount >= 0:
        up = owed or by_pool
        return held + (mul_div_up(amount, RAY, index_ray) if up else mul_div_down(amount, RAY, index_ray))
    if owed:
        return held - min(held, mul_div_down(-amount, RAY, index_ray))
    return held - mul_div_up(-amount, RAY, index_ray)
