"""The shape of each JSON document, as scripts rely on it: every field, its type and its form."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
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
        check(plan, PLAN)
        for hop in plan["route"]:
            check(hop, HOP)
        assert not plan["route"] or plan["route"][0]["token_in"] == plan["collateral"]
        assert not plan["route"] or plan["route"][-1]["token_out"] == plan["debt"] == plan["profit_token"]
        # what is sold brings the debt repaid, the premium, and the profit
        assert int(plan["proceeds_raw"]) - int(plan["repay_raw"]) >= int(plan["profit_raw"]) > 0
        assert int(plan["min_profit_raw"]) <= int(plan["profit_raw"])
    for rejected in document["rejected"]:
        check(rejected, REJECTED)
    check_order(document["plans"])
    check_order(document["rejected"])


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
