"""JSON of the wire to the domain's records. Whatever does not fit raises BadReply."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any, TypeVar

from keeper.chain.replies import BadReply, NodeBehind
from keeper.domain.chain import Head, Log, Receipt
from keeper.domain.errors import RpcError
from keeper.domain.units import Address, to_address

_T = TypeVar("_T")
_WORD = 32
_ADDRESS = 20
_MOST_TOPICS = 4
_USUAL_TOPICS = 3
_QUANTITY_DIGITS = range(3, 67)  # "0x", then 1 to 64


def quantity(value: Any, *, bits: int = 256) -> int:
    """Return a hexadecimal quantity; raises BadReply for another type, a sign, or more than `bits`."""
    if not isinstance(value, str) or not value.startswith("0x") or len(value) not in _QUANTITY_DIGITS:
        raise BadReply(f"not a quantity: {_short(value)}")
    try:
        number = int(value, 16)
    except ValueError:
        raise BadReply(f"not a quantity: {_short(value)}") from None
    if number < 0 or number.bit_length() > bits or "_" in value:
        raise BadReply(f"not a quantity of {bits} bits: {_short(value)}")
    return number


def data(value: Any) -> bytes:
    """Return hexadecimal data of any length."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise BadReply(f"not data: {_short(value)}")
    try:
        return bytes.fromhex(value[2:])
    except ValueError:
        raise BadReply(f"not data: {_short(value)}") from None


def hash_text(value: Any) -> str:
    """Return a 32-byte hash as lower-case text."""
    if len(data(value)) != _WORD:
        raise BadReply(f"not a hash: {_short(value)}")
    return str(value.lower())


def address(value: Any) -> Address:
    """Return a 20-byte address, checksummed."""
    raw = data(value)
    if len(raw) != _ADDRESS:
        raise BadReply(f"not an address: {_short(value)}")
    return to_address(raw)


def head(value: Any) -> Head:
    """Return a block header; a chain without base fee has 0."""
    fields = _object(value)
    return Head(
        number=quantity(fields.get("number"), bits=63),
        hash=hash_text(fields.get("hash")),
        parent_hash=hash_text(fields.get("parentHash")),
        timestamp_s=quantity(fields.get("timestamp"), bits=40),
        base_fee_wei=quantity(fields.get("baseFeePerGas") or "0x0", bits=128),
        gas_used=quantity(fields.get("gasUsed"), bits=63),
        gas_limit=quantity(fields.get("gasLimit"), bits=63),
    )


def head_or_none(value: Any) -> Head | None:
    """Return a block header, None where the node knows no such block."""
    return None if value is None else head(value)


def log(value: Any) -> Log:
    """Return one event log of a mined block."""
    fields = _object(value)
    topics = tuple(map(_topic, items(fields.get("topics"))))
    if len(topics) > _MOST_TOPICS:
        raise BadReply(f"not topics: {_short(fields['topics'])}")
    return Log(
        address(fields.get("address")),
        topics,
        data(fields.get("data")),
        quantity(fields.get("blockNumber"), bits=63),
        hash_text(fields.get("blockHash")),
        hash_text(fields.get("transactionHash")),
        quantity(fields.get("logIndex"), bits=63),
    )


def logs_between(first: int, last: int) -> Callable[[Any], list[Log]]:
    """Return a reader of logs in order; a log outside [first, last] makes the whole reply bad."""

    def read(value: Any) -> list[Log]:
        found = _logs(items(value))
        places = [(entry[3], entry[6]) for entry in found]
        if not all(map(operator.lt, places, places[1:])):
            found.sort(key=lambda entry: (entry.block_number, entry.log_index))
        if found and not first <= found[0].block_number <= found[-1].block_number <= last:
            raise BadReply(f"logs outside the blocks {first} to {last} that were asked for")
        return found

    return read


def _logs(entries: list[Any]) -> list[Log]:
    """Return the logs that were not taken back."""
    # Histories are hundreds of thousands of logs: column by column what is well formed, one by one what is not, by the
    # careful readers, which say what is wrong.
    try:
        kept = [entry for entry in entries if entry.get("removed") is not True]
        return _log_columns(kept)
    except (AttributeError, KeyError, TypeError, ValueError, BadReply):
        removed = [isinstance(entry, dict) and entry.get("removed") is True for entry in entries]
        return [log(entry) for entry, gone in zip(entries, removed, strict=True) if not gone]


def _log_columns(entries: list[dict[str, Any]]) -> list[Log]:
    """Return the logs; raises one of several errors where they are not all well formed."""
    if not entries:
        return []
    addresses, topics, contents, numbers, hashes, transactions, indexes = zip(*map(_LOG_FIELDS, entries), strict=True)
    known = _TOPICS
    if set(map(type, topics)) != {list} or max(map(len, topics)) > _MOST_TOPICS:
        raise ValueError
    if {text[:2] for text in contents} != {"0x"}:
        raise ValueError
    digits = "".join([text[2:] for text in transactions])
    if len(bytes.fromhex(digits)) != _WORD * len(entries) or set(map(len, transactions)) != {2 * _WORD + 2}:
        raise ValueError
    if {text[:2] for text in transactions} != {"0x"} or digits != digits.lower():
        raise ValueError
    columns = zip(
        map(_ADDRESSES.__getitem__, addresses),
        [
            (known[each[0]], known[each[1]], known[each[2]])
            if len(each) == _USUAL_TOPICS
            else tuple([known[text] for text in each])
            for each in topics
        ],
        [bytes.fromhex(text[2:]) for text in contents],
        map(_NUMBERS.__getitem__, numbers),
        map(_HASHES.__getitem__, hashes),
        transactions,
        map(_NUMBERS.__getitem__, indexes),
        strict=True,
    )
    return list(map(functools.partial(tuple.__new__, Log), columns))


class _Known(dict[str, _T]):
    """What texts that come again and again stand for. Only texts that were read without error are kept."""

    def __init__(self, read: Callable[[str], _T], most: int) -> None:
        self._read = read
        self._most = most

    def __missing__(self, text: str) -> _T:
        value = self._read(text)
        if len(self) >= self._most:
            self.clear()
        self[text] = value
        return value


def _topic(text: Any) -> bytes:
    word = data(text)
    if len(word) != _WORD:
        raise BadReply(f"not a topic: {_short(text)}")
    return word


_LOG_FIELDS = operator.itemgetter(
    "address", "topics", "data", "blockNumber", "blockHash", "transactionHash", "logIndex"
)
_ADDRESSES = _Known(address, 65_536)
_TOPICS = _Known(_topic, 65_536)
_NUMBERS = _Known(functools.partial(quantity, bits=63), 65_536)
_HASHES = _Known(hash_text, 4_096)


def logs_of_block(head: Head) -> Callable[[Any], list[Log]]:
    """Return a reader of the logs of exactly this block."""
    read_logs = logs_between(head.number, head.number)

    def read(value: Any) -> list[Log]:
        found = read_logs(value)
        if any(entry.block_hash != head.hash for entry in found):
            raise BadReply(f"logs of another block than {head.hash}")
        return found

    return read


def logs_of_known_blocks(first: int, last: int) -> Callable[[list[Any]], list[Log]]:
    """Return a reader of (block `last`, logs up to it); an endpoint without that block is no source."""
    read_logs = logs_between(first, last)

    def read(results: list[Any]) -> list[Log]:
        for result in results:
            if isinstance(result, RpcError):
                raise result
        last_block = head_or_none(results[0])
        if last_block is None:
            raise NodeBehind(f"the node does not have block {last} yet")
        found = read_logs(results[1])
        if found and found[-1].block_number == last and found[-1].block_hash != last_block.hash:
            raise BadReply(f"logs of another block {last} than the node says it has")
        return found

    return read


def receipt(value: Any) -> Receipt | None:
    """Return a receipt, None while there is none."""
    if value is None:
        return None
    fields = _object(value)
    created, l1_fee = fields.get("contractAddress"), fields.get("l1Fee")
    return Receipt(
        transaction_hash=hash_text(fields.get("transactionHash")),
        ok=_status(fields.get("status")),
        block_number=quantity(fields.get("blockNumber"), bits=63),
        block_hash=hash_text(fields.get("blockHash")),
        gas_used=quantity(fields.get("gasUsed"), bits=63),
        effective_gas_price_wei=quantity(fields.get("effectiveGasPrice"), bits=128),
        contract_address=None if created is None else address(created),
        logs=tuple(map(log, items(fields.get("logs")))),
        l1_fee_wei=0 if l1_fee is None else quantity(l1_fee, bits=128),
    )


def receipt_of(transaction_hash: str) -> Callable[[Any], Receipt | None]:
    """Return a reader that accepts the receipt of this transaction only."""

    def read(value: Any) -> Receipt | None:
        found = receipt(value)
        if found is not None and found.transaction_hash != transaction_hash.lower():
            raise BadReply("the receipt of another transaction")
        return found

    return read


def items(value: Any) -> list[Any]:
    """Return a list."""
    if not isinstance(value, list):
        raise BadReply(f"not a list: {_short(value)}")
    return value


def _status(value: Any) -> bool:
    status = quantity(value, bits=8)
    if status > 1:
        raise BadReply(f"not a status: {status}")
    return status == 1


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadReply(f"not an object: {_short(value)}")
    return value


def _short(value: Any) -> str:
    return repr(value)[:60]
