"""Calls by name: just enough of the ABI to deploy and drive contracts on a local chain."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import eth_abi
from eth_abi.grammar import TupleType, parse
from eth_utils import keccak
from eth_utils.abi import collapse_if_tuple

from keeper.domain.errors import Failed
from keeper.domain.units import Address, address_bytes, to_address

AbiEntry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Function:
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Interface:
    """A contract's ABI. Overloads are told apart by the number of arguments."""

    def __init__(self, abi: Sequence[AbiEntry]) -> None:
        self._functions: dict[tuple[str, int], _Function] = {}
        self._constructor: tuple[str, ...] = ()
        self.errors: dict[bytes, str] = {}
        for entry in abi:
            types = _types(entry.get("inputs", []))
            if entry["type"] == "function":
                self._functions[entry["name"], len(types)] = _Function(types, _types(entry["outputs"]))
            elif entry["type"] == "constructor":
                self._constructor = types
            elif entry["type"] == "error":
                signature = f"{entry['name']}({','.join(types)})"
                self.errors[keccak(text=signature)[:4]] = signature

    @classmethod
    def of(cls, *signatures: str) -> Self:
        """Make an interface from lines such as `balanceOf(address) (uint256)`: a name, inputs, outputs."""
        interface = cls([])
        for line in signatures:
            call, _, returned = line.partition(" ")
            name, _, _ = call.partition("(")
            inputs = _split(call.removeprefix(name))
            interface._functions[name, len(inputs)] = _Function(inputs, _split(returned))
        return interface

    def encode(self, name: str, *arguments: Any) -> bytes:
        """Return the calldata of `name`; raises Failed when the contract has no such function."""
        types = self._function(name, len(arguments)).inputs
        return keccak(text=f"{name}({','.join(types)})")[:4] + eth_abi.encode(types, arguments)

    def decode(self, name: str, arity: int, data: bytes) -> Any:
        """Return what `name` answered: one value, or a tuple of several. Addresses come checksummed."""
        types = self._function(name, arity).outputs
        values = [_checksummed(kind, value) for kind, value in zip(types, eth_abi.decode(types, data), strict=True)]
        return values[0] if len(values) == 1 else tuple(values)

    def encode_constructor(self, *arguments: Any) -> bytes:
        """Return the constructor's arguments, to be put behind the bytecode."""
        return eth_abi.encode(self._constructor, arguments)

    def _function(self, name: str, arity: int) -> _Function:
        found = self._functions.get((name, arity))
        if found is None:
            raise Failed(f"the ABI has no function {name} with {arity} arguments")
        return found


def create_address(sender: Address, nonce: int) -> Address:
    """Return the address of the contract that `sender` creates with its transaction number `nonce`."""
    number = b"" if nonce == 0 else nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    encoded_nonce = number if 0 < nonce < 0x80 else bytes([0x80 + len(number)]) + number
    payload = b"\x94" + address_bytes(sender) + encoded_nonce
    return to_address(keccak(bytes([0xC0 + len(payload)]) + payload)[12:])


def _types(parameters: Sequence[AbiEntry]) -> tuple[str, ...]:
    return tuple(collapse_if_tuple(parameter) for parameter in parameters)


def _split(listed: str) -> tuple[str, ...]:
    if listed in {"", "()"}:
        return ()
    parsed = parse(listed)
    if not isinstance(parsed, TupleType):
        raise Failed(f"not a list of types: {listed}")
    return tuple(component.to_type_str() for component in parsed.components)


def _checksummed(kind: str, value: Any) -> Any:
    if kind == "address":
        return to_address(value)
    if kind == "address[]":
        return [to_address(item) for item in value]
    return value
