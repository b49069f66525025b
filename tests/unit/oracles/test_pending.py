"""Calldata of transmissions, as oracle networks send it, and everything that only looks like it."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.units import to_address
from keeper.oracles.pending import PendingTransmissions, Transmission, decode_transmit, read_transmission
from keeper.oracles.pushes import PUSH_TOPICS, read_push
from tests.support.ocr import transmit_arguments

FEED = to_address(b"\x0a" * 20)
SENDER = to_address(b"\x0b" * 20)
TRANSMIT = "transmit(bytes32[3],bytes,bytes32[],bytes32[],bytes32)"
SECONDARY = "transmitSecondary(bytes32[3],bytes,bytes32[],bytes32[],bytes32)"
TYPES_2 = ("bytes32[3]", "bytes", "bytes32[]", "bytes32[]", "bytes32")


def _selector(signature: str) -> bytes:
    return keccak(text=signature)[:4]


def _second(answer: int, signature: str = TRANSMIT) -> bytes:
    return _selector(signature) + encode(TYPES_2, transmit_arguments(answer, epoch=7, at_s=1_700_000_000))


def _first(observations: list[int]) -> bytes:
    report = encode(("bytes32", "bytes32", "int192[]"), (b"\x01" * 32, b"\x02" * 32, observations))
    return _selector("transmit(bytes,bytes32[],bytes32[],bytes32)") + encode(
        ("bytes", "bytes32[]", "bytes32[]", "bytes32"), (report, [], [], bytes(32))
    )


def _forward(inner: bytes) -> bytes:
    return _selector("forward(address,bytes)") + encode(("address", "bytes"), (FEED, inner))


@given(st.integers(-(2**191) + 2, 2**191 - 3))
def test_middle_observation_is_the_answer(answer: int) -> None:
    assert decode_transmit(FEED, _second(answer)) == (FEED, answer)
    assert decode_transmit(FEED, _second(answer, SECONDARY)) == (FEED, answer)
    assert decode_transmit(SENDER, _forward(_second(answer))) == (FEED, answer)
    assert decode_transmit(FEED, _first([answer - 1, answer])) == (FEED, answer)
    assert decode_transmit(FEED, _first([answer])) == (FEED, answer)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x12\x34",
        _selector("transmit(int256)") + bytes(32),
        _selector(TRANSMIT),
        _second(5)[:-300],
        _first([]),
        _first([3, 1, 2]),
        _first(list(range(40))),
        _forward(b""),
        _forward(_forward(_forward(_forward(_second(5))))),
        _selector(TRANSMIT) + b"\xff" * 600,
    ],
)
def test_anything_else_is_none(data: bytes) -> None:
    assert decode_transmit(FEED, data) is None


@given(st.binary(max_size=400))
def test_rubbish_behind_a_selector_harms_nobody(rubbish: bytes) -> None:
    for signature in (TRANSMIT, SECONDARY, "forward(address,bytes)", "transmit(bytes,bytes32[],bytes32[],bytes32)"):
        decode_transmit(FEED, _selector(signature) + rubbish)


def _body(**changes: Any) -> dict[str, Any]:
    body = {"hash": "0x" + "AB" * 32, "from": SENDER, "to": FEED, "nonce": "0x5", "input": "0x" + _second(42).hex()}
    return body | changes


def test_body_is_read() -> None:
    found = read_transmission(_body())
    assert found is not None
    assert (found.aggregator, found.answer, found.nonce, found.sender) == (FEED, 42, 5, SENDER)
    assert found.transaction == "0x" + "ab" * 32


@pytest.mark.parametrize(
    "body",
    [
        None,
        "0x12",
        {},
        _body(to=None),
        _body(nonce="x"),
        _body(input="0x"),
        _body(input="0xzz"),
        _body(hash=None) | {"from": 5},
    ],
)
def test_body_that_is_none_is_passed_over(body: Any) -> None:
    assert read_transmission(body) is None


def _pending(nonce: int, answer: int = 1, transaction: str | None = None) -> Transmission:
    return Transmission(
        transaction=transaction or f"0x{nonce}",
        sender=SENDER,
        nonce=nonce,
        to=FEED,
        data=b"",
        aggregator=FEED,
        answer=answer,
    )


def test_later_transaction_of_one_nonce_replaces_the_earlier() -> None:
    waiting = PendingTransmissions()
    first, second = _pending(1, transaction="0xa"), _pending(1, transaction="0xb")
    assert waiting.add(first, 10) is None
    assert waiting.add(first, 10) is None
    assert waiting.add(second, 10) == first
    assert waiting.all() == [second]
    assert waiting.drop(SENDER, 1) == second
    assert waiting.all() == []


def test_waiting_is_bounded_in_number_and_time() -> None:
    waiting = PendingTransmissions(most=3, blocks=5)
    for nonce in range(6):
        waiting.add(_pending(nonce), 10 + nonce)
    assert [each.nonce for each in waiting.all()] == [3, 4, 5]
    assert [each.nonce for each in waiting.newest()] == [5]
    assert [each.nonce for each in waiting.expire(19)] == [3, 4]


def _log(topic: bytes, *, indexed: int, first_word: int) -> dict[str, Any]:
    return {
        "address": FEED.lower(),
        "topics": ["0x" + topic.hex(), "0x" + (indexed % 2**256).to_bytes(32, "big").hex()],
        "data": "0x" + (first_word % 2**256).to_bytes(32, "big").hex() + "00" * 64,
        "blockNumber": "0x10",
    }


def test_announcements_are_read() -> None:
    updated, first, second = PUSH_TOPICS
    assert [
        push and push.answer
        for push in map(
            read_push,
            (
                _log(updated, indexed=-5, first_word=9),
                _log(first, indexed=9, first_word=77),
                _log(second, indexed=9, first_word=-78),
            ),
        )
    ] == [-5, 77, -78]
    assert read_push(_log(keccak(text="Other()"), indexed=1, first_word=1)) is None
    for broken in (
        None,
        {},
        {"topics": []},
        _log(updated, indexed=1, first_word=1) | {"topics": ["0x" + updated.hex(), "0x1"]},
    ):
        assert read_push(broken) is None
