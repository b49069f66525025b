"""Making a chain from configuration: every endpoint is asked whom it speaks for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp

from keeper.chain import decode
from keeper.chain.client import RpcChain
from keeper.chain.endpoint import Endpoint
from keeper.chain.gather import gather_bounded
from keeper.chain.lines import dialler
from keeper.chain.rpc import RpcClient
from keeper.chain.throttle import WindowThrottle
from keeper.chain.urls import check_url, is_socket
from keeper.chain.wires import HttpWire, SocketWire, Wire
from keeper.domain.errors import ChainUnreachable, ConfigError, RateLimited, RpcError, Transient

_CONNECTIONS = 32
_BUSY_TRIES = 4
_LEAST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 3.0
_START_S = 4.0


async def connect(
    urls: Sequence[str],
    *,
    chain_id: int,
    ws_url: str | None = None,
    requests_per_second: float | None = None,
    quorum: int | None = None,
) -> RpcChain:
    """Return the chain behind `urls`, of which at least one answers for `chain_id`.

    Addresses are http(s)://, ws(s)://, or ipc: and the path of a node's unix socket (a bare path will
    do). Heads are pushed over `ws_url`, else over the first address that can push, else polled for.
    `requests_per_second` bounds each endpoint; subscription requests count against the first.
    `quorum` is how many endpoints must agree on what a transaction rests on (default: two, where two
    can be heard).
    Raises ConfigError for an address that is none and for an endpoint of another chain, and
    ChainUnreachable when nobody answers. Those that are silent are tried again later.
    """
    if not urls:
        raise ConfigError("[chain] rpc_urls is empty; name at least one endpoint")
    checked = [check_url(url, ("http", "https", "ws", "wss", "ipc")) for url in urls]
    pushing = next((url for url in checked if is_socket(url)), None)
    if ws_url is not None:
        pushing = check_url(ws_url, ("ws", "wss", "ipc"))
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=_CONNECTIONS), cookie_jar=aiohttp.DummyCookieJar()
    )
    try:
        endpoints = [Endpoint(url, _wire(url, session), _throttle(requests_per_second)) for url in checked]
        rpc = RpcClient(endpoints, chain_id=chain_id)
        await _check_endpoints(rpc, chain_id)
    except BaseException:
        await session.close()
        raise
    return RpcChain(
        rpc,
        session,
        chain_id=chain_id,
        push_url=pushing,
        requests_per_second=requests_per_second,
        quorum=quorum,
    )


def _wire(url: str, session: aiohttp.ClientSession) -> Wire:
    return SocketWire(dialler(url, session)) if is_socket(url) else HttpWire(url, session)


def _throttle(requests_per_second: float | None) -> WindowThrottle | None:
    return None if requests_per_second is None else WindowThrottle(requests_per_second)


async def _check_endpoints(rpc: RpcClient, chain_id: int) -> None:
    patience_s = None if len(rpc.endpoints) == 1 else _START_S  # one that hangs must not hold the others up

    async def ask(endpoint: Endpoint) -> int | Exception:
        try:
            async with asyncio.timeout(patience_s):
                return await _chain_id(rpc, endpoint)
        except TimeoutError:
            silence = Transient(f"{endpoint.label}: no answer within {patience_s} s")
            endpoint.note_failure(silence)
            return silence
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
            endpoint.note_verified()
    if not any(endpoint.verified for endpoint in rpc.endpoints):
        reasons = "; ".join(_reason(endpoint, answer) for endpoint, answer in zip(rpc.endpoints, answers, strict=True))
        raise ChainUnreachable(f"no endpoint answers: {reasons}")


async def _chain_id(rpc: RpcClient, endpoint: Endpoint) -> int:
    """Ask an endpoint whom it speaks for, again after a pause where it only wants patience."""
    for _ in range(_BUSY_TRIES):
        try:
            return await rpc.ask_one(endpoint, "eth_chainId", (), decode.quantity)
        except RateLimited as error:
            await asyncio.sleep(min(max(error.retry_after_s, _LEAST_PAUSE_S), _LONGEST_PAUSE_S))
    return await rpc.ask_one(endpoint, "eth_chainId", (), decode.quantity)


def _reason(endpoint: Endpoint, answer: int | Exception) -> str:
    text = str(answer)
    return text if text.startswith(endpoint.label) else f"{endpoint.label}: {text}"
