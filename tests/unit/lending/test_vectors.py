"""The rules against what the real contracts answered, revision by revision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keeper.domain.lending import LiquidationCall, Outcome, Refused
from keeper.domain.units import MAX_UINT256
from keeper.lending.aave_v3.errors import decode_revert
from keeper.lending.aave_v3.revisions import revision_for
from keeper.lending.aave_v3.rules.aftermath import compute_aftermath
from keeper.lending.aave_v3.rules.interest import compute_debt_ray, compute_income_ray
from keeper.lending.aave_v3.rules.liquidation import compute_amounts, prepare_pair
from keeper.lending.aave_v3.state import EMode, Position
from keeper.lending.aave_v3.view import AaveV3View
from tests.support.lending import CONFIG, NOW_S, address, reserve, view

VECTORS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("vectors.json").read_text())
REVISIONS = {"3.0": (1, 3), "3.3": (7,), "3.4": (8,), "3.6": (9, 10), "3.7": (11,)}
BORROWER = address(0xB0)
CASES = [
    pytest.param(vector, number, id=f"{vector['v']}-{vector['id']}-r{number}")
    for vector in VECTORS
    for number in REVISIONS[vector["v"]]
]


def build(vector: dict[str, Any], number: int) -> tuple[AaveV3View, dict[str, int]]:
    """The market of one vector, and reserve ids by symbol."""
    ids = {row[0]: index for index, row in enumerate(vector["r"])}
    in_emode = ("USDC", "DAI")
    reserves = []
    for symbol, price, _, income, _, debt in vector["r"]:
        decimals, threshold, bonus, fee = CONFIG[symbol]
        reserves.append(
            reserve(
                ids[symbol],
                decimals=decimals,
                threshold_bps=threshold,
                bonus_bps=bonus,
                fee_bps=fee,
                price_base=price,
                income_ray=income,
                debt_ray=debt,
                emode_category=1 if symbol in in_emode else 0,
            )
        )
    position = Position(
        emode=vector["em"],
        collaterals=tuple((ids[row[0]], row[2]) for row in vector["r"] if row[2]),
        debts=tuple((ids[row[0]], row[4]) for row in vector["r"] if row[4]),
    )
    bitmap = sum(1 << ids[symbol] for symbol in in_emode if symbol in ids)
    emode = EMode(id=1, threshold_bps=9700, liquidation_bonus_bps=10100, collateral_bitmap=bitmap)
    return view(number, reserves, {BORROWER: position}, emodes=[emode]), ids


def call_of(vector: dict[str, Any], market: AaveV3View, ids: dict[str, int]) -> LiquidationCall:
    return LiquidationCall(
        account=BORROWER,
        debt=market.reserves[ids[vector["debt"]]].token,
        collateral=market.reserves[ids[vector["coll"]]].token,
        cover_raw=MAX_UINT256 if vector["cover"] == "max" else vector["cover"],
        receive="atoken" if vector["rA"] else "underlying",
    )


@pytest.mark.parametrize(("vector", "number"), CASES)
def test_health_is_the_contracts_to_the_last_digit(vector: dict[str, Any], number: int) -> None:
    market, _ = build(vector, number)
    health = market.health(BORROWER, NOW_S)
    assert health is not None
    assert (health.collateral_base, health.debt_base) == (vector["o"]["C"], vector["o"]["D"])
    assert health.health_factor_wad == vector["o"]["HF"]


@pytest.mark.parametrize(("vector", "number"), CASES)
def test_outcome_is_the_contracts(vector: dict[str, Any], number: int) -> None:
    market, ids = build(vector, number)
    expected = vector["o"]
    outcome = market.outcome(call_of(vector, market, ids), NOW_S)
    if "revert" in expected:
        assert isinstance(outcome, Refused)
        assert outcome.code == code_of(expected["revert"])
        return
    assert isinstance(outcome, Outcome)
    assert outcome.repaid_raw == expected["debt"]
    if not vector["rA"]:
        assert outcome.received_raw == expected["coll"]
    assert outcome.health_after_wad == (MAX_UINT256 if expected["HF1"] == "max" else expected["HF1"])
    deficits = {
        market.reserves[ids[key.removeprefix("deficit_")]].token: value
        for key, value in expected.items()
        if key.startswith("deficit_")
    }
    assert dict(outcome.deficits) == deficits


@pytest.mark.parametrize(("vector", "number"), [case for case in CASES if "revert" not in case.values[0]["o"]])
def test_account_after_the_call_is_the_contracts(vector: dict[str, Any], number: int) -> None:
    market, ids = build(vector, number)
    call = call_of(vector, market, ids)
    debt, collateral = market.reserves[ids[vector["debt"]]], market.reserves[ids[vector["coll"]]]
    projection = market._projection(NOW_S)
    pair = prepare_pair(market.positions[BORROWER], debt, collateral, projection, None)
    assert not isinstance(pair, Refused)
    amounts = compute_amounts(pair, call.cover_raw)
    left = compute_aftermath(pair, amounts, market.positions[BORROWER], projection)
    expected = vector["o"]
    assert left.fee_scaled == expected["feeScaled"]
    assert left.collateral_off == bool(expected.get("collOff", 0))
    assert pair.collateral_scaled - left.seized_scaled - left.fee_scaled == expected["sa1"]
    assert dict(left.position.debts).get(debt.id, 0) == expected["sv1"]
    if vector["rA"]:
        assert left.seized_scaled == expected["aScaled"]
        assert amounts.seized_raw == expected["coll"]


def code_of(revert: int | str) -> str:
    """The code that the decoder gives the bytes of this revert."""
    if isinstance(revert, str):
        return decode_revert(bytes.fromhex(revert.removeprefix("0x")))[0]
    text = str(revert).encode()
    head = bytes.fromhex("08c379a0") + (32).to_bytes(32, "big") + len(text).to_bytes(32, "big")
    return decode_revert(head + text.ljust(32, b"\0"))[0]


def test_every_vector_is_used() -> None:
    assert len(VECTORS) == 31
    assert {vector["v"] for vector in VECTORS} == set(REVISIONS)


@pytest.mark.parametrize(
    ("number", "rate_ray", "index_ray", "expected_ray"),
    [
        (1, 15074765611219761045964638, 1008295085259759960266640915, 1009545161249901106236943878),
        (8, 15074766026736724987833846, 1008295177827501733382252443, 1009545254286835338458302857),
        (8, 10773081650220052979458696, 1005948508760692219233443937, 1006839630872365357199803521),
    ],
)
def test_debt_index_after_thirty_days(number: int, rate_ray: int, index_ray: int, expected_ray: int) -> None:
    item = reserve(0, debt_rate_ray=rate_ray, debt_ray=index_ray)
    assert compute_debt_ray(item, revision_for(number), NOW_S + 2_592_005) == expected_ray


def test_supply_index_after_thirty_days() -> None:
    item = reserve(0, liquidity_rate_ray=1300515336057276851446040, income_ray=1000702210234641883888126866)
    assert compute_income_ray(item, NOW_S + 2_592_005) == 1000809177172864487663609083
