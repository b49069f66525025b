"""The keeper's transport under web3, for contracts, ABIs and receipts as web3 gives them.

    async with await connect(urls, chain_id=1) as chain:
        w3 = make_web3(chain)
        symbol = await w3.eth.contract(address=token, abi=abi).functions.symbol().call()

Every call is one request on the wire: the chain id that web3's own checks ask for, twice a call, is known
here. Endpoints, limits, failover and the checks of replies are the client's; retries of web3's are not
used, and off-chain lookups on a contract's behalf are switched off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from web3 import AsyncWeb3
from web3.providers.async_base import AsyncJSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from keeper.chain.client import RpcChain
from keeper.chain.priority import Priority
from keeper.chain.rpc import RpcClient
from keeper.domain.errors import RpcError, Transient

_SEND = "eth_sendRawTransaction"


class KeeperProvider(AsyncJSONBaseProvider):
    """A web3 provider over an `RpcClient`. What the client raises as Transient comes through as it is."""

    def __init__(self, rpc: RpcClient, *, chain_id: int) -> None:
        super().__init__()
        self._rpc = rpc
        self._chain_id = chain_id
        self.global_ccip_read_enabled = False

    def __str__(self) -> str:
        return f"KeeperProvider({', '.join(endpoint.label for endpoint in self._rpc.endpoints)})"

    __repr__ = __str__

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Return the node's reply in web3's form; a refusal is a reply, too."""
        if method == "eth_chainId":
            return {"jsonrpc": "2.0", "id": 0, "result": hex(self._chain_id)}
        is_send = method == _SEND
        priority = Priority.SEND if is_send else Priority.HEAD
        try:
            result = await self._rpc.request(method, params, _as_is, priority=priority, retry=not is_send)
        except RpcError as error:
            return _refusal(error)
        return {"jsonrpc": "2.0", "id": 0, "result": result}

    async def make_batch_request(self, requests: Sequence[tuple[RPCEndpoint, Any]]) -> list[RPCResponse]:
        """Return the replies to reads that travel together, in order."""
        replies: list[RPCResponse] = []
        for start in range(0, len(requests), self._rpc.largest_batch):
            part = requests[start : start + self._rpc.largest_batch]
            results = await self._rpc.batch([(str(method), params) for method, params in part], list)
            replies += [
                _refusal(result) if isinstance(result, RpcError) else {"jsonrpc": "2.0", "id": 0, "result": result}
                for result in results
            ]
        return replies

    async def is_connected(self, show_traceback: bool = False) -> bool:  # noqa: ARG002, FBT001, FBT002 - web3's signature
        """Whether an endpoint answers."""
        try:
            await self._rpc.request("eth_chainId", (), _as_is)
        except (Transient, RpcError):
            return False
        return True

    async def disconnect(self) -> None:
        """Nothing: the chain it was made from is closed by who opened it."""


def make_web3(chain: RpcChain) -> AsyncWeb3[KeeperProvider]:
    """Return web3 on the endpoints of `chain`, usable as long as that is open."""
    return AsyncWeb3(KeeperProvider(chain.rpc, chain_id=chain.expected_chain_id))


def _as_is(value: Any) -> Any:
    return value


def _refusal(error: RpcError) -> RPCResponse:
    body: Any = {"code": error.code, "message": error.message}
    if error.data:
        body["data"] = "0x" + error.data.hex()
    return {"jsonrpc": "2.0", "id": 0, "error": body}
