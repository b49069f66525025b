"""JSON of the wire to the domain's records. Whatever does not fit raises BadReply."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from keeper.chain.replies import BadReply, NodeBehind
from keeper.domain.chain import Head, Log, Receipt
from keeper.domain.errors import RpcError
from keeper.domain.units import Address, to_address

_WORD = 32
_ADDRESS = 20
_MOST_TOPICS = 4
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
    # Histories are hundreds of thousands of logs, whose addresses, blocks and places come again and again: straight
    # code for what is well formed, and the careful readers for saying what is not.
    try:
        topics = tuple([_known_topic(text) for text in value["topics"]])
        if len(topics) > _MOST_TOPICS:
            raise BadReply(f"not topics: {_short(value['topics'])}")
        return Log(
            _known_address(value["address"]),
            topics,
            data(value["data"]),
            _known_number(value["blockNumber"]),
            _known_hash(value["blockHash"]),
            hash_text(value["transactionHash"]),
            _known_number(value["logIndex"]),
        )
    except (KeyError, TypeError, ValueError):
        raise BadReply(f"not a log: {_short(value)}") from None


@lru_cache(maxsize=65_536)
def _known_address(text: str) -> Address:
    return address(text)


@lru_cache(maxsize=65_536)
def _known_topic(text: str) -> bytes:
    word = data(text)
    if len(word) != _WORD:
        raise BadReply(f"not a topic: {_short(text)}")
    return word


@lru_cache(maxsize=65_536)
def _known_number(text: str) -> int:
    return quantity(text, bits=63)


@lru_cache(maxsize=4_096)
def _known_hash(text: str) -> str:
    return hash_text(text)


def logs_between(first: int, last: int) -> Callable[[Any], list[Log]]:
    """Return a reader of logs in order; a log outside [first, last] makes the whole reply bad."""

    def read(value: Any) -> list[Log]:
        found: list[Log] = []
        in_order, before = True, (first, -1)
        for item in items(value):
            if isinstance(item, dict) and item.get("removed") is True:
                continue
            entry = log(item)
            place = entry.block_number, entry.log_index
            if place <= before:
                in_order = False
            before = place
            if not first <= place[0] <= last:
                raise BadReply(f"logs outside the blocks {first} to {last} that were asked for")
            found.append(entry)
        return found if in_order else sorted(found, key=lambda entry: (entry.block_number, entry.log_index))

    return read


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
    created = fields.get("contractAddress")
    return Receipt(
        transaction_hash=hash_text(fields.get("transactionHash")),
        ok=_status(fields.get("status")),
        block_number=quantity(fields.get("blockNumber"), bits=63),
        block_hash=hash_text(fields.get("blockHash")),
        gas_used=quantity(fields.get("gasUsed"), bits=63),
        effective_gas_price_wei=quantity(fields.get("effectiveGasPrice"), bits=128),
        contract_address=None if created is None else address(created),
        logs=tuple(map(log, items(fields.get("logs")))),
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
