"""Asking every endpoint for its newest block: who is behind, and which block is really the newest."""

from __future__ import annotations

import asyncio

from keeper.chain.endpoint import Endpoint
from keeper.chain.headers import HeaderReader
from keeper.chain.replies import NodeBehind
from keeper.chain.rpc import RpcClient
from keeper.domain.chain import Head
from keeper.domain.errors import RpcError, Transient

_PATIENCE_S = 2.0
_THREE = 3
_NEAR_BLOCKS = 2


async def survey_heads(rpc: RpcClient, headers: HeaderReader) -> Head:
    """Return the newest block any endpoint has, and note those that do not have it as behind.

    Of three or more, one alone that is far ahead of all others is not believed. Raises Transient when
    nobody answers.
    """
    usable = [endpoint for endpoint in rpc.endpoints if endpoint.health.is_usable]
    answers = await asyncio.gather(*(_newest(rpc, endpoint, headers) for endpoint in usable))
    heads = {endpoint: head for endpoint, head in zip(usable, answers, strict=True) if head is not None}
    if not heads:
        raise Transient("no endpoint tells its newest block")
    best = _best(list(heads.values()))
    for endpoint, head in heads.items():
        if head.number < best.number:
            endpoint.note_failure(NodeBehind(f"{endpoint.label} is at block {head.number} of {best.number}"))
        else:
            endpoint.health.note_caught_up()
            endpoint.note_success()
    return best


def _best(heads: list[Head]) -> Head:
    ranked = sorted(heads, key=lambda head: head.number, reverse=True)
    if len(ranked) >= _THREE and ranked[0].number > ranked[1].number + _NEAR_BLOCKS:
        return ranked[1]
    return ranked[0]


async def _newest(rpc: RpcClient, endpoint: Endpoint, headers: HeaderReader) -> Head | None:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await rpc.ask_one(endpoint, "eth_getBlockByNumber", ("latest", False), headers.head)
    except TimeoutError:
        endpoint.note_failure(Transient(f"{endpoint.label}: no answer within {_PATIENCE_S:.0f} s"))
    except Transient as error:
        endpoint.note_failure(error)
    except RpcError:
        pass
    return None
