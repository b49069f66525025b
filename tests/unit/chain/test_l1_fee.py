"""What the data costs, read from stand-ins of the rollups' contracts, which answer with fixed figures."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from keeper.chain import decode
from keeper.chain.client import RpcChain
from keeper.chain.connect import connect
from keeper.chain.l1_fee import (
    ARB_GAS_INFO,
    GAS_PRICE_ORACLE,
    NODE_INTERFACE,
    ArbitrumFees,
    OpStackFees,
    find_l1_fees,
    unsigned_bytes,
)
from keeper.chain.op_stack import OpStackPrices
from keeper.chain.replies import BadReply
from keeper.devnet.anvil import Anvil
from keeper.domain.errors import ConfigError, Transient
from keeper.domain.l1_fee import L1Fee
from keeper.domain.units import to_address
from tests.support.predeploys import answering
from tests.support.proxy import RpcProxy

EXECUTOR = to_address("0x" + "e7" * 20)
DATA = random.Random(3).randbytes(700)
PRICES = {
    "l1BaseFee()": [31 * 10**9],
    "blobBaseFee()": [7 * 10**8],
    "baseFeeScalar()": [2269],
    "blobBaseFeeScalar()": [1_055_762],
}
FJORD = {"isFjord()": [1], "isEcotone()": [1], **PRICES}
INVALID = bytes.fromhex("fe")


@pytest.fixture
async def chain(anvil: Anvil) -> AsyncIterator[RpcChain]:
    async with await connect([anvil.http_url], chain_id=31337) as connected:
        yield connected


def expected_wei(formula: str, base_fee_wei: int = 31 * 10**9) -> int:
    prices = OpStackPrices(
        formula="fjord" if formula == "fjord" else "ecotone",
        base_fee_wei=base_fee_wei,
        blob_base_fee_wei=7 * 10**8,
        base_fee_scalar=2269,
        blob_base_fee_scalar=1_055_762,
    )
    return prices.fee_wei(unsigned_bytes(31337, EXECUTOR, DATA))


async def test_what_stands_on_the_chain_says_how_it_charges(chain: RpcChain, anvil: Anvil) -> None:
    assert await find_l1_fees(chain, None) is None
    await anvil.set_code(ARB_GAS_INFO, INVALID)  # as on the real chain: there, but not to be executed
    assert isinstance(await find_l1_fees(chain, None), ArbitrumFees)
    await anvil.set_code(GAS_PRICE_ORACLE, answering(FJORD))
    assert isinstance(await find_l1_fees(chain, None), OpStackFees)
    assert await find_l1_fees(chain, "none") is None, "what is configured wins"
    assert isinstance(await find_l1_fees(chain, "arbitrum"), ArbitrumFees)


@pytest.mark.parametrize(
    ("formula", "answers"),
    [
        ("fjord", FJORD),
        ("ecotone", {**FJORD, "isFjord()": [0]}),
        ("ecotone", {"isEcotone()": [1], **PRICES}),  # an oracle from before Fjord does not know the question
    ],
)
async def test_the_formula_in_force_decides(
    chain: RpcChain, anvil: Anvil, formula: str, answers: dict[str, list[int]]
) -> None:
    await anvil.set_code(GAS_PRICE_ORACLE, answering(answers))
    fee = await OpStackFees(chain).fee(EXECUTOR, DATA, await chain.head())
    assert fee == L1Fee(wei=expected_wei(formula), gas_units=0)
    assert fee.wei > 0


async def test_prices_are_read_once_for_each_head(anvil: Anvil) -> None:
    async with RpcProxy(anvil.http_url) as proxy, await connect([proxy.http_url], chain_id=31337) as chain:
        await anvil.set_code(GAS_PRICE_ORACLE, answering(FJORD))
        fees, head = OpStackFees(chain), await chain.head()
        before = proxy.count()
        for _ in range(3):
            await fees.fee(EXECUTOR, DATA, head)
        assert proxy.count() - before == 1
        await anvil.set_code(GAS_PRICE_ORACLE, answering({**FJORD, "l1BaseFee()": [62 * 10**9]}))
        await anvil.mine()
        dearer = await fees.fee(EXECUTOR, DATA, await chain.head())
        assert dearer.wei == expected_wei("fjord", base_fee_wei=62 * 10**9)


async def test_an_unknown_formula_is_refused(chain: RpcChain, anvil: Anvil) -> None:
    await anvil.set_code(GAS_PRICE_ORACLE, answering({"isEcotone()": [0], **PRICES}))
    with pytest.raises(ConfigError, match="before Ecotone"):
        await OpStackFees(chain).fee(EXECUTOR, DATA, await chain.head())


async def test_an_unknown_price_is_not_zero(chain: RpcChain, anvil: Anvil) -> None:
    await anvil.set_code(GAS_PRICE_ORACLE, answering({"isFjord()": [1], "isEcotone()": [1], "l1BaseFee()": [1]}))
    with pytest.raises(Transient, match="does not tell its prices"):
        await OpStackFees(chain).fee(EXECUTOR, DATA, await chain.head())


async def test_arbitrums_node_says_what_the_data_costs_as_gas(anvil: Anvil) -> None:
    component = {"gasEstimateL1Component(address,bool,bytes)": [54_321, 10**7, 12 * 10**9]}
    async with RpcProxy(anvil.http_url) as proxy, await connect([proxy.http_url], chain_id=31337) as chain:
        await anvil.set_code(NODE_INTERFACE, answering(component))
        fees, head = ArbitrumFees(chain), await chain.head()
        before = proxy.count()
        assert await fees.fee(EXECUTOR, DATA, head) == L1Fee(wei=54_321 * 10**7, gas_units=54_321)
        await fees.fee(EXECUTOR, DATA[::-1], head)
        assert proxy.count() - before == 1, "asked once for each head and length"
        await fees.fee(EXECUTOR, DATA + b"\x01", head)
        assert proxy.count() - before == 2


async def test_without_a_node_interface_nothing_is_guessed(chain: RpcChain) -> None:
    with pytest.raises(Transient):
        await ArbitrumFees(chain).fee(EXECUTOR, DATA, await chain.head())


def receipt(**more: object) -> dict[str, object]:
    return {
        "transactionHash": "0x" + "ab" * 32, "status": "0x1", "blockNumber": "0x7", "blockHash": "0x" + "cd" * 32,
        "gasUsed": "0x5208", "effectiveGasPrice": "0x3", "contractAddress": None, "logs": [], **more,
    }  # fmt: skip


@pytest.mark.parametrize(("more", "fee_wei"), [({}, 0), ({"l1Fee": None}, 0), ({"l1Fee": "0x2a"}, 42)])
def test_a_receipt_says_what_the_data_cost(more: dict[str, object], fee_wei: int) -> None:
    found = decode.receipt(receipt(**more))
    assert found is not None
    assert (found.l1_fee_wei, found.cost_wei) == (fee_wei, 21_000 * 3 + fee_wei)


def test_a_receipt_with_a_fee_that_is_no_number_is_bad() -> None:
    with pytest.raises(BadReply):
        decode.receipt(receipt(l1Fee="much"))
