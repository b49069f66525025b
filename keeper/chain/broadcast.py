"""One signed transaction to every endpoint at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final

from keeper.chain import decode
from keeper.chain.endpoint import Endpoint
from keeper.chain.priority import Priority
from keeper.chain.rpc import RpcClient
from keeper.domain.errors import RpcError, Transient

METHOD: Final = "eth_sendRawTransaction"
_GRACE_S = 0.25
"""How long the others may take once one has accepted: they mostly have the bytes by then."""

Reply = str | RpcError | Transient


async def send_to_all(rpc: RpcClient, raw: bytes) -> list[Reply]:
    """Return what each endpoint answered, in the order of the endpoints; never raise for what one of them did.

    Once one has accepted, the others are given a moment and then left alone: those are not in the answer.
    """
    if len(rpc.endpoints) == 1:
        return [await _caught(_send_with_retries(rpc, raw))]
    tasks = [asyncio.create_task(_caught(_send_to(rpc, each, raw)), name="broadcast") for each in rpc.endpoints]
    try:
        pending = set(tasks)
        while pending and not any(isinstance(task.result(), str) for task in tasks if task.done()):
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        if pending:
            await asyncio.wait(pending, timeout=_GRACE_S)
        return [task.result() for task in tasks if task.done()]
    finally:
        for task in tasks:
            task.cancel()


async def _caught(sending: Awaitable[str]) -> Reply:
    try:
        return await sending
    except (RpcError, Transient) as error:
        return error


async def _send_with_retries(rpc: RpcClient, raw: bytes) -> str:
    params = ("0x" + raw.hex(),)
    return await rpc.request(METHOD, params, decode.hash_text, priority=Priority.SEND, retry=False)


async def _send_to(rpc: RpcClient, endpoint: Endpoint, raw: bytes) -> str:
    try:
        if not endpoint.verified:
            await rpc.verify_chain(endpoint)
        params = ("0x" + raw.hex(),)
        answer = await rpc.ask_one(endpoint, METHOD, params, decode.hash_text, priority=Priority.SEND)
    except Transient as error:
        endpoint.note_failure(error)
        raise
    return answer
