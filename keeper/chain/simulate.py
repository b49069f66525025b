"""Transactions executed in a block that does not exist yet (`eth_simulateV1`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from keeper.chain import decode
from keeper.chain.blocks import PinnedBlocks
from keeper.chain.replies import BadReply, is_creation_refused, is_method_missing
from keeper.chain.rlp import create_address
from keeper.chain.rpc import RpcClient
from keeper.domain.chain import AccountOverride, Head, SimulatedCall, SimulatedOutcome
from keeper.domain.errors import ConfigError, RpcError
from keeper.domain.units import Address

# Room for many transactions: the real limit says nothing about what a plan does.
_BLOCK_GAS_LIMIT = 1_000_000_000
_CREATION_GAS = 32_000
_GAS_PER_CODE_BYTE = 200
_GAS_PER_INIT_WORD = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    """Calls of one simulated block, after these overrides."""

    calls: list[SimulatedCall]
    overrides: Mapping[Address, AccountOverride]


class Simulator:
    """Runs transactions one after another on top of a block.

    Some nodes cannot create contracts in a simulation. There a creation is played by a call to its
    future address, which holds the creation code while the constructor runs and the code it returned
    from then on; gas is charged as for the real thing.
    """

    def __init__(self, rpc: RpcClient, blocks: PinnedBlocks) -> None:
        self._rpc = rpc
        self._blocks = blocks
        self._plays_creations = False

    async def simulate(
        self,
        calls: Sequence[SimulatedCall],
        *,
        at: Head,
        timestamp_s: int | None,
        overrides: Mapping[Address, AccountOverride],
    ) -> list[SimulatedOutcome]:
        """Return what each call does. Raises ConfigError where the node lacks the method."""
        creates = any(call.to is None for call in calls)
        if not (creates and self._plays_creations):
            try:
                return await self._run([_Segment(calls=list(calls), overrides=overrides)], at, timestamp_s)
            except RpcError as error:
                if not (creates and is_creation_refused(error)):
                    raise
                self._plays_creations = True
        return await self._play(list(calls), at, timestamp_s, overrides)

    async def _play(
        self,
        calls: list[SimulatedCall],
        at: Head,
        timestamp_s: int | None,
        overrides: Mapping[Address, AccountOverride],
    ) -> list[SimulatedOutcome]:
        """Run `calls` with each creation played; every creation takes one request more."""
        played = list(calls)
        segments = [_Segment(calls=[], overrides=overrides)]
        for index, call in enumerate(calls):
            if call.to is None:
                address = create_address(call.sender, await self._nonce_before(calls[:index], call, at, overrides))
                code = AccountOverride(code=call.data)
                played[index] = replace(call, to=address, data=b"")
                segments.append(_Segment(calls=[played[index]], overrides={address: code}))
                outcome = (await self._run(segments, at, timestamp_s))[-1]
                deployed = AccountOverride(code=outcome.data if outcome.ok else b"")
                segments.append(_Segment(calls=[], overrides={address: deployed}))
            else:
                segments[-1].calls.append(call)
        outcomes = await self._run(segments, at, timestamp_s)
        return [_as_creation(call, outcome) for call, outcome in zip(calls, outcomes, strict=True)]

    async def _nonce_before(
        self,
        earlier: Sequence[SimulatedCall],
        call: SimulatedCall,
        at: Head,
        overrides: Mapping[Address, AccountOverride],
    ) -> int:
        given = overrides.get(call.sender, AccountOverride()).nonce
        sent = sum(1 for other in earlier if other.sender == call.sender)
        if given is not None:
            return given + sent

        async def request(block: Any) -> int:
            return await self._rpc.request("eth_getTransactionCount", (call.sender, block), decode.quantity)

        return await self._blocks.ask(at, request) + sent

    async def _run(self, segments: Sequence[_Segment], at: Head, timestamp_s: int | None) -> list[SimulatedOutcome]:
        fields: dict[str, str] = {"number": hex(at.number + 1), "gasLimit": hex(_BLOCK_GAS_LIMIT)}
        if timestamp_s is not None:
            fields["time"] = hex(timestamp_s)
        used = [segment for segment in segments if segment.calls or segment.overrides]
        payload = {
            "blockStateCalls": [
                {
                    "blockOverrides": fields,
                    "stateOverrides": encode_overrides(segment.overrides),
                    "calls": [_encode_call(call) for call in segment.calls],
                }
                for segment in used
            ],
            "validation": False,
        }
        parse = _outcomes([len(segment.calls) for segment in used])

        async def request(block: Any) -> list[SimulatedOutcome]:
            return await self._rpc.request("eth_simulateV1", (payload, block), parse)

        try:
            return await self._blocks.ask(at, request)
        except RpcError as error:
            if is_method_missing(error):
                raise ConfigError(
                    "the endpoint does not offer eth_simulateV1, without which nothing is sent; use one that does"
                ) from None
            raise


def encode_overrides(overrides: Mapping[Address, AccountOverride]) -> dict[Address, dict[str, Any]]:
    """Return a state override as the wire wants it: quantities, and 32-byte storage words."""
    return {address: _encode_override(override) for address, override in overrides.items()}


def _encode_override(override: AccountOverride) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if override.balance_wei is not None:
        fields["balance"] = hex(override.balance_wei)
    if override.nonce is not None:
        fields["nonce"] = hex(override.nonce)
    if override.code is not None:
        fields["code"] = "0x" + override.code.hex()
    if override.storage:
        fields["stateDiff"] = {f"0x{slot:064x}": f"0x{word:064x}" for slot, word in override.storage.items()}
    return fields


def _encode_call(call: SimulatedCall) -> dict[str, Any]:
    fields: dict[str, Any] = {"from": call.sender, "input": "0x" + call.data.hex(), "value": hex(call.value_wei)}
    if call.to is not None:
        fields["to"] = call.to
    if call.gas_units is not None:
        fields["gas"] = hex(call.gas_units)
    return fields


def _outcomes(counts: Sequence[int]) -> Callable[[Any], list[SimulatedOutcome]]:
    def parse(value: Any) -> list[SimulatedOutcome]:
        blocks = decode.items(value)
        found = [decode.items(block.get("calls")) if isinstance(block, dict) else [] for block in blocks]
        # a node may put empty blocks between those that were asked for
        if [len(calls) for calls in found if calls] != [count for count in counts if count]:
            raise BadReply("a simulation with another number of results than calls")
        return [_outcome(call) for calls in found for call in calls]

    return parse


def _outcome(value: Any) -> SimulatedOutcome:
    if not isinstance(value, dict):
        raise BadReply("a simulated call that is no object")
    ok = decode.quantity(value.get("status"), bits=8) == 1
    return SimulatedOutcome(
        ok=ok,
        data=decode.data(value.get("returnData") or "0x") or _error_data(value.get("error")),
        gas_units=decode.quantity(value.get("gasUsed"), bits=63),
        logs=tuple(map(decode.log, decode.items(value.get("logs") or []))),
    )


def _error_data(error: Any) -> bytes:
    """Revert data stands in `returnData` on some nodes and in the error on others."""
    text = error.get("data") if isinstance(error, dict) else None
    return decode.data(text) if isinstance(text, str) and text.startswith("0x") else b""


def _as_creation(call: SimulatedCall, outcome: SimulatedOutcome) -> SimulatedOutcome:
    """Return the outcome of a played creation with the gas the real one costs."""
    if call.to is not None:
        return outcome
    calldata = sum(16 if byte else 4 for byte in call.data)
    init_words = -(-len(call.data) // 32)
    deposit = _GAS_PER_CODE_BYTE * len(outcome.data) if outcome.ok else 0
    extra = _CREATION_GAS + calldata + _GAS_PER_INIT_WORD * init_words + deposit
    return replace(outcome, gas_units=outcome.gas_units + extra)
