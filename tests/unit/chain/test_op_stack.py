"""The L1 fee of OP-stack chains, held to recorded answers of the compiled GasPriceOracle.

The answers are those of `GasPriceOracle` and `L1Block` as the npm package @eth-optimism/contracts-bedrock 0.17.3 ships
them (the oracle is version 1.3.0), run on anvil at random prices, before and after the Fjord upgrade.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from keeper.chain.op_stack import OpStackPrices, calldata_gas, fastlz_size

VECTORS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("op_stack_vectors.json").read_text("utf-8"))


def prices(vector: dict[str, Any]) -> OpStackPrices:
    return OpStackPrices(**{name: value for name, value in vector.items() if name != "fees"})


@pytest.mark.parametrize("vector", VECTORS, ids=lambda each: f"{each['formula']}-{each['base_fee_scalar']}")
def test_every_fee_is_the_contracts(vector: dict[str, Any]) -> None:
    ours = [prices(vector).fee_wei(bytes.fromhex(data)) for data, _ in vector["fees"]]
    assert ours == [fee for _, fee in vector["fees"]]


@pytest.mark.parametrize(
    ("gap", "fee_wei"),
    [(8000, 111623774400), (8150, 113577838400), (8151, 113604606400), (8152, 114126582400), (9000, 125824198400)],
)
def test_what_repeats_too_far_away_is_not_found_again(gap: int, fee_wei: int) -> None:
    """Recorded from the contracts too: 40 bytes, noise, the same 40 bytes."""
    noise = random.Random(gap)
    word = noise.randbytes(40)
    plain = OpStackPrices(
        formula="fjord", base_fee_wei=10**6, blob_base_fee_wei=1, base_fee_scalar=10**6, blob_base_fee_scalar=0
    )
    assert plain.fee_wei(word + noise.randbytes(gap) + word + noise.randbytes(20)) == fee_wei


def test_both_formulas_are_recorded() -> None:
    assert {vector["formula"] for vector in VECTORS} == {"ecotone", "fjord"}


def test_what_repeats_compresses_and_what_does_not_grows_a_little() -> None:
    noise = random.Random(1).randbytes(1000)
    assert fastlz_size(bytes(1000)) < 25
    assert 1000 < fastlz_size(noise) < 1040


def test_a_zero_byte_is_cheaper_as_calldata() -> None:
    assert calldata_gas(b"\x01") - calldata_gas(b"\x00") == 12
