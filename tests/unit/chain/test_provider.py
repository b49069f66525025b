"""web3 on the keeper's transport: its contracts and receipts, one request a call."""

from __future__ import annotations

import pytest
from web3.exceptions import ContractLogicError

from keeper.chain.connect import connect
from keeper.chain.provider import make_web3
from keeper.devnet.accounts import OPERATOR
from keeper.devnet.tokens import own_interface
from keeper.devnet.world import World
from tests.support.proxy import RpcProxy

TOKEN_ABI = [
    {
        "type": "function",
        "name": "symbol",
        "stateMutability": "view",
        "inputs": [],
        "outputs": [{"name": "", "type": "string"}],
    },
    {
        "type": "function",
        "name": "transfer",
        "stateMutability": "nonpayable",
        "inputs": [{"name": "to", "type": "address"}, {"name": "amount", "type": "uint256"}],
        "outputs": [{"name": "", "type": "bool"}],
    },
]


async def test_a_contract_call_is_one_request(bundled_world: World) -> None:
    async with (
        RpcProxy(bundled_world.anvil.http_url) as proxy,
        await connect([proxy.http_url], chain_id=31337) as chain,
    ):
        w3 = make_web3(chain)
        token = w3.eth.contract(address=bundled_world.tokens["WETH"], abi=TOKEN_ABI)
        before = proxy.count()
        assert await token.functions.symbol().call() == "WETH"
        assert proxy.count() == before + 1
        assert (await w3.eth.get_block("latest"))["number"] == await bundled_world.anvil.block_number()
        assert await w3.eth.chain_id == 31337
        assert own_interface("TestToken")


async def test_refusals_are_web3s_own(bundled_world: World) -> None:
    async with await connect([bundled_world.anvil.http_url], chain_id=31337) as chain:
        token = make_web3(chain).eth.contract(address=bundled_world.tokens["WETH"], abi=TOKEN_ABI)
        with pytest.raises(ContractLogicError):
            await token.functions.transfer(OPERATOR.address, 10**40).call({"from": OPERATOR.address})


async def test_batches_and_addresses(bundled_world: World) -> None:
    async with await connect([bundled_world.anvil.http_url + "?key=canary"], chain_id=31337) as chain:
        w3 = make_web3(chain)
        async with w3.batch_requests() as batch:
            for number in range(3):
                batch.add(w3.eth.get_block(number))
            blocks = await batch.async_execute()
        assert [block["number"] for block in blocks] == [0, 1, 2]
        assert await w3.is_connected()
        assert "canary" not in str(w3.provider)
