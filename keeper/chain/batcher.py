"""Many reads in one `eth_call`: the codec of `Batcher.read((address,bytes)[])`.

Nobody has to deploy the Batcher: its code is put at a fixed, unlikely address for the length of the
call. A gas probe before the first and after the last read tells whether the reads ran out of gas,
which would otherwise look like their own failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from keeper.artifacts import load_artifact
from keeper.chain.replies import BadReply
from keeper.domain.chain import Call, CallResult
from keeper.domain.units import Address, address_bytes, to_address

BATCHER: Final = to_address(bytes.fromhex("ba7c4e2000000000000000000000000000ba7c4e"))
GAS_PROBE: Final = to_address(bytes.fromhex("6a500be00000000000000000000000000006a500"))
# GAS PUSH1 0 MSTORE PUSH1 32 PUSH1 0 RETURN
_PROBE_CODE: Final = "0x5a60005260206000f3"
_READ_SELECTOR: Final = bytes.fromhex("762eaab3")
_WORD = 32
_FLAG_AND_OFFSET = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAnswer:
    """What one batch returned. `exhausted`: so little gas was left that some results may be its lack."""

    results: list[CallResult]
    exhausted: bool


@cache
def overrides() -> dict[Address, dict[str, str]]:
    """Return the state override that puts the Batcher and the gas probe in place."""
    code = load_artifact("Batcher").deployed_bytecode
    return {BATCHER: {"code": "0x" + code.hex()}, GAS_PROBE: {"code": _PROBE_CODE}}


def encode_batch(calls: Sequence[Call]) -> str:
    """Return the calldata that executes `calls` between two gas probes, as hexadecimal text."""
    probe = Call(to=GAS_PROBE, data=b"")
    elements = [_encode_call(call) for call in (probe, *calls, probe)]
    offsets = []
    offset = 32 * len(elements)
    for element in elements:
        offsets.append(offset.to_bytes(32, "big"))
        offset += len(element)
    head = (32).to_bytes(32, "big") + len(elements).to_bytes(32, "big")
    return "0x" + b"".join((_READ_SELECTOR, head, *offsets, *elements)).hex()


def _encode_call(call: Call) -> bytes:
    size = len(call.data)
    padding = bytes(-size % 32)
    return b"".join(
        (bytes(12), address_bytes(call.to), (64).to_bytes(32, "big"), size.to_bytes(32, "big"), call.data, padding)
    )


def decode_batch(reply: bytes, count: int) -> BatchAnswer:
    """Return the results of `count` calls. Raises BadReply for anything but exactly that encoding."""
    found = _decode_results(reply, count + 2)
    gas_before, gas_after = (_gas(found[0]), _gas(found[-1]))
    return BatchAnswer(results=found[1:-1], exhausted=_ran_low(gas_before, gas_after))


def _ran_low(gas_before: int, gas_after: int) -> bool:
    # A call that burns all it was given leaves 1/64 of the rest, and each level above it another
    # 1/64: an eighth bounds seven levels. The floor is for calls that ask for a fixed amount.
    return gas_after < max(gas_before // 8, 300_000)


def _gas(result: CallResult) -> int:
    if not result.ok or len(result.data) != _WORD:
        return 0  # not even the probe had gas
    return int.from_bytes(result.data, "big")


def _decode_results(reply: bytes, count: int) -> list[CallResult]:
    if _word(reply, 0) != _WORD or _word(reply, 32) != count:
        raise BadReply(f"a batch reply that does not hold {count} results")
    results = []
    for index in range(count):
        start = 64 + _word(reply, 64 + 32 * index)
        flag, offset = _word(reply, start), _word(reply, start + 32)
        if flag > 1 or offset != _FLAG_AND_OFFSET:
            raise BadReply("a batch reply with a malformed result")
        size = _word(reply, start + 64)
        content = reply[start + 96 : start + 96 + size]
        if len(content) != size:
            raise BadReply("a batch reply that ends too early")
        results.append(CallResult(ok=flag == 1, data=content))
    return results


def _word(reply: bytes, at: int) -> int:
    word = reply[at : at + _WORD]
    if len(word) != _WORD:
        raise BadReply("a batch reply that ends too early")
    return int.from_bytes(word, "big")
