"""Revert data becomes codes and sentences, whatever the bytes."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from keeper.lending.aave_v3.errors import decode_revert, refuse


def error_string(text: str) -> bytes:
    return bytes.fromhex("08c379a0") + encode(["string"], [text])


def panic(number: int) -> bytes:
    return bytes.fromhex("4e487b71") + number.to_bytes(32, "big")


@pytest.mark.parametrize(
    ("number", "selector", "code"),
    [
        (None, "44511af1", "SELF_LIQUIDATION"),
        ("27", "90cd6f24", "RESERVE_INACTIVE"),
        ("29", "d37f5f1c", "RESERVE_PAUSED"),
        ("59", "91037009", "PRICE_ORACLE_SENTINEL_CHECK_FAILED"),
        ("97", "9e3e6060", "LIQUIDATION_GRACE_SENTINEL_CHECK_FAILED"),
        ("45", "930bb771", "HEALTH_FACTOR_NOT_BELOW_THRESHOLD"),
        ("46", "979b5ce8", "COLLATERAL_CANNOT_BE_LIQUIDATED"),
        ("47", "3653732b", "SPECIFIED_CURRENCY_NOT_BORROWED_BY_USER"),
        ("103", "b629b0e4", "MUST_NOT_LEAVE_DUST"),
        ("25", "2075cc10", "INVALID_BURN_AMOUNT"),
    ],
)
def test_refusals_of_a_liquidation_in_both_dialects(number: str | None, selector: str, code: str) -> None:
    assert decode_revert(bytes.fromhex(selector)) == (code, refuse(code).detail)
    if number is not None:
        assert decode_revert(error_string(number))[0] == code


@pytest.mark.parametrize(
    ("data", "code", "part"),
    [
        (b"", "EMPTY_REVERT", "without saying why"),
        (panic(0x11), "ARITHMETIC_OVERFLOW", "0x11"),
        (panic(0x12), "DIVISION_BY_ZERO", "zero"),
        (panic(0x32), "PANIC", "0x32"),
        (error_string("GPv2: failed transferFrom"), "REVERTED", "GPv2: failed transferFrom"),
        (error_string("a\nb\x1b[0m"), "REVERTED", "a?b?[0m"),
        (keccak(text="Whatever()")[:4], "UNKNOWN_ERROR", keccak(text="Whatever()")[:4].hex()),
        (keccak(text="NoPrice(address)")[:4] + b"\0" * 32, "NO_PRICE", "price"),
        (bytes.fromhex("08c379a0"), "REVERTED", "''"),
        (bytes.fromhex("4e487b71"), "UNKNOWN_ERROR", "4e487b71"),
    ],
)
def test_other_reverts(data: bytes, code: str, part: str) -> None:
    found, sentence = decode_revert(data)
    assert found == code
    assert part in sentence


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: bytes.fromhex("08c379a0") + tail))
def test_any_bytes_are_a_code_and_one_line(data: bytes) -> None:
    code, sentence = decode_revert(data)
    assert code == code.upper()
    assert sentence
    assert sentence.isprintable()
    assert len(sentence) < 1_000


def test_an_unknown_code_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        refuse("NO_SUCH_CODE")
