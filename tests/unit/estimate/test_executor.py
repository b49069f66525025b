"""Calldata, answers, events and errors of the executor, against eth_abi and the compiled contract's ABI."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_abi.abi import decode, encode
from eth_utils import keccak
from support.lending import address
from support.markets import ACCOUNT, COLLATERAL, DEBT
from support.plans import FUND, HOP, LEG, called, plan
from support.pool_chain import pool_log

from keeper.artifacts import load_artifact
from keeper.domain.chain import Log, Receipt
from keeper.domain.plans import Plan
from keeper.domain.swaps import Hop, HopQuote, Leg
from keeper.domain.units import Address
from keeper.estimate import executor
from keeper.estimate.executor import RunResult, StepResult


def selector(signature: str) -> bytes:
    return bytes(keccak(text=signature)[:4])


def other(data: bytes) -> tuple[str, str]:
    return "OTHER", data.hex()


def test_the_selector_and_the_topics_are_those_of_the_contract() -> None:
    abi = load_artifact("KeeperExecutor").abi

    def signature(name: str) -> str:
        item = next(item for item in abi if item.get("name") == name)
        return f"{name}({','.join(each['type'] for each in item['inputs'])})"

    assert executor.encode_run(plan())[:4] == selector(signature("run"))
    assert bytes(keccak(text=signature("Liquidated"))) == executor.LIQUIDATED_TOPIC
    assert bytes(keccak(text=signature("Settled"))) == executor.SETTLED_TOPIC


def test_every_field_of_the_plan_is_in_the_calldata() -> None:
    base = executor.encode_run(plan())
    changes = (
        {"funds": (replace(FUND, amount_raw=77),)},
        {"funds": (replace(FUND, premium_raw=501),)},
        {"funds": (replace(FUND, lender=address(0x55)),)},
        {"funds": (replace(FUND, source="own"),)},
        {"funds": (replace(FUND, source="morpho-flash"),)},
        {"funds": (replace(FUND, source="uniswap-v3-flash"),)},
        {"steps": called(cover_raw=5)},
        {"steps": called(receive="atoken")},
        {"steps": called(account=address(0x55))},
        {"profit_token": COLLATERAL},
        {"min_profit_raw": 5},
        {"deadline_block": 99},
        {"legs": ()},
        {"pool": address(0x55)},
    )
    assert len({base, *(executor.encode_run(plan(**change)) for change in changes)}) == len(changes) + 1


def test_an_answer_of_a_run_has_its_steps() -> None:
    data = encode(["(uint256,uint256)[]", "uint256", "uint256"], [[(1, 2), (5, 6)], 3, 4])
    steps = (StepResult(repaid_raw=1, received_raw=2), StepResult(repaid_raw=5, received_raw=6))
    assert executor.decode_run(data) == RunResult(steps=steps, proceeds_raw=3, profit_raw=4)
    with pytest.raises(ValueError, match="not that of a run"):
        executor.decode_run(data[:-1])


def event(topic: bytes, addresses: tuple[Address, ...], values: tuple[int, ...]) -> Log:
    words = (bytes.fromhex(each[2:]).rjust(32, b"\0") for each in addresses)
    return pool_log(address(0xE), topic, *words)._replace(data=encode(["uint256"] * len(values), values))


def receipt(*logs: Log) -> Receipt:
    return Receipt(
        transaction_hash="0x",
        ok=True,
        block_number=1,
        block_hash="0x",
        gas_used=1,
        effective_gas_price_wei=1,
        contract_address=None,
        logs=logs,
    )


def test_an_event_says_what_one_liquidation_did() -> None:
    log = event(executor.LIQUIDATED_TOPIC, (ACCOUNT, DEBT, COLLATERAL), (1, 2))
    assert executor.decode_liquidated(log) == executor.Liquidated(
        executor=address(0xE), account=ACCOUNT, debt=DEBT, collateral=COLLATERAL, repaid_raw=1, received_raw=2
    )
    assert executor.decode_settled(log) is None
    with pytest.raises(ValueError, match="not what it says"):
        executor.decode_liquidated(log._replace(data=b"\x01"))


def test_realised_profit_is_what_this_executor_settled() -> None:
    done = event(executor.LIQUIDATED_TOPIC, (ACCOUNT, DEBT, COLLATERAL), (1, 2))
    settled = event(executor.SETTLED_TOPIC, (DEBT,), (4,))
    assert executor.decode_settled(settled) == executor.Settled(executor=address(0xE), profit_token=DEBT, profit_raw=4)
    assert executor.decode_liquidated(settled) is None
    assert executor.realised_raw(receipt(done, settled), address(0xE)) == 4
    assert executor.realised_raw(receipt(done, settled), address(0xF)) == 0
    assert executor.realised_raw(receipt(), address(0xE)) == 0


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
        assert "reverted with" not in sentence, f"{item['name']} has no sentence"


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
        flash_lenders=[address(4)],
    )
    code = load_artifact("KeeperExecutor").bytecode
    assert data.startswith(code)
    assert data[len(code) : len(code) + 32] == bytes.fromhex(address(1)[2:]).rjust(32, b"\0")


def test_creation_takes_what_the_contract_takes() -> None:
    constructor = next(item for item in load_artifact("KeeperExecutor").abi if item["type"] == "constructor")
    names = [each["name"].strip("_") for each in constructor["inputs"]]
    assert names == [
        "owner",
        "treasury",
        "operators",
        "lendingPools",
        "v2Factories",
        "v3Factories",
        "flashLenders",
    ]


# ---------------------------------------------------------------------- the packed plan, piece by piece

V3_HOP = replace(HOP, venue="uniswap-v3", factory=address(0xFA), fee_pips=500)
THIRD = address(0x0D)


def packed(made: Plan) -> bytes:
    data = executor.encode_run(made)[4:]
    (inner,) = decode(["bytes"], data)
    assert data == encode(["bytes"], [inner]), "laid out by hand as the ABI says"
    return inner  # type: ignore[no-any-return]


def raw(account: str) -> bytes:
    return bytes.fromhex(account[2:])


def amount(value: int) -> bytes:
    return value.to_bytes(16, "big")


def header(made: Plan, *tokens: str, claims: bytes = b"", count: int = 0) -> bytes:
    start = b"\x01" + made.deadline_block.to_bytes(5, "big") + amount(made.min_profit_raw)
    return start + bytes((len(tokens), count)) + b"".join(map(raw, tokens)) + claims


def liquidate(made: Plan, debt: int, received: int, cover_raw: int = 10**6) -> bytes:
    accounts = raw(made.pool) + raw(ACCOUNT)
    return b"\x04" + accounts + bytes((1, debt, received)) + amount(cover_raw)


def swap(token: int, amount_raw: int, *hops: bytes) -> bytes:
    return bytes((6, token)) + amount(amount_raw) + bytes((len(hops),)) + b"".join(hops)


def hop(made: Hop, kind: int, token: int) -> bytes:
    return bytes((kind,)) + raw(made.factory) + bytes((token,)) + made.fee_pips.to_bytes(3, "big")


def test_one_liquidation_with_a_flash_loan() -> None:
    made = plan(min_profit_raw=7)
    fund = b"\x01" + raw(FUND.lender) + b"\0" + amount(10**6) + amount(500)
    sale = swap(1, 0, hop(HOP, 0, 0))
    assert packed(made) == header(made, DEBT, COLLATERAL) + fund + liquidate(made, 0, 1) + sale


def test_all_of_the_debt_is_all_ones() -> None:
    made = plan(steps=called(cover_raw=2**256 - 1), legs=(), funds=(replace(FUND, source="own"),))
    fund = b"\x00\x00" + amount(10**6)
    assert packed(made) == header(made, DEBT, COLLATERAL) + fund + liquidate(made, 0, 1, 2**128 - 1)


def test_a_flash_swap_takes_the_last_hop_of_the_first_leg() -> None:
    first = HopQuote(hop=replace(HOP, token_out=THIRD), amount_in_raw=9, amount_out_raw=8)
    last = HopQuote(hop=replace(V3_HOP, token_in=THIRD), amount_in_raw=8, amount_out_raw=7)
    rest = Leg(quotes=(HopQuote(hop=HOP, amount_in_raw=5, amount_out_raw=4),))
    fund = replace(FUND, source="uniswap-v3-flash", premium_raw=0)
    made = plan(legs=(Leg(quotes=(first, last)), rest), funds=(fund,))
    lent = b"\x02" + raw(V3_HOP.factory) + (500).to_bytes(3, "big") + bytes((2, 0)) + amount(8)
    sold = swap(1, 9, hop(first.hop, 0, 2)) + swap(1, 0, hop(HOP, 0, 0))
    assert packed(made) == header(made, DEBT, COLLATERAL, THIRD) + lent + liquidate(made, 0, 1) + sold
    alone = plan(legs=(Leg(quotes=(replace(last, hop=replace(V3_HOP)),)),), funds=(fund,))
    lent = b"\x02" + raw(V3_HOP.factory) + (500).to_bytes(3, "big") + bytes((1, 0)) + amount(8)
    assert packed(alone) == header(alone, DEBT, COLLATERAL) + lent + liquidate(alone, 0, 1)


def test_two_debts_and_deposit_tokens_redeemed_once() -> None:
    steps = called(receive="atoken")
    second = replace(steps[0], call=replace(steps[0].call, debt=THIRD))
    funds = (FUND, replace(FUND, source="morpho-flash", lender=address(0x77), token=THIRD))
    to_other = replace(HOP, token_out=THIRD)
    legs = (Leg(quotes=(HopQuote(hop=to_other, amount_in_raw=3, amount_out_raw=2),)), LEG)
    made = plan(steps=(*steps, second), funds=funds, legs=legs)
    expected = (
        # the fund of the second debt names its token before the first step does
        header(made, DEBT, THIRD, COLLATERAL, claims=raw(made.pool) + b"\x02", count=1)
        + (b"\x01" + raw(FUND.lender) + b"\0" + amount(10**6) + amount(500))
        + (b"\x03" + raw(address(0x77)) + b"\x01" + amount(10**6))
        + (b"\x04" + raw(made.pool) + raw(ACCOUNT) + bytes((2, 0, 3)) + amount(10**6))
        + (b"\x04" + raw(made.pool) + raw(ACCOUNT) + bytes((2, 1, 3)) + amount(10**6))
        + b"\x05\x03"
        + swap(2, 3, hop(to_other, 0, 1))
        + swap(2, 0, hop(HOP, 0, 0))
    )
    assert packed(made) == expected


def test_amounts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(OverflowError):
        executor.encode_run(plan(min_profit_raw=2**128))
    with pytest.raises(OverflowError):
        executor.encode_run(plan(funds=(replace(FUND, amount_raw=2**128),)))
