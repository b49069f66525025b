"""The executor contract as bytes: creation, calldata of a run, its answer, its event and its errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils import keccak

from keeper.artifacts import load_artifact
from keeper.domain.chain import Log, Receipt
from keeper.domain.plans import Funding, Plan
from keeper.domain.swaps import VenueKind
from keeper.domain.units import Address, to_address

ARTIFACT: Final = "KeeperExecutor"

_PLAN_TYPE: Final = (
    "(address,address,address,address,uint256,uint256,uint8,(uint8,address,address,uint24)[],uint256,uint256)"
)
_RUN: Final = bytes(keccak(text=f"run({_PLAN_TYPE})")[:4])
_PLAN_WORDS: Final = 10
_WORD_BYTES: Final = 32
_OWNER: Final = bytes(keccak(text="owner()")[:4])
_AMOUNTS: Final = ("uint256",) * 4
LIQUIDATED_TOPIC: Final = bytes(keccak(text="Liquidated(address,address,address,uint256,uint256,uint256,uint256)"))
_VENUE_CODES: Final[dict[VenueKind, int]] = {"uniswap-v2": 0, "uniswap-v3": 1}
_FUNDING_CODES: Final[dict[Funding, int]] = {"own": 0, "aave-flash-loan": 1}

RevertDecoder = Callable[[bytes], tuple[str, str]]
"""Turns revert data into a stable code and a sentence."""

_SENTENCES: Final[dict[str, str]] = {
    "AmountTooLarge": "the amount {amountRaw} does not fit the pool's argument",
    "BalanceMoved": "the executor's balance of {token} moved from {beforeRaw} to {afterRaw}: the token is not plain",
    "CallFailed": "a call to {target} failed without a reason",
    "CallbackMissing": "the lending pool ended the flash loan without having called back",
    "DeadlinePassed": "the plan's last block {deadlineBlock} has passed",
    "FactoryNotAllowed": "the factory {factory} is not on the executor's allow-list for its kind ({kind})",
    "FeeTooHigh": "the hop's fee of {feePips} pips is not below 100 %",
    "InsideRun": "the executor is in the middle of a run",
    "IsPaused": "the executor is paused",
    "Loss": "the run would lose {lostRaw} of the debt token",
    "NoCode": "{target} is an address without code",
    "NoPool": "the factory {factory} knows no pool of {tokenIn} and {tokenOut}",
    "NotOperator": "{caller} is neither owner nor operator of the executor",
    "PartialFill": "the pool took {takenRaw} of {offeredRaw} offered: its liquidity ran out",
    "PoolNotAllowed": "the lending pool {pool} is not on the executor's allow-list",
    "ProfitTooLow": "the run gained {gainedRaw}, less than the required {requiredRaw}",
    "RouteDoesNotEndInDebt": "the route does not end in the debt token",
    "TokenRefused": "the token {token} refused a transfer or an approval",
    "UnexpectedCallback": "a callback came from {caller}, which was not expected",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run did: repaid, proceeds and profit in the debt token, seized in the collateral; raw units."""

    repaid_raw: int
    seized_raw: int
    proceeds_raw: int
    profit_raw: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Liquidated:
    """The executor's event. `profit_raw` is what the treasury received, in raw units of `debt`."""

    executor: Address
    account: Address
    debt: Address
    collateral: Address
    result: RunResult


def encode_run(plan: Plan) -> bytes:
    """Return the calldata that runs `plan`."""
    route = [
        _word(_VENUE_CODES[quote.hop.venue])
        + _address_word(quote.hop.factory)
        + _address_word(quote.hop.token_out)
        + _word(quote.hop.fee_pips)
        for quote in plan.route
    ]
    # laid out by hand: the ABI library takes longer for this than the rest of the way from price to signature
    return b"".join(
        (
            _RUN,
            _word(_WORD_BYTES),
            _address_word(plan.pool),
            _address_word(plan.call.account),
            _address_word(plan.call.collateral),
            _address_word(plan.call.debt),
            _word(plan.call.cover_raw),
            _word(plan.fund_raw),
            _word(_FUNDING_CODES[plan.funding]),
            _word(_PLAN_WORDS * _WORD_BYTES),
            _word(plan.min_profit_raw),
            _word(plan.deadline_block),
            _word(len(route)),
            *route,
        )
    )


def _word(value: int) -> bytes:
    return value.to_bytes(_WORD_BYTES, "big")


def _address_word(address: Address) -> bytes:
    return bytes(12) + bytes.fromhex(address[2:])


def encode_owner() -> bytes:
    """Return the calldata that asks for the executor's owner."""
    return _OWNER


def encode_creation(
    *,
    owner: Address,
    treasury: Address,
    operators: Sequence[Address],
    lending_pools: Sequence[Address],
    v2_factories: Sequence[Address],
    v3_factories: Sequence[Address],
) -> bytes:
    """Return the data of the transaction that deploys the executor."""
    arguments = encode(
        ["address", "address", "address[]", "address[]", "address[]", "address[]"],
        [owner, treasury, list(operators), list(lending_pools), list(v2_factories), list(v3_factories)],
    )
    return load_artifact(ARTIFACT).bytecode + arguments


def decode_run(data: bytes) -> RunResult:
    """Return the answer of a run. Raises ValueError when it is not one."""
    try:
        repaid, seized, proceeds, profit = decode(_AMOUNTS, data)
    except DecodingError as error:
        raise ValueError("the executor's answer is not that of a run") from error
    return RunResult(repaid_raw=repaid, seized_raw=seized, proceeds_raw=proceeds, profit_raw=profit)


def decode_liquidated(log: Log) -> Liquidated | None:
    """Return the executor's event in `log`, None when it is another. Raises ValueError on bad data."""
    if log.topics[:1] != (LIQUIDATED_TOPIC,):
        return None
    account, debt, collateral = (to_address(word) for word in log.topics[1:])
    return Liquidated(
        executor=log.address, account=account, debt=debt, collateral=collateral, result=decode_run(log.data)
    )


def realised_raw(receipt: Receipt, executor: Address) -> int:
    """Return what the treasury gained by a receipt, raw units of the debt token; 0 when it reverted."""
    events = (decode_liquidated(log) for log in receipt.logs if log.address == executor)
    return sum(event.result.profit_raw for event in events if event is not None)


def decode_executor_revert(data: bytes, other: RevertDecoder) -> tuple[str, str]:
    """Return (snake_case code, sentence) of revert data; what is not the executor's own goes to `other`."""
    known = _errors().get(data[:4])
    if known is None:
        return other(data)
    name, types, names = known
    try:
        values = dict(zip(names, decode(types, data[4:]), strict=True))
    except DecodingError:
        return _snake(name), f"the executor reverted with {name}"
    readable = {key: to_address(value) if _is_address(value) else value for key, value in values.items()}
    sentence = _SENTENCES.get(name)
    if sentence is None:
        return _snake(name), f"the executor reverted with {name}({_listed(readable)})"
    return _snake(name), sentence.format_map(readable)


@cache
def _errors() -> dict[bytes, tuple[str, tuple[str, ...], tuple[str, ...]]]:
    errors = (item for item in load_artifact(ARTIFACT).abi if item["type"] == "error")
    return {_selector(error): _described(error) for error in errors}


def _described(error: dict[str, Any]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    inputs = error["inputs"]
    return error["name"], tuple(i["type"] for i in inputs), tuple(i["name"] for i in inputs)


def _selector(error: dict[str, Any]) -> bytes:
    types = ",".join(item["type"] for item in error["inputs"])
    return bytes(keccak(text=f"{error['name']}({types})")[:4])


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _is_address(value: object) -> bool:
    return isinstance(value, str) and value.startswith("0x")


def _listed(values: dict[str, object]) -> str:
    items: Iterable[str] = (f"{key}={value}" for key, value in values.items())
    return ", ".join(items)
