"""JSON-RPC over several endpoints: checked replies, bounded retries, failover in order.

An endpoint that fails is set aside for some seconds and the next one is asked. Reads are repeated,
within bounds; a transaction is never sent again after an attempt whose outcome is unknown.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Any, TypeVar

import orjson

from keeper.chain import decode
from keeper.chain.endpoint import Endpoint
from keeper.chain.replies import LIMIT_EXCEEDED, BadReply, NotSent, ReplyTooLarge, read_batch, read_reply
from keeper.domain.errors import ChainUnreachable, RangeRefused, RateLimited, RpcError, Transient

_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)
_ATTEMPTS = 4
_FIRST_BACKOFF_S = 0.1
_LONGEST_WAIT_S = 20.0
_LARGEST_BATCH = 100
# These can be asked for less.
_DIVISIBLE = frozenset({"eth_getLogs", "eth_call"})
_RANDOM = random.SystemRandom()


class RpcClient:
    """Asks the first endpoint that is fit, in the order they were given."""

    def __init__(self, endpoints: Sequence[Endpoint], *, chain_id: int | None = None) -> None:
        if not endpoints:
            raise ChainUnreachable("no endpoint is configured")
        self.endpoints = tuple(endpoints)
        self._chain_id = chain_id
        self._ids = count(1)

    async def request(
        self,
        method: str,
        params: Sequence[Any],
        parse: Callable[[Any], _T],
        *,
        urgent: bool = False,
        retry: bool = True,
    ) -> _T:
        """Return the parsed result. `parse` raises BadReply for a result that cannot be true.

        With `retry` false an attempt is only followed by another when it certainly did nothing.
        Raises RpcError for the node's refusal, RangeRefused for a reply too large, else Transient.
        """

        async def ask(endpoint: Endpoint) -> _T:
            return await self._ask(endpoint, method, params, parse, urgent=urgent)

        return await self._with_failover(ask, retry=retry)

    @property
    def largest_batch(self) -> int:
        """How many requests may travel together: a batch never waits for more than one window."""
        limits = [endpoint.throttle.largest_batch for endpoint in self.endpoints if endpoint.throttle]
        return min([*limits, _LARGEST_BATCH])

    async def batch(self, requests: Sequence[tuple[str, Sequence[Any]]], parse: Callable[[list[Any]], _T]) -> _T:
        """Return what `parse` makes of the results, which one endpoint gave together. Reads only.

        The results stand in the order asked, an RpcError in the place of each refused one. Raises as
        `request`, and BatchRefused where the endpoint does not take batches. Each request counts.
        """
        if not 0 < len(requests) <= self.largest_batch:
            raise ValueError(f"{len(requests)} requests in a batch of at most {self.largest_batch}")

        async def ask(endpoint: Endpoint) -> _T:
            await self._verify(endpoint)
            numbers = [next(self._ids) for _ in requests]  # no await between them: they are consecutive
            body = orjson.dumps([_envelope(i, *request) for i, request in zip(numbers, requests, strict=True)])
            try:
                reply = await endpoint.post(body, items=len(requests))
            except ReplyTooLarge as error:
                if any(method in _DIVISIBLE for method, _ in requests):
                    raise RangeRefused(LIMIT_EXCEEDED, str(error)) from None
                raise
            return parse(read_batch(reply, numbers[0], len(requests)))

        return await self._with_failover(ask, retry=True)

    async def ask_one(self, endpoint: Endpoint, method: str, params: Sequence[Any], parse: Callable[[Any], _T]) -> _T:
        """Ask this endpoint once, without retry or failover."""
        body = await self._exchange(endpoint, method, params, urgent=False)
        return parse(body)

    async def _ask(
        self, endpoint: Endpoint, method: str, params: Sequence[Any], parse: Callable[[Any], _T], *, urgent: bool
    ) -> _T:
        await self._verify(endpoint)
        try:
            return parse(await self._exchange(endpoint, method, params, urgent=urgent))
        except ReplyTooLarge as error:
            if method in _DIVISIBLE:
                raise RangeRefused(LIMIT_EXCEEDED, str(error)) from None
            raise

    async def _exchange(self, endpoint: Endpoint, method: str, params: Sequence[Any], *, urgent: bool) -> Any:
        number = next(self._ids)
        reply = await endpoint.post(orjson.dumps(_envelope(number, method, params)), urgent=urgent)
        return read_reply(reply, number)

    async def _verify(self, endpoint: Endpoint) -> None:
        if endpoint.verified or self._chain_id is None:
            return
        answered = await self.ask_one(endpoint, "eth_chainId", (), decode.quantity)
        if answered != self._chain_id:
            raise NotSent(f"{endpoint.label} now answers for chain {answered}, not {self._chain_id}")
        endpoint.verified = True

    async def _with_failover(self, ask: Callable[[Endpoint], Awaitable[_T]], *, retry: bool) -> _T:
        tried: set[str] = set()
        failure: Transient = Transient("nothing was asked")
        for attempt in range(_ATTEMPTS):
            endpoint = self._fittest()
            await _wait_for(endpoint, attempt, again=endpoint.label in tried)
            tried.add(endpoint.label)
            try:
                answer = await ask(endpoint)
            except RpcError:
                endpoint.note_success()
                raise
            except Transient as error:
                failure = error
                endpoint.note_failure(error)
                _LOG.warning("endpoint set aside: %s", _told(endpoint, error))
                if not retry and not isinstance(error, NotSent | RateLimited):
                    raise
            else:
                endpoint.note_success()
                return answer
        raise failure

    def _fittest(self) -> Endpoint:
        for endpoint in self.endpoints:
            if not endpoint.limited_s() and not endpoint.resting_s():
                return endpoint
        return min(self.endpoints, key=lambda endpoint: (endpoint.limited_s(), endpoint.resting_s()))


async def _wait_for(endpoint: Endpoint, attempt: int, *, again: bool) -> None:
    """Obey what the endpoint asked for; before asking the same one again, wait a little in any case."""
    limited_s = endpoint.limited_s()
    if limited_s > _LONGEST_WAIT_S:
        raise RateLimited(f"{endpoint.label} asked for {limited_s:.0f} s of patience", retry_after_s=limited_s)
    backoff_s = _FIRST_BACKOFF_S * 2.0**attempt * _RANDOM.uniform(0.5, 1.0) if again else 0.0
    if wait_s := max(limited_s, backoff_s):
        await asyncio.sleep(wait_s)


def _envelope(number: int, method: str, params: Sequence[Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}


def _told(endpoint: Endpoint, error: Transient) -> str:
    text = str(error)
    kind = "" if not isinstance(error, BadReply) else "bad reply: "
    return text if text.startswith(endpoint.label) else f"{endpoint.label}: {kind}{text}"
