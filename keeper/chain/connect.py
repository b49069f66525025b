"""Making a chain from configuration: every endpoint is asked whom it speaks for."""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp

from keeper.chain import decode
from keeper.chain.client import RpcChain
from keeper.chain.endpoint import Endpoint
from keeper.chain.gather import gather_bounded
from keeper.chain.rpc import RpcClient
from keeper.chain.throttle import WindowThrottle
from keeper.chain.urls import check_url
from keeper.domain.errors import ChainUnreachable, ConfigError, RpcError, Transient

_CONNECTIONS = 32


async def connect(
    urls: Sequence[str],
    *,
    chain_id: int,
    ws_url: str | None = None,
    requests_per_second: float | None = None,
) -> RpcChain:
    """Return the chain behind `urls`, of which at least one answers for `chain_id`.

    `requests_per_second` bounds each endpoint; subscription requests count against the first.
    Raises ConfigError for an address that is none and for an endpoint of another chain, and
    ChainUnreachable when nobody answers. Those that are silent are tried again later.
    """
    if not urls:
        raise ConfigError("[chain] rpc_urls is empty; name at least one endpoint")
    checked = [check_url(url, ("http", "https")) for url in urls]
    if ws_url is not None:
        check_url(ws_url, ("ws", "wss"))
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=_CONNECTIONS), cookie_jar=aiohttp.DummyCookieJar()
    )
    try:
        endpoints = [Endpoint(url, session, _throttle(requests_per_second)) for url in checked]
        rpc = RpcClient(endpoints, chain_id=chain_id)
        await _check_endpoints(rpc, chain_id)
    except BaseException:
        await session.close()
        raise
    return RpcChain(rpc, session, chain_id=chain_id, ws_url=ws_url, requests_per_second=requests_per_second)


def _throttle(requests_per_second: float | None) -> WindowThrottle | None:
    return None if requests_per_second is None else WindowThrottle(requests_per_second)


async def _check_endpoints(rpc: RpcClient, chain_id: int) -> None:
    async def ask(endpoint: Endpoint) -> int | Exception:
        try:
            return await rpc.ask_one(endpoint, "eth_chainId", (), decode.quantity)
        except (Transient, RpcError) as error:
            if isinstance(error, Transient):
                endpoint.note_failure(error)
            return error

    answers = await gather_bounded(ask, rpc.endpoints, at_once=len(rpc.endpoints))
    for endpoint, answer in zip(rpc.endpoints, answers, strict=True):
        if isinstance(answer, int):
            if answer != chain_id:
                raise ConfigError(
                    f"[chain] id is {chain_id}, but {endpoint.label} answers for chain {answer}; "
                    "correct the id or the endpoint"
                )
            endpoint.verified = True
    if not any(endpoint.verified for endpoint in rpc.endpoints):
        reasons = "; ".join(_reason(endpoint, answer) for endpoint, answer in zip(rpc.endpoints, answers, strict=True))
        raise ChainUnreachable(f"no endpoint answers: {reasons}")


def _reason(endpoint: Endpoint, answer: int | Exception) -> str:
    text = str(answer)
    return text if text.startswith(endpoint.label) else f"{endpoint.label}: {text}"
