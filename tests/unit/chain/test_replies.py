"""Which replies are believed."""

from __future__ import annotations

from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.chain import decode
from keeper.chain.batcher import GAS_PROBE, decode_batch, encode_batch
from keeper.chain.replies import (
    BadReply,
    error_of,
    is_block_missing,
    is_range_refusal,
    read_batch,
    read_reply,
)
from keeper.domain.chain import Call
from keeper.domain.errors import KeeperError, RateLimited, RpcError
from keeper.domain.units import to_address
from tests.support.abi import batch_reply, decode_batch_call


def _reply(**fields: object) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", **fields})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>bad gateway</html>",
        b"[]",
        b"null",
        _reply(id=8, result="0x1"),
        _reply(id="7", result="0x1"),
        _reply(id=True, result="0x1"),
        _reply(id=None, result="0x1"),
        _reply(result="0x1"),
        _reply(id=7),
        _reply(id=8, error={"code": 1, "message": "of another request"}),
        _reply(id=7, error={"message": "no code"}),
        _reply(id=7, result="0x1")[:-4],
    ],
)
def test_reply_that_cannot_be_the_answer_is_bad(body: bytes) -> None:
    with pytest.raises(BadReply):
        read_reply(body, 7)


def test_null_result_is_a_result() -> None:
    assert read_reply(_reply(id=7, result=None), 7) is None


def test_error_carries_code_message_and_revert_data() -> None:
    body = _reply(id=7, error={"code": 3, "message": "execution reverted", "data": "0x1234"})
    with pytest.raises(RpcError) as caught:
        read_reply(body, 7)
    assert (caught.value.code, caught.value.message, caught.value.data) == (3, "execution reverted", b"\x12\x34")


@pytest.mark.parametrize(
    ("error", "limited"),
    [
        ({"code": 429, "message": "slow down"}, True),
        ({"code": -32005, "message": "daily request limit reached"}, True),
        ({"code": -32000, "message": "Your app has exceeded its compute units per second capacity"}, True),
        ({"code": -32005, "message": "query returned more than 10000 results"}, False),
        ({"code": 3, "message": "execution reverted: rate limit of the bridge"}, False),
    ],
)
def test_patience_is_told_from_refusal(error: dict[str, object], limited: bool) -> None:
    assert isinstance(error_of(error), RateLimited) is limited


@pytest.mark.parametrize(
    "message",
    [
        "query returned more than 10000 results",
        "exceed maximum block range: 50000",
        "block range is too wide",
        "eth_getLogs is limited to a 1000 blocks range",
        "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range",
        "query timeout exceeded",
        "logs are limited to 500 block span",
    ],
)
def test_range_refusals_are_recognised(message: str) -> None:
    assert is_range_refusal(RpcError(-32602, message))


@pytest.mark.parametrize(
    "message",
    [
        "header not found",
        "BlockOutOfRangeError: block height is 3 but requested was 9",
        "missing trie node 01 (path ) state 0x02 is not available",
        "unknown block",
        "required historical state unavailable",
        "state at block 12 is pruned",
    ],
)
def test_missing_blocks_are_recognised(message: str) -> None:
    assert is_block_missing(RpcError(-32000, message))
    assert not is_block_missing(RpcError(3, "execution reverted: position not found"))


def test_batch_is_matched_by_id() -> None:
    body = orjson.dumps([{"id": 6, "result": "six"}, {"id": 5, "error": {"code": 1, "message": "no"}}])
    refused, six = read_batch(body, 5, 2)
    assert isinstance(refused, RpcError)
    assert six == "six"


@pytest.mark.parametrize(
    "replies",
    [
        [{"id": 5, "result": 1}],
        [{"id": 5, "result": 1}, {"id": 5, "result": 2}],
        [{"id": 5, "result": 1}, {"id": 7, "result": 2}],
        [{"id": 5, "result": 1}, {"id": 6, "result": 2}, {"id": 7, "result": 2}],
        [{"id": 5, "result": 1}, 3],
        {"id": 5, "result": 1},
    ],
)
def test_batch_with_other_ids_is_bad(replies: object) -> None:
    with pytest.raises(BadReply):
        read_batch(orjson.dumps(replies), 5, 2)


@pytest.mark.parametrize(
    "value", [None, -1, 5, "5", "0x", "-0x5", "0x-5", "0xg", "0x1_0", "0x" + "f" * 65, "0x" + "f" * 200, [], {}]
)
def test_no_quantity_is_guessed(value: object) -> None:
    with pytest.raises(BadReply):
        decode.quantity(value)


def test_block_numbers_are_bounded() -> None:
    with pytest.raises(BadReply):
        decode.quantity(hex(2**63), bits=63)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=70).map(lambda text: "0x" + text)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "number",
                    "hash",
                    "parentHash",
                    "timestamp",
                    "logs",
                    "topics",
                    "status",
                    "blockNumber",
                    "address",
                    "data",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(_JSON)
def test_decoders_raise_nothing_but_bad_reply(value: object) -> None:
    for read in (decode.head, decode.log, decode.receipt, decode.logs_between(0, 9), decode.head_or_none):
        with suppress(BadReply):
            read(value)


@given(st.binary(max_size=400))
def test_reply_readers_raise_only_our_errors(body: bytes) -> None:
    for read in (lambda: read_reply(body, 1), lambda: read_batch(body, 1, 2), lambda: decode_batch(body, 1)):
        with suppress(KeeperError):
            read()


@given(st.lists(st.tuples(st.binary(min_size=20, max_size=20), st.binary(max_size=70)), max_size=6))
def test_batch_encoding_is_the_standard_one(calls: list[tuple[bytes, bytes]]) -> None:
    asked = [Call(to=to_address(target), data=data) for target, data in calls]
    decoded = decode_batch_call(encode_batch(asked))
    assert decoded == [(GAS_PROBE, b""), *((call.to, call.data) for call in asked), (GAS_PROBE, b"")]


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=100)), max_size=6))
def test_batch_results_are_read_as_encoded(results: list[tuple[bool, bytes]]) -> None:
    gas = (30_000_000).to_bytes(32, "big")
    answer = decode_batch(batch_reply([(True, gas), *results, (True, gas)]), len(results))
    assert [(result.ok, result.data) for result in answer.results] == results
    assert not answer.exhausted


@pytest.mark.parametrize("gas_after", [0, 299_999, 3_749_999])
def test_little_gas_left_is_noticed(gas_after: int) -> None:
    before, after = (30_000_000).to_bytes(32, "big"), gas_after.to_bytes(32, "big")
    assert decode_batch(batch_reply([(True, before), (True, after)]), 0).exhausted


def test_batch_cut_short_is_bad() -> None:
    whole = batch_reply([(True, b"\x01" * 32), (True, b"\x02" * 40), (True, b"\x01" * 32)])
    for size in range(len(whole) - 24):  # the last 24 bytes are padding
        with pytest.raises(BadReply):
            decode_batch(whole[:size], 1)


def _raw_log(block: int, place: int, **other: object) -> dict[str, object]:
    word = f"0x{block * 1000 + place:064x}"
    fields = {
        "address": "0x" + "Ab" * 20,
        "topics": [word] * (place % 5),
        "data": "0x" + "0f" * place,
        "removed": False,
    }
    numbers = {"blockNumber": hex(block), "logIndex": hex(place)}
    return {**fields, **numbers, "blockHash": word, "transactionHash": word, **other}


def test_logs_read_together_are_as_if_read_one_by_one() -> None:
    raw = [_raw_log(block, place) for block in range(1, 8) for place in range(9)]
    together = decode.logs_between(1, 7)(raw)
    assert together == [decode.log(entry) for entry in raw]
    assert decode.logs_between(1, 7)([*raw[20:], *raw[:20]]) == together
    assert decode.logs_between(1, 7)([*raw, _raw_log(99, 0, removed=True)]) == together
    shouted = [{**entry, "transactionHash": str(entry["transactionHash"]).upper().replace("X", "x")} for entry in raw]
    assert decode.logs_between(1, 7)(shouted) == together
    assert decode.logs_between(1, 7)([]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"address": "0x12"},
        {"address": None},
        {"topics": "0x"},
        {"topics": {}},
        {"topics": ["0x" + "00" * 31]},
        {"topics": ["0x" + "00" * 32] * 5},
        {"topics": [5]},
        {"data": "00"},
        {"data": "0x0"},
        {"data": ["0x"]},
        {"blockNumber": "0x8"},
        {"blockNumber": "1"},
        {"blockNumber": 1},
        {"blockHash": "0x12"},
        {"transactionHash": "0x" + "00" * 31},
        {"transactionHash": "00" * 33},
        {"transactionHash": "0x" + "0g" * 32},
        {"logIndex": "-0x1"},
        {"logIndex": None},
    ],
    ids=str,
)
def test_one_wrong_log_spoils_the_page(wrong: dict[str, object]) -> None:
    raw = [_raw_log(1, 1), _raw_log(1, 2, **wrong), _raw_log(2, 1)]
    with pytest.raises(BadReply):
        decode.logs_between(1, 7)(raw)
