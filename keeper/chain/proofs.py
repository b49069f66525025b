"""What a state root proves about an account: the walk through a Merkle-Patricia tree (`eth_getProof`).

A proof cannot be forged, whoever hands it over: each node is named by its hash, from the root down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from eth_utils.crypto import keccak

from keeper.domain.units import Address, address_bytes

Node: TypeAlias = "bytes | list[Node]"

EMPTY_CODE_HASH: Final = keccak(b"")
_EMPTY_ROOT: Final = keccak(b"\x80")
_BRANCH, _SHORT = 17, 2
_ACCOUNT_FIELDS = 4
_DEEPEST = 64


class ProofError(ValueError):
    """The nodes do not prove anything under that root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    """What a state root says of an account; one that does not exist has nonce 0 and no code."""

    nonce: int
    code_hash: bytes
    storage_root: bytes


def read_account(state_root: bytes, account: Address, nodes: Sequence[bytes]) -> AccountState:
    """Return what `nodes` prove about `account`. Raises ProofError."""
    leaf = _walk(state_root, address_bytes(account), nodes)
    if leaf is None:
        return AccountState(nonce=0, code_hash=EMPTY_CODE_HASH, storage_root=_EMPTY_ROOT)
    fields = _decode(leaf)
    if not isinstance(fields, list) or len(fields) != _ACCOUNT_FIELDS:
        raise ProofError("a leaf that is no account")
    nonce, _, storage_root, code_hash = fields
    if not (isinstance(nonce, bytes) and isinstance(storage_root, bytes) and isinstance(code_hash, bytes)):
        raise ProofError("a leaf that is no account")
    return AccountState(nonce=int.from_bytes(nonce, "big"), code_hash=code_hash, storage_root=storage_root)


def read_slot(storage_root: bytes, slot: bytes, nodes: Sequence[bytes]) -> int:
    """Return what `nodes` prove about a storage slot (32 bytes); 0 for an empty one. Raises ProofError."""
    leaf = _walk(storage_root, slot, nodes)
    if leaf is None:
        return 0
    value = _decode(leaf)
    if not isinstance(value, bytes):
        raise ProofError("a slot that is a list")
    return int.from_bytes(value, "big")


def _walk(root: bytes, key: bytes, nodes: Sequence[bytes]) -> bytes | None:
    """Return the value at `key`, None when the nodes prove that there is none."""
    if root == _EMPTY_ROOT:
        return None
    by_hash = {keccak(node): node for node in nodes}
    path = keccak(key).hex()
    reference: Node = root
    for _ in range(_DEEPEST + 1):
        node = _resolve(reference, by_hash)
        if len(node) == _BRANCH:
            if not path:
                return _value(node[16])
            reference, path = node[int(path[0], 16)], path[1:]
        elif len(node) == _SHORT:
            part, is_leaf = _unpack(node[0])
            if is_leaf:
                return _value(node[1]) if part == path else None
            if not path.startswith(part):
                return None
            reference, path = node[1], path[len(part) :]
        else:
            raise ProofError("a node of another size")
        if reference == b"":
            return None
    raise ProofError("a path without end")


def _resolve(reference: Node, by_hash: dict[bytes, bytes]) -> list[Node]:
    node = reference if isinstance(reference, list) else _decode(by_hash.get(reference, b""))
    if not isinstance(node, list):
        raise ProofError("a node is missing")
    return node


def _value(item: Node) -> bytes | None:
    if not isinstance(item, bytes):
        raise ProofError("a list in the place of a value")
    return item or None


def _unpack(item: Node) -> tuple[str, bool]:
    """Return the path of a leaf or extension as hexadecimal digits, and whether it is a leaf."""
    if not isinstance(item, bytes) or not item:
        raise ProofError("a path that is none")
    digits = item.hex()
    flag = int(digits[0], 16)
    return digits[1:] if flag & 1 else digits[2:], bool(flag & 2)


def _decode(data: bytes) -> Node:
    node, end = _decode_at(data, 0)
    if end != len(data):
        raise ProofError("bytes behind a node")
    return node


def _decode_at(data: bytes, at: int) -> tuple[Node, int]:
    if at >= len(data):
        raise ProofError("a node that ends too early")
    first = data[at]
    if first < 0x80:
        return data[at : at + 1], at + 1
    is_list = first >= 0xC0
    short = first - (0xC0 if is_list else 0x80)
    start = at + 1
    if short > 55:
        width = short - 55
        size, start = int.from_bytes(data[start : start + width], "big"), start + width
    else:
        size = short
    end = start + size
    if end > len(data):
        raise ProofError("a node that ends too early")
    if not is_list:
        return data[start:end], end
    items: list[Node] = []
    while start < end:
        item, start = _decode_at(data, start)
        items.append(item)
    return items, end
