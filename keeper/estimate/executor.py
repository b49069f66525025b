"""The executor contract as bytes: creation, calldata of a run, its answer, its events and its errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils import keccak

from keeper.artifacts import load_artifact
from keeper.domain.chain import Log, Receipt
from keeper.domain.lending import LiquidationCall
from keeper.domain.plans import Fund, Plan
from keeper.domain.swaps import Hop, HopQuote, Sale, VenueKind
from keeper.domain.units import Address, to_address

ARTIFACT: Final = "KeeperExecutor"

_RUN: Final = bytes(keccak(text="run(bytes)")[:4])
_OWNER: Final = bytes(keccak(text="owner()")[:4])
_RUN_ANSWER: Final = ("(uint256,uint256)[]", "uint256", "uint256")
LIQUIDATED_TOPIC: Final = bytes(keccak(text="Liquidated(address,address,address,uint256,uint256)"))
SETTLED_TOPIC: Final = bytes(keccak(text="Settled(address,uint256)"))
_TRANSFER: Final = bytes(keccak(text="Transfer(address,address,uint256)"))

# contracts/src/libraries/PlanCodec.sol has the layout as a table
_VERSION: Final = 1
_FUND_OWN, _FUND_AAVE, _FUND_V3, _FUND_MORPHO, _LIQUIDATE, _REDEEM, _SWAP = range(7)
_VENUE_CODES: Final[dict[VenueKind, int]] = {"uniswap-v2": 0, "uniswap-v3": 1}
_WORD_BYTES: Final = 32
_AMOUNT_BYTES: Final = 16
_ALL: Final = 2 ** (8 * _AMOUNT_BYTES) - 1
_REST: Final = 0

RevertDecoder = Callable[[bytes], tuple[str, str]]
"""Turns revert data into a stable code and a sentence."""

_SENTENCES: Final[dict[str, str]] = {
    "AmountTooLarge": "the amount {amountRaw} does not fit where it has to go",
    "BalanceFell": "the executor's balance of {token} would fall from {beforeRaw} to {afterRaw}",
    "CallFailed": "a call to {target} failed without a reason",
    "CallbackMissing": "the lender {lender} ended its call without having called back",
    "DeadlinePassed": "the plan's last block {deadlineBlock} has passed",
    "FactoryNotAllowed": "the factory {factory} is not on the executor's allow-list for its kind ({kind})",
    "FeeTooHigh": "the hop's fee of {feePips} pips is not below 100 %",
    "FlashLenderNotAllowed": "the flash lender {lender} is not on the executor's allow-list",
    "InsideRun": "the executor is in the middle of a run",
    "IsPaused": "the executor is paused",
    "NoCode": "{target} is an address without code",
    "NoPool": "the factory {factory} knows no pool of {tokenIn} and {tokenOut}",
    "NotGuardian": "{caller} is neither owner nor guardian of the executor",
    "NotOperator": "{caller} is neither owner nor operator of the executor",
    "NotOwner": "{caller} is not the owner of the executor",
    "NotPendingOwner": "{caller} was not offered the ownership of the executor",
    "NothingLeft": "the run has gained nothing of {token} that could be sold or redeemed",
    "PartialFill": "the pool took {takenRaw} of {offeredRaw} offered: its liquidity ran out",
    "PlanCutShort": "the plan ends in the middle of a step",
    "PoolNotAllowed": "the lending pool {pool} is not on the executor's allow-list",
    "PremiumTooHigh": "the flash loan costs {premiumRaw}, more than the {mostRaw} planned",
    "ProfitTooLow": "the run gained {gainedRaw}, less than the required {requiredRaw}",
    "TokenRefused": "the token {token} refused a transfer or an approval",
    "TreasuryRefused": "the treasury refused the native coin",
    "UnexpectedCallback": "a callback came from {caller}, which was not expected",
    "UnknownKind": "there is no kind {kind} of swap venue",
    "UnknownStep": "the executor knows no step with the code {code}",
    "UnknownToken": "the plan has no token with the number {index}",
    "UnknownVersion": "the executor does not read plans of version {version}",
    "ZeroAddress": "an address is zero that must not be",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What one liquidation did: debt repaid and collateral received, raw units of each."""

    repaid_raw: int
    received_raw: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run did, step by step; proceeds and profit in raw units of the profit token."""

    steps: tuple[StepResult, ...]
    proceeds_raw: int
    profit_raw: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Liquidated:
    """The executor's event of one liquidation, raw units of `debt` and of `collateral`."""

    executor: Address
    account: Address
    debt: Address
    collateral: Address
    repaid_raw: int
    received_raw: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The executor's event of a run that succeeded: the treasury received `profit_raw` of `profit_token`."""

    executor: Address
    profit_token: Address
    profit_raw: int


def encode_run(plan: Plan) -> bytes:
    """Return the calldata that runs `plan`. Raises OverflowError when an amount does not fit into 128 bits."""
    packed = _pack(plan)
    # laid out by hand: the ABI library takes longer for this than the rest of the way from price to signature
    return b"".join((_RUN, _word(_WORD_BYTES), _word(len(packed)), packed, bytes(-len(packed) % _WORD_BYTES)))


def _pack(plan: Plan) -> bytes:
    tokens = _number(_touched(plan), first=0)
    claimed = (step.call.collateral for step in plan.steps if step.call.receive == "atoken")
    claims = _number(claimed, first=len(tokens))
    parts = [
        bytes((_VERSION,)),
        plan.deadline_block.to_bytes(5, "big"),
        _amount(plan.min_profit_raw),
        bytes((len(tokens), len(claims))),
        *(_address(token) for token in tokens),
    ]
    parts += [_address(plan.pool) + bytes((tokens[token],)) for token in claims]
    parts += [_pack_fund(fund, plan.legs, tokens) for fund in plan.funds]
    parts += [_pack_liquidation(plan.pool, step.call, tokens, claims) for step in plan.steps]
    parts += [bytes((_REDEEM, claim)) for claim in claims.values()]
    parts += _pack_sale(_left_to_sell(plan), tokens, plan.profit_token)
    return b"".join(parts)


def _touched(plan: Plan) -> Iterator[Address]:
    yield plan.profit_token
    for fund in plan.funds:
        yield fund.token
    for step in plan.steps:
        yield step.call.debt
        yield step.call.collateral
    for leg in plan.legs:
        yield leg.token_in
        for quote in leg.quotes:
            yield quote.hop.token_out


def _number(tokens: Iterable[Address], *, first: int) -> dict[Address, int]:
    return {token: first + i for i, token in enumerate(dict.fromkeys(tokens))}


def _pack_fund(fund: Fund, legs: Sale, tokens: dict[Address, int]) -> bytes:
    token = bytes((tokens[fund.token],))
    match fund.source:
        case "own":
            return bytes((_FUND_OWN,)) + token + _amount(fund.amount_raw)
        case "aave-flash-loan":
            amounts = _amount(fund.amount_raw) + _amount(fund.premium_raw)
            return bytes((_FUND_AAVE,)) + _address(fund.lender) + token + amounts
        case "morpho-flash":
            return bytes((_FUND_MORPHO,)) + _address(fund.lender) + token + _amount(fund.amount_raw)
        case "uniswap-v3-flash":
            last = legs[0].quotes[-1]
            pool = _address(last.hop.factory) + last.hop.fee_pips.to_bytes(3, "big")
            return bytes((_FUND_V3,)) + pool + bytes((tokens[last.hop.token_in],)) + token + _amount(last.amount_in_raw)


def _pack_liquidation(
    pool: Address, call: LiquidationCall, tokens: dict[Address, int], claims: dict[Address, int]
) -> bytes:
    received = (claims if call.receive == "atoken" else tokens)[call.collateral]
    numbers = bytes((tokens[call.collateral], tokens[call.debt], received))
    cover = _amount(min(call.cover_raw, _ALL))
    return bytes((_LIQUIDATE,)) + _address(pool) + _address(call.account) + numbers + cover


def _left_to_sell(plan: Plan) -> list[tuple[HopQuote, ...]]:
    """The legs without the hop that lends: its pool was paid by the fund."""
    legs = [leg.quotes for leg in plan.legs]
    if any(fund.source == "uniswap-v3-flash" for fund in plan.funds):
        legs[0] = legs[0][:-1]
    return [quotes for quotes in legs if quotes]


def _pack_sale(legs: list[tuple[HopQuote, ...]], tokens: dict[Address, int], profit_token: Address) -> list[bytes]:
    """The last leg of a token sells all that is left of it; of the profit token what is left is the profit."""
    last = {quotes[0].hop.token_in: i for i, quotes in enumerate(legs)}
    parts = []
    for i, quotes in enumerate(legs):
        sold = quotes[0].hop.token_in
        amount_raw = _REST if last[sold] == i and sold != profit_token else quotes[0].amount_in_raw
        parts.append(bytes((_SWAP, tokens[sold])) + _amount(amount_raw) + bytes((len(quotes),)))
        parts += [_pack_hop(quote.hop, tokens) for quote in quotes]
    return parts


def _pack_hop(hop: Hop, tokens: dict[Address, int]) -> bytes:
    kind, token = bytes((_VENUE_CODES[hop.venue],)), bytes((tokens[hop.token_out],))
    return kind + _address(hop.factory) + token + hop.fee_pips.to_bytes(3, "big")


def _amount(raw: int) -> bytes:
    return raw.to_bytes(_AMOUNT_BYTES, "big")


def _address(address: Address) -> bytes:
    return bytes.fromhex(address[2:])


def _word(value: int) -> bytes:
    return value.to_bytes(_WORD_BYTES, "big")


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
    flash_lenders: Sequence[Address],
) -> bytes:
    """Return the data of the transaction that deploys the executor."""
    arguments = encode(
        ["address", "address", "address[]", "address[]", "address[]", "address[]", "address[]"],
        [owner, treasury, *map(list, (operators, lending_pools, v2_factories, v3_factories, flash_lenders))],
    )
    return load_artifact(ARTIFACT).bytecode + arguments


def decode_run(data: bytes) -> RunResult:
    """Return the answer of a run. Raises ValueError when it is not one."""
    try:
        steps, proceeds, profit = decode(_RUN_ANSWER, data)
    except DecodingError as error:
        raise ValueError("the executor's answer is not that of a run") from error
    results = tuple(StepResult(repaid_raw=repaid, received_raw=received) for repaid, received in steps)
    return RunResult(steps=results, proceeds_raw=proceeds, profit_raw=profit)


def decode_liquidated(log: Log) -> Liquidated | None:
    """Return the event of one liquidation in `log`, None when it is another. Raises ValueError on bad data."""
    if log.topics[:1] != (LIQUIDATED_TOPIC,):
        return None
    account, debt, collateral = (to_address(word) for word in log.topics[1:])
    repaid, received = _amounts(log, 2)
    return Liquidated(
        executor=log.address,
        account=account,
        debt=debt,
        collateral=collateral,
        repaid_raw=repaid,
        received_raw=received,
    )


def decode_settled(log: Log) -> Settled | None:
    """Return the event of a run in `log`, None when it is another. Raises ValueError on bad data."""
    if log.topics[:1] != (SETTLED_TOPIC,):
        return None
    (token,) = (to_address(word) for word in log.topics[1:])
    (profit,) = _amounts(log, 1)
    return Settled(executor=log.address, profit_token=token, profit_raw=profit)


def _amounts(log: Log, count: int) -> tuple[int, ...]:
    if len(log.data) != count * _WORD_BYTES:
        raise ValueError("the executor's event is not what it says it is")
    words = (log.data[i : i + _WORD_BYTES] for i in range(0, len(log.data), _WORD_BYTES))
    return tuple(int.from_bytes(word, "big") for word in words)


def realised_raw(receipt: Receipt, executor: Address) -> int:
    """Return what the treasury gained by a receipt, raw units of the profit token; 0 when it reverted."""
    events = (decode_settled(log) for log in receipt.logs if log.address == executor)
    return sum(event.profit_raw for event in events if event is not None)


def left_over(receipt: Receipt, executor: Address, treasury: Address) -> tuple[tuple[Address, int], ...]:
    """Return (token, raw amount) of what the treasury got beside the profit, as the tokens' own events say."""
    settled = [decode_settled(log) for log in receipt.logs if log.address == executor]
    profit_tokens = {event.profit_token for event in settled if event is not None}
    sides = [bytes(12) + _address(each) for each in (executor, treasury)]
    found: dict[Address, int] = {}
    for log in receipt.logs:
        if log.topics == (_TRANSFER, *sides) and log.address not in profit_tokens:
            found[log.address] = found.get(log.address, 0) + int.from_bytes(log.data[:_WORD_BYTES], "big")
    return tuple(sorted(found.items()))


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
