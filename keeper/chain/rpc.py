"""JSON-RPC over several endpoints: checked replies, bounded retries, failover in order, hedged reads.

An endpoint that fails is set aside and the next one is asked; whether it is well again is found out
by a question of its own, never at the cost of a request that matters. A read that its endpoint lets
wait is also put to the next one, and the first answer counts. A transaction is never sent again after
an attempt whose outcome is unknown.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Any, TypeVar

import orjson

from keeper.chain import decode
from keeper.chain.endpoint import Endpoint, WrongChain
from keeper.chain.hedge import hedged
from keeper.chain.priority import Priority, priority_of
from keeper.chain.replies import LIMIT_EXCEEDED, NotSent, ReplyTooLarge, read_many, read_single
from keeper.domain.clock import SystemClock
from keeper.domain.errors import ChainUnreachable, RangeRefused, RateLimited, RpcError, Transient

_T = TypeVar("_T")
_CLOCK = SystemClock()
_ATTEMPTS = 4
_FIRST_BACKOFF_S = 0.1
_LONGEST_WAIT_S = 20.0
_PROBE_S = 3.0
_LARGEST_BATCH = 100
# These can be asked for less.
_DIVISIBLE = frozenset({"eth_getLogs", "eth_call"})
_RANDOM = random.SystemRandom()

Ask = Callable[[Endpoint], Awaitable[_T]]


class RpcClient:
    """Asks the first endpoint that is fit, in the order they were given. `close` it."""

    def __init__(self, endpoints: Sequence[Endpoint], *, chain_id: int | None = None) -> None:
        if not endpoints:
            raise ChainUnreachable("no endpoint is configured")
        self.endpoints = tuple(endpoints)
        self._chain_id = chain_id
        self._ids = count(1)
        self._probes: dict[str, asyncio.Task[None]] = {}
        limits = [endpoint.throttle.largest_batch for endpoint in self.endpoints if endpoint.throttle]
        self.largest_batch = min([*limits, _LARGEST_BATCH])
        """How many requests may travel together: a batch never waits for more than one window."""

    @property
    def requests(self) -> int:
        """How many requests have left so far, over all endpoints; each of a batch counts."""
        return sum(endpoint.requests for endpoint in self.endpoints)

    async def close(self) -> None:
        """End what is under way and let the connections go."""
        probes = list(self._probes.values())
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)
        for endpoint in self.endpoints:
            await endpoint.close()

    async def request(
        self,
        method: str,
        params: Sequence[Any],
        parse: Callable[[Any], _T],
        *,
        priority: Priority = Priority.HEAD,
        retry: bool = True,
    ) -> _T:
        """Return the parsed result. `parse` raises BadReply for a result that cannot be true.

        With `retry` false an attempt is only followed by another when it certainly did nothing.
        Raises RpcError for the node's refusal, RangeRefused for a reply too large, else Transient.
        """
        place = priority_of(priority)

        async def ask(endpoint: Endpoint) -> _T:
            await self._verify(endpoint)
            return await self.ask_one(endpoint, method, params, parse, priority=place)

        return await self._with_failover(ask, retry=retry, priority=place)

    async def batch(
        self,
        requests: Sequence[tuple[str, Sequence[Any]]],
        parse: Callable[[list[Any]], _T],
        *,
        priority: Priority = Priority.HEAD,
    ) -> _T:
        """Return what `parse` makes of the results, which one endpoint gave together. Reads only.

        The results stand in the order asked, an RpcError in the place of each refused one. Raises as
        `request`, and BatchRefused where the endpoint does not take batches. Each request counts.
        """
        if not 0 < len(requests) <= self.largest_batch:
            raise ValueError(f"{len(requests)} requests in a batch of at most {self.largest_batch}")
        place = priority_of(priority)

        async def ask(endpoint: Endpoint) -> _T:
            await self._verify(endpoint)
            return parse(await self.ask_together(endpoint, requests, priority=place))

        return await self._with_failover(ask, retry=True, priority=place)

    async def ask_one(
        self,
        endpoint: Endpoint,
        method: str,
        params: Sequence[Any],
        parse: Callable[[Any], _T],
        *,
        priority: Priority = Priority.HEAD,
    ) -> _T:
        """Ask this endpoint once, without retry or failover."""
        number = next(self._ids)
        body = orjson.dumps(_envelope(number, method, params))
        try:
            reply = await endpoint.ask(body, number, items=1, priority=priority)
            return parse(read_single(reply, number))
        except ReplyTooLarge as error:
            if method in _DIVISIBLE:
                raise RangeRefused(LIMIT_EXCEEDED, str(error)) from None
            raise

    async def ask_together(
        self, endpoint: Endpoint, requests: Sequence[tuple[str, Sequence[Any]]], *, priority: Priority
    ) -> list[Any]:
        """Ask this endpoint once for several things; see `batch` for what comes back."""
        numbers = [next(self._ids) for _ in requests]  # no await between them: they are consecutive
        body = orjson.dumps([_envelope(i, *request) for i, request in zip(numbers, requests, strict=True)])
        try:
            reply = await endpoint.ask(body, numbers[0], items=len(requests), priority=priority)
        except ReplyTooLarge as error:
            if any(method in _DIVISIBLE for method, _ in requests):
                raise RangeRefused(LIMIT_EXCEEDED, str(error)) from None
            raise
        return read_many(reply, numbers[0], len(requests))

    async def verify_chain(self, endpoint: Endpoint) -> None:
        """Ask whom the endpoint speaks for. Raises WrongChain, and what asking raises."""
        answered = await self.ask_one(endpoint, "eth_chainId", (), decode.quantity)
        if self._chain_id is not None and answered != self._chain_id:
            raise WrongChain(f"{endpoint.label} answers for chain {answered}, not {self._chain_id}")
        endpoint.note_verified()

    async def _verify(self, endpoint: Endpoint) -> None:
        if not endpoint.verified and self._chain_id is not None:
            await self.verify_chain(endpoint)

    async def _with_failover(self, ask: Ask[_T], *, retry: bool, priority: Priority) -> _T:
        tried: set[str] = set()
        failure: Transient = Transient("nothing was asked")
        for attempt in range(_ATTEMPTS):
            endpoint, spare = self._choose(priority)
            await _wait_for(endpoint, attempt, again=endpoint.label in tried)
            tried.add(endpoint.label)
            try:
                if retry and spare is not None:
                    return await hedged(self._noting(ask), endpoint, spare)
                return await self._noting(ask)(endpoint)
            except Transient as error:
                failure = error
                if not retry and not isinstance(error, NotSent | RateLimited | WrongChain):
                    raise
        raise failure

    def _noting(self, ask: Ask[_T]) -> Ask[_T]:
        async def run(endpoint: Endpoint) -> _T:
            try:
                answer = await ask(endpoint)
            except RpcError:
                endpoint.note_success()
                raise
            except Transient as error:
                endpoint.note_failure(error)
                raise
            endpoint.note_success()
            return answer

        return run

    def _choose(self, priority: Priority) -> tuple[Endpoint, Endpoint | None]:
        """Return whom to ask and, for reads that should not wait, whom to ask if that one is slow."""
        if len(self.endpoints) == 1:
            return self.endpoints[0], None
        now_s = _CLOCK.monotonic_s()
        usable = [endpoint for endpoint in self.endpoints if endpoint.health.is_usable]
        self._probe_those_that_want(now_s)
        if not usable:
            reasons = "; ".join(f"{each.label}: {each.health.state}" for each in self.endpoints)
            raise Transient(f"no endpoint is fit to be believed: {reasons}")
        ranked = sorted(usable, key=lambda endpoint: endpoint.health.rank(now_s))
        may_hedge = priority <= Priority.HEAD and not (ranked[0].throttle and ranked[0].throttle.is_busy)
        spares = [each for each in ranked[1:] if each.health.rank(now_s)[0] == 0] if may_hedge else []
        return ranked[0], spares[0] if spares else None

    def _probe_those_that_want(self, now_s: float) -> None:
        for endpoint in self.endpoints:
            if endpoint.health.wants_probe(now_s) and endpoint.label not in self._probes:
                task = asyncio.create_task(self._probe(endpoint), name="probe-endpoint")
                self._probes[endpoint.label] = task
                task.add_done_callback(lambda _, label=endpoint.label: self._probes.pop(label, None))  # type: ignore[misc]

    async def _probe(self, endpoint: Endpoint) -> None:
        """Find out whether the endpoint is well again: the right chain, and a newest block."""
        try:
            async with asyncio.timeout(_PROBE_S):
                await self.verify_chain(endpoint)
                await self.ask_one(endpoint, "eth_getBlockByNumber", ("latest", False), decode.head)
        except (Transient, RpcError) as error:
            failure = error if isinstance(error, Transient) else Transient(str(error))
            endpoint.note_failure(failure)
        except TimeoutError:
            endpoint.note_failure(Transient(f"{endpoint.label}: no answer within {_PROBE_S:.0f} s"))
        else:
            endpoint.note_cleared()


async def _wait_for(endpoint: Endpoint, attempt: int, *, again: bool) -> None:
    """Obey what the endpoint asked for; before asking the same one again, wait a little in any case."""
    limited_s = endpoint.limited_s()
    if limited_s > _LONGEST_WAIT_S:
        raise RateLimited(f"{endpoint.label} asked for {limited_s:.0f} s of patience", retry_after_s=limited_s)
    backoff_s = _FIRST_BACKOFF_S * 2.0**attempt * _RANDOM.uniform(0.5, 1.0) if again else 0.0
    if wait_s := max(limited_s, backoff_s):
        await asyncio.sleep(wait_s)


def _envelope(number: int, method: str, params: Sequence[Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
