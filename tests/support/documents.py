"""The shape of each JSON document, as scripts rely on it: every field, its type and its form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from keeper.domain.units import MAX_UINT256, to_address

Check = Callable[[Any], bool]

_DECIMAL = re.compile(r"(0|[1-9][0-9]*)")
_SIGNED = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_HASH = re.compile(r"0x[0-9a-f]{64}")


def number(value: Any) -> bool:
    """A JSON number without fraction."""
    return type(value) is int and value >= 0


def amount(value: Any) -> bool:
    """An amount: decimal digits in a string, within 256 bits."""
    return isinstance(value, str) and bool(_DECIMAL.fullmatch(value)) and int(value) <= MAX_UINT256


def signed_amount(value: Any) -> bool:
    """An amount that may be a loss."""
    return isinstance(value, str) and amount(value.removeprefix("-"))


def usd(value: Any) -> bool:
    """US dollars: a signed decimal string that says the same as a Decimal."""
    return isinstance(value, str) and bool(_SIGNED.fullmatch(value)) and str(Decimal(value)) != "NaN"


def address(value: Any) -> bool:
    """A checksummed address."""
    return isinstance(value, str) and len(value) == 42 and to_address(value) == value


def block_hash(value: Any) -> bool:
    """32 bytes, lower case."""
    return isinstance(value, str) and bool(_HASH.fullmatch(value))


def text(value: Any) -> bool:
    """Words."""
    return isinstance(value, str) and value != ""


def flag(value: Any) -> bool:
    """True or false."""
    return isinstance(value, bool)


def one_of(*values: str) -> Check:
    """One of some words."""
    return lambda value: value in values


def maybe(check: Check) -> Check:
    """None, or what `check` wants."""
    return lambda value: value is None or check(value)


BLOCK = {"number": number, "hash": block_hash, "timestamp": number}
PAIR = {
    "debt": address,
    "collateral": address,
    "cover_raw": amount,
    "max_repay_raw": amount,
    "seize_raw": amount,
    "receive": one_of("underlying", "atoken"),
}
REFUSED_PAIR = {"debt": address, "collateral": address, "rejected": text}
LIQUIDATABLE = {
    "market": text,
    "account": address,
    "health_factor_wad": amount,
    "collateral_base": amount,
    "debt_base": amount,
    "stale": flag,
}
MARKET = {"name": text, "protocol": one_of("aave-v3"), "revision": number, "accounts": number}
HOP = {
    "venue": text,
    "pool": address,
    "token_in": address,
    "token_out": address,
    "amount_in_raw": amount,
    "amount_out_raw": amount,
}
STEP = {
    "debt": address,
    "collateral": address,
    "cover_raw": amount,
    "repay_raw": amount,
    "seize_raw": amount,
    "fee_raw": amount,
    "health_after_wad": amount,
    "receive": one_of("underlying", "atoken"),
}
LEG = {"token_in": address, "token_out": address, "amount_in_raw": amount, "amount_out_raw": amount}
FUND = {
    "source": one_of("own", "aave-flash-loan", "uniswap-v3-flash", "morpho-flash"),
    "lender": address,
    "token": address,
    "amount_raw": amount,
    "premium_raw": amount,
}
PLAN = {
    "market": text,
    "account": address,
    "debt": address,
    "collateral": address,
    "repay_raw": amount,
    "seize_raw": amount,
    "proceeds_raw": amount,
    "funding": text,
    "gas_units": number,
    "gas_cost_wei": amount,
    "l1_fee_wei": amount,
    "profit_token": address,
    "profit_raw": amount,
    "min_profit_raw": amount,
    "net_profit_usd": usd,
}
REJECTED = {"market": text, "account": maybe(address), "reason": text, "detail": text}
ENTRY = {
    "transaction": maybe(block_hash),
    "block": maybe(number),
    "market": maybe(text),
    "account": maybe(address),
    "status": one_of("success", "reverted", "dry-run", "given-up"),
    "profit_token": maybe(address),
    "expected_raw": amount,
    "realised_raw": signed_amount,
    "gas_cost_wei": amount,
}
DEPLOYED = {"address": address, "transaction": block_hash, "owner": address, "operator": address, "treasury": address}


def check(record: Mapping[str, Any], shape: Mapping[str, Check]) -> None:
    """Fail unless `record` has every field of `shape`, each in its form. More fields are welcome."""
    for name, is_right in shape.items():
        assert name in record, f"{name} is missing in {record}"
        assert is_right(record[name]), f"{name} is {record[name]!r}"


def check_block(block: Any) -> None:
    check(block, BLOCK)


def check_scan(document: Mapping[str, Any]) -> None:
    """Check the document of `keeper scan --json`."""
    assert number(document["chain_id"])
    check_block(document["block"])
    for market in document["markets"]:
        check(market, MARKET)
    for account in document["liquidatable"]:
        check(account, LIQUIDATABLE)
        assert int(account["health_factor_wad"]) < 10**18
        assert account["pairs"] or account["collateral_base"] == "0"
        for pair in account["pairs"]:
            check(pair, REFUSED_PAIR if "rejected" in pair else PAIR)
        check_order(account["pairs"], "debt", "collateral")
    check_order(document["markets"], "name")
    check_order(document["liquidatable"])


def check_estimate(document: Mapping[str, Any]) -> None:
    """Check the document of `keeper estimate --json`."""
    assert number(document["chain_id"])
    check_block(document["block"])
    for plan in document["plans"]:
        check_plan(plan)
    for rejected in document["rejected"]:
        check(rejected, REJECTED)
    check_order(document["plans"])
    check_order(document["rejected"])


def check_plan(plan: Mapping[str, Any]) -> None:
    """Check one plan: its fields, and that its parts add up in the profit token."""
    check(plan, PLAN)
    for part, shape in (("steps", STEP), ("legs", LEG), ("funds", FUND), ("route", HOP)):
        for each in plan[part]:
            check(each, shape)
    assert plan["route"] == [hop for leg in plan["legs"] for hop in leg["route"]]
    assert {fund["token"] for fund in plan["funds"]} == {step["debt"] for step in plan["steps"]}
    paid = sum(int(step["repay_raw"]) for step in plan["steps"] if step["debt"] == plan["profit_token"])
    premiums = sum(int(fund["premium_raw"]) for fund in plan["funds"] if fund["token"] == plan["profit_token"])
    assert int(plan["profit_raw"]) == int(plan["proceeds_raw"]) - paid - premiums
    assert 0 <= int(plan["min_profit_raw"]) <= int(plan["profit_raw"])


def check_run(document: Mapping[str, Any]) -> None:
    """Check the document of `keeper run --once --json`."""
    check_block(document["block"])
    for attempt in document["attempts"]:
        assert number(attempt["nonce"])
        assert text(attempt["status"])
    for entry in document["entries"]:
        check(entry, ENTRY)


def check_pnl(document: Mapping[str, Any]) -> None:
    """Check the document of `keeper pnl --json`."""
    assert isinstance(document["totals"], dict)
    for entry in document["entries"]:
        check(entry, ENTRY)


def check_order(records: list[dict[str, Any]], *names: str) -> None:
    """Fail unless `records` stand sorted by market, then address."""
    keys = [tuple(record[name] or "" for name in names or ("market", "account")) for record in records]
    assert keys == sorted(keys)


def received(entries: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return what the ledger says the treasury got, by token: profits, and what was left over of other tokens."""
    found: dict[str, int] = {}
    for entry in entries:
        if entry["profit_token"] is None:
            continue
        rests = [(rest["token"], rest["amount_raw"]) for rest in entry["detail"].get("left_over", ())]
        for token, raw in [(entry["profit_token"], entry["realised_raw"]), *rests]:
            found[token] = found.get(token, 0) + int(raw)
    return {token: raw for token, raw in found.items() if raw}
