"""Tip and L1 fee: bounded, and asked for once a head."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from keeper.chain.client import RpcChain
from keeper.chain.connect import connect
from keeper.chain.l1_fee import GAS_PRICE_ORACLE, NODE_INTERFACE
from keeper.config.model import Settings
from keeper.costs import Costs
from keeper.devnet.anvil import Anvil
from keeper.domain.l1_fee import NO_L1_FEE, L1Fee
from keeper.domain.units import to_address
from tests.support.predeploys import answering
from tests.support.proxy import Fault, RpcProxy

EXECUTOR = to_address("0x" + "e7" * 20)
GWEI = 10**9
ORACLE = {
    "isFjord()": [1], "l1BaseFee()": [10 * GWEI], "blobBaseFee()": [1],
    "baseFeeScalar()": [10**6], "blobBaseFeeScalar()": [0],
}  # fmt: skip


def settings(*, chain: dict[str, Any] | None = None, **policy: Any) -> Settings:
    return Settings.model_validate(
        {
            "chain": {"id": 31337, "rpc_urls": ["http://127.0.0.1:1"], **(chain or {})},
            "markets": [{"name": "main", "protocol": "aave-v3", "addresses_provider": EXECUTOR}],
            "policy": policy,
        }
    )


@pytest.fixture
async def proxy(anvil: Anvil) -> AsyncIterator[RpcProxy]:
    async with RpcProxy(anvil.http_url) as running:
        yield running


@pytest.fixture
async def chain(proxy: RpcProxy) -> AsyncIterator[RpcChain]:
    async with await connect([proxy.http_url], chain_id=31337) as connected:
        yield connected


async def test_the_tip_is_asked_for_once_a_head(chain: RpcChain, proxy: RpcProxy, anvil: Anvil) -> None:
    costs, head = Costs(chain, settings()), await chain.head()
    tips = {await costs.tip_wei(head) for _ in range(3)}
    assert len(tips) == 1
    assert proxy.count("eth_feeHistory") == 1
    await anvil.mine()
    await costs.tip_wei(await chain.head())
    assert proxy.count("eth_feeHistory") == 2


async def test_the_operator_bounds_the_tip(chain: RpcChain) -> None:
    head = await chain.head()
    plain = await Costs(chain, settings()).tip_wei(head)
    assert plain == GWEI
    assert await Costs(chain, settings(min_tip_gwei=Decimal(3))).tip_wei(head) == 3 * GWEI
    assert await Costs(chain, settings(max_tip_gwei=Decimal("0.25"))).tip_wei(head) == GWEI // 4
    assert await Costs(chain, settings(max_tip_gwei=0)).tip_wei(head) == 0


async def test_without_a_base_fee_the_gas_price_is_all(chain: RpcChain, proxy: RpcProxy) -> None:
    legacy = replace(await chain.head(), base_fee_wei=0)
    price = await Costs(chain, settings(max_tip_gwei=0)).tip_wei(legacy)
    assert price == await chain.gas_price_wei() > 0, "a bound on tips is none on prices"
    assert proxy.count("eth_feeHistory") == 0


async def test_a_chain_that_charges_for_gas_alone_is_asked_once(chain: RpcChain, proxy: RpcProxy) -> None:
    costs, head = Costs(chain, settings()), await chain.head()
    assert await costs.usual_fee(head) == NO_L1_FEE
    before = proxy.count()
    assert await costs.fee(EXECUTOR, b"\x01", head) == NO_L1_FEE
    assert proxy.count() == before


async def test_once_prepared_nothing_is_found_out_anew(chain: RpcChain, proxy: RpcProxy) -> None:
    costs, head = Costs(chain, settings()), await chain.head()
    proxy.break_with(Fault(kind="error", value={"code": -32000, "message": "not now"}), method="eth_getCode", times=1)
    await costs.prepare()  # fails, and is no trouble
    await costs.prepare()
    before = proxy.count()
    assert await costs.usual_fee(head) == NO_L1_FEE
    assert proxy.count() == before


async def test_the_usual_run_is_the_last_one(chain: RpcChain, anvil: Anvil) -> None:
    await anvil.set_code(GAS_PRICE_ORACLE, answering(ORACLE))
    costs, head = Costs(chain, settings()), await chain.head()
    at_first = await costs.usual_fee(head)
    long_run = await costs.fee(EXECUTOR, bytes(range(256)) * 8, head)
    assert 0 < at_first.wei < long_run.wei
    assert await costs.usual_fee(head) == long_run


async def test_the_configuration_names_the_kind(chain: RpcChain, anvil: Anvil) -> None:
    component = {"gasEstimateL1Component(address,bool,bytes)": [7, 5, 1]}
    await anvil.set_code(GAS_PRICE_ORACLE, answering(ORACLE))
    await anvil.set_code(NODE_INTERFACE, answering(component))
    head = await chain.head()
    assert await Costs(chain, settings(chain={"l1_fee": "none"})).usual_fee(head) == NO_L1_FEE
    assert await Costs(chain, settings(chain={"l1_fee": "arbitrum"})).usual_fee(head) == L1Fee(wei=35, gas_units=7)
