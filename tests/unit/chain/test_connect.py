"""The first request: a node that only wants patience is asked again, one that stays silent is told apart."""

from __future__ import annotations

import pytest

from keeper.chain.connect import connect
from keeper.devnet.anvil import Anvil
from keeper.domain.errors import ChainUnreachable
from tests.support.proxy import Fault, RpcProxy

CHAIN_ID = "eth_chainId"
BUSY = Fault(kind="status", status=429, headers={"Retry-After": "0"})


async def test_a_429_to_the_very_first_request_is_waited_out(anvil: Anvil) -> None:
    async with RpcProxy(anvil.http_url) as proxy:
        rule = proxy.break_with(BUSY, method=CHAIN_ID, times=1)
        async with await connect([proxy.http_url], chain_id=31337) as chain:
            assert rule.hits == 1
            assert await chain.chain_id() == 31337


async def test_a_429_that_never_ends_is_no_answer(anvil: Anvil) -> None:
    async with RpcProxy(anvil.http_url) as proxy:
        rule = proxy.break_with(BUSY, method=CHAIN_ID)
        with pytest.raises(ChainUnreachable, match="no endpoint answers"):
            await connect([proxy.http_url], chain_id=31337)
        assert rule.hits >= 5
