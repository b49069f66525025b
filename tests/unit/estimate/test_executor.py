"""Calldata, answers, events and errors of the executor, against eth_abi and the compiled contract's ABI."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_abi.abi import encode
from eth_utils import keccak
from support.lending import address
from support.markets import ACCOUNT, COLLATERAL, DEBT
from support.plans import PLAN, plan
from support.pool_chain import pool_log

from keeper.artifacts import load_artifact
from keeper.domain.chain import Receipt
from keeper.estimate import executor
from keeper.estimate.executor import RunResult


def selector(signature: str) -> bytes:
    return bytes(keccak(text=signature)[:4])


def other(data: bytes) -> tuple[str, str]:
    return "OTHER", data.hex()


def test_the_plan_type_is_that_of_the_contract() -> None:
    run = next(item for item in load_artifact("KeeperExecutor").abi if item.get("name") == "run")
    (argument,) = run["inputs"]

    def canonical(item: dict) -> str:  # type: ignore[type-arg]
        if not item["type"].startswith("tuple"):
            return str(item["type"])
        return f"({','.join(canonical(each) for each in item['components'])}){item['type'][5:]}"

    assert executor.encode_run(plan())[:4] == selector(f"run({canonical(argument)})")


def test_every_field_of_the_plan_is_in_the_calldata() -> None:
    base = executor.encode_run(plan())
    changes = (
        {"fund_raw": 77},
        {"funding": "own"},
        {"min_profit_raw": 5},
        {"deadline_block": 99},
        {"route": ()},
        {"pool": address(0x55)},
    )
    assert len({base, *(executor.encode_run(plan(**change)) for change in changes)}) == len(changes) + 1


def test_an_answer_of_a_run_is_four_amounts() -> None:
    data = encode(["uint256"] * 4, [1, 2, 3, 4])
    result = RunResult(repaid_raw=1, seized_raw=2, proceeds_raw=3, profit_raw=4)
    assert executor.decode_run(data) == result
    with pytest.raises(ValueError, match="not that of a run"):
        executor.decode_run(data[:-1])


def test_realised_profit_counts_only_this_executors_event() -> None:
    def word(value: str) -> bytes:
        return bytes.fromhex(value[2:]).rjust(32, b"\0")

    event = pool_log(address(0xE), executor.LIQUIDATED_TOPIC, word(ACCOUNT), word(DEBT), word(COLLATERAL))
    filled = type(event)(
        address=event.address,
        topics=event.topics,
        data=encode(["uint256"] * 4, [1, 2, 3, 4]),
        block_number=1,
        block_hash="0x",
        transaction_hash="0x",
        log_index=0,
    )
    found = executor.decode_liquidated(filled)
    assert found is not None
    assert (found.account, found.debt, found.collateral) == (ACCOUNT, DEBT, COLLATERAL)
    receipt = Receipt(
        transaction_hash="0x",
        ok=True,
        block_number=1,
        block_hash="0x",
        gas_used=1,
        effective_gas_price_wei=1,
        contract_address=None,
        logs=(filled,),
    )
    assert executor.realised_raw(receipt, address(0xE)) == 4
    assert executor.realised_raw(receipt, address(0xF)) == 0
    assert executor.decode_liquidated(pool_log(address(0xE), b"\x01" * 32)) is None


def test_an_error_of_the_executor_becomes_a_sentence() -> None:
    data = selector("ProfitTooLow(uint256,uint256)") + encode(["uint256"] * 2, [3, 5])
    assert executor.decode_executor_revert(data, other) == (
        "profit_too_low",
        "the run gained 3, less than the required 5",
    )
    stranger = selector("NotOperator(address)") + encode(["address"], [ACCOUNT])
    code, sentence = executor.decode_executor_revert(stranger, other)
    assert code == "not_operator"
    assert ACCOUNT in sentence


def test_every_error_of_the_contract_has_a_sentence() -> None:
    for item in load_artifact("KeeperExecutor").abi:
        if item["type"] != "error":
            continue
        types = [each["type"] for each in item["inputs"]]
        values = [ACCOUNT if kind == "address" else 1 for kind in types]
        data = selector(f"{item['name']}({','.join(types)})") + encode(types, values)
        code, sentence = executor.decode_executor_revert(data, other)
        assert code != "OTHER"
        assert sentence


def test_what_is_not_the_executors_goes_to_the_pools_decoder() -> None:
    assert executor.decode_executor_revert(b"\x01\x02\x03\x04", other) == ("OTHER", "01020304")
    assert executor.decode_executor_revert(b"", other) == ("OTHER", "")
    cut = selector("ProfitTooLow(uint256,uint256)") + b"\x01"
    assert executor.decode_executor_revert(cut, other)[0] == "profit_too_low"


def test_creation_appends_the_arguments_to_the_bytecode() -> None:
    data = executor.encode_creation(
        owner=address(1),
        treasury=address(2),
        operators=[address(3)],
        lending_pools=[],
        v2_factories=[],
        v3_factories=[],
    )
    code = load_artifact("KeeperExecutor").bytecode
    assert data.startswith(code)
    assert data[len(code) : len(code) + 32] == bytes.fromhex(address(1)[2:]).rjust(32, b"\0")


@pytest.mark.parametrize("cover_raw", [0, 1, 2**256 - 1])
@pytest.mark.parametrize("hops", [0, 1, 2])
def test_calldata_laid_out_by_hand_is_what_the_abi_says(hops: int, cover_raw: int) -> None:
    made = plan(route=PLAN.route * hops, call=replace(PLAN.call, cover_raw=cover_raw), min_profit_raw=2**200)
    route = [(0, quote.hop.factory, quote.hop.token_out, quote.hop.fee_pips) for quote in made.route]
    call = made.call
    words = (made.pool, call.account, call.collateral, call.debt, cover_raw, made.fund_raw, 1, route, 2**200, 11)
    assert executor.encode_run(made)[4:] == encode([executor._PLAN_TYPE], [words])
