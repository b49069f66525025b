"""A block's hash, computed from its header as the node tells it: a header that does not hash to it is forged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from eth_utils.crypto import keccak

from keeper.chain import decode
from keeper.chain.replies import BadReply
from keeper.chain.rlp import Item, rlp_encode
from keeper.domain.chain import Head

_BYTES: Final = "bytes"
_NUMBER: Final = "number"
# The order of the yellow paper; what later upgrades added stands at the end and may be missing.
_FIELDS: Final = (
    ("parentHash", _BYTES),
    ("sha3Uncles", _BYTES),
    ("miner", _BYTES),
    ("stateRoot", _BYTES),
    ("transactionsRoot", _BYTES),
    ("receiptsRoot", _BYTES),
    ("logsBloom", _BYTES),
    ("difficulty", _NUMBER),
    ("number", _NUMBER),
    ("gasLimit", _NUMBER),
    ("gasUsed", _NUMBER),
    ("timestamp", _NUMBER),
    ("extraData", _BYTES),
    ("mixHash", _BYTES),
    ("nonce", _BYTES),
)
_LATER: Final = (
    ("baseFeePerGas", _NUMBER),
    ("withdrawalsRoot", _BYTES),
    ("blobGasUsed", _NUMBER),
    ("excessBlobGas", _NUMBER),
    ("parentBeaconBlockRoot", _BYTES),
    ("requestsHash", _BYTES),
)


_BESIDE: Final = frozenset(
    {"hash", "size", "transactions", "uncles", "withdrawals", "totalDifficulty", "miner", "author", "requests"}
)
_KNOWN: Final = frozenset(name for name, _ in (*_FIELDS, *_LATER)) | _BESIDE


class HeaderReader:
    """Reads headers and, on chains whose headers hash as Ethereum's, believes none that does not hash to its hash.

    Whether the chain is one of those is learnt from the headers. One with fields that are not known
    here (an upgrade to come) cannot be checked and is taken as it is.
    """

    def __init__(self) -> None:
        self._do_hash = False

    def head(self, value: Any) -> Head:
        """Return a block header. Raises BadReply for a malformed or a forged one."""
        found = decode.head(value)
        if is_self_consistent(value):
            self._do_hash = True
        elif self._do_hash and value.keys() <= _KNOWN:
            raise BadReply(f"a header of block {found.number} that does not hash to {found.hash}")
        return found

    def head_or_none(self, value: Any) -> Head | None:
        """Return a block header, None where the node knows no such block."""
        return None if value is None else self.head(value)


def compute_block_hash(header: Mapping[str, Any]) -> str:
    """Return the hash of a header in JSON-RPC's form, 0x and lower-case. Raises BadReply for a malformed one.

    Chains with headers of their own (some rollups) hash otherwise: there no header will fit.
    """
    items: list[Item] = [_item(header, name, kind) for name, kind in _FIELDS]
    items += [_item(header, name, kind) for name, kind in _LATER if header.get(name) is not None]
    return "0x" + keccak(rlp_encode(items)).hex()


def is_self_consistent(header: Any) -> bool:
    """Whether a header hashes to the hash it claims."""
    if not isinstance(header, dict):
        return False
    try:
        return compute_block_hash(header) == decode.hash_text(header.get("hash"))
    except BadReply:
        return False


def _item(header: Mapping[str, Any], name: str, kind: str) -> Item:
    value = header.get(name)
    return decode.quantity(value) if kind == _NUMBER else decode.data(value)
