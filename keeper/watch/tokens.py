"""What tokens call themselves. For people only: no decision rests on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from keeper.domain.chain import Call, CallResult, Head
from keeper.domain.errors import HistoryMissing, RpcError, Transient
from keeper.domain.units import Address
from keeper.observe import events
from keeper.ports import Chain

_SYMBOL: Final = bytes.fromhex("95d89b41")
_DECIMALS: Final = bytes.fromhex("313ce567")
_LONGEST_SYMBOL: Final = 16
_MOST_DECIMALS: Final = 255


async def read_tokens(chain: Chain, tokens: Iterable[Address], at: Head) -> dict[str, dict[str, Any]]:
    """Return `{address: {"symbol", "decimals"}}` at `at`, sorted by address.

    A token that does not answer is left out, and so are all when the node does not: names are a
    courtesy, and nothing may fail for want of them.
    """
    wanted = sorted(set(tokens), key=str.lower)
    questions = [Call(to=token, data=data) for token in wanted for data in (_SYMBOL, _DECIMALS)]
    try:
        answers = await chain.read(questions, at)
    except (RpcError, Transient, HistoryMissing) as error:
        events.names_unreadable(error=str(error))
        return {}
    found = {}
    for token, symbol, decimals in zip(wanted, answers[::2], answers[1::2], strict=True):
        places = int.from_bytes(decimals.data[:32], "big") if decimals.ok and len(decimals.data) >= 32 else None
        name = decode_symbol(symbol)
        if name and places is not None and places <= _MOST_DECIMALS:
            found[str(token)] = {"symbol": name, "decimals": places}
    return found


def decode_symbol(answer: CallResult) -> str:
    """Return the symbol, given as `string` or `bytes32`; empty when there is none.

    Only printable ASCII is kept: the text is somebody else's and ends up on a terminal.
    """
    data = answer.data
    if not answer.ok or len(data) < 32:
        return ""
    if len(data) == 32:
        raw = data.rstrip(b"\0")
    else:
        start = int.from_bytes(data[:32], "big")
        size = int.from_bytes(data[start : start + 32], "big") if start <= len(data) - 32 else 0
        raw = data[start + 32 : start + 32 + min(size, 4 * _LONGEST_SYMBOL)]
    text = raw.decode("ascii", errors="ignore")
    return "".join(char for char in text if char.isprintable() and not char.isspace())[:_LONGEST_SYMBOL]
