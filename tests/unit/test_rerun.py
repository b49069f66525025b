"""Plans in flight, run again: what the chain charges as gas is in the gas."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from eth_utils.crypto import keccak

from keeper.chain.client import RpcChain
from keeper.chain.connect import connect
from keeper.chain.l1_fee import NODE_INTERFACE
from keeper.costs import Costs
from keeper.devnet.anvil import Anvil
from keeper.domain.l1_fee import L1FeeKind
from keeper.domain.units import Address, to_address
from keeper.outbox import make_rerunner
from keeper.send.replacing import Rerun
from tests.faults.fake_chain import SIGNER
from tests.support.predeploys import answering
from tests.unit.send.test_machine import SLOT
from tests.unit.test_costs import settings

RUNNER, BROKEN = (to_address("0x" + each * 20) for each in ("e7", "e8"))
RUN = "run()"
EARNED_RAW, DATA_UNITS = 77, 40_000
ANSWER = [3 * 32, 5_000, EARNED_RAW, 0]  # no steps, what the sale brought, the profit


@pytest.fixture
async def chain(anvil: Anvil) -> AsyncIterator[RpcChain]:
    await anvil.set_code(NODE_INTERFACE, answering({"gasEstimateL1Component(address,bool,bytes)": [DATA_UNITS, 5, 1]}))
    await anvil.set_code(RUNNER, answering({RUN: ANSWER}))
    await anvil.set_code(BROKEN, answering({}))
    async with await connect([anvil.http_url], chain_id=31337) as connected:
        yield connected


async def rerun(chain: RpcChain, kind: L1FeeKind, executor: Address = RUNNER) -> Rerun:
    costs = Costs(chain, settings(chain={"l1_fee": kind}))
    slot = replace(SLOT, payload=replace(SLOT.payload, to=executor, data=keccak(text=RUN)[:4]))
    return await make_rerunner(chain, costs, SIGNER)(slot, [slot.payload.data], await chain.head())


async def test_data_counts_where_it_is_charged_as_gas(chain: RpcChain) -> None:
    plain, rollup = await rerun(chain, "none"), await rerun(chain, "arbitrum")
    assert (plain.ok, plain.profit_raw) == (True, EARNED_RAW)
    assert plain.gas_units > 21_000
    assert rollup == replace(plain, gas_units=plain.gas_units + DATA_UNITS)


async def test_what_reverts_is_told_without_figures(chain: RpcChain) -> None:
    assert await rerun(chain, "arbitrum", BROKEN) == Rerun(ok=False)
