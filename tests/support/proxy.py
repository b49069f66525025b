"""A JSON-RPC proxy that counts what passes and breaks what it is told to.

    async with RpcProxy(node.http_url) as proxy:
        proxy.break_with(Fault(kind="status", status=429, headers={"Retry-After": "1"}), method="eth_call", times=2)
        ... use proxy.http_url, proxy.ws_url ...
        assert proxy.count("eth_call") == 3
        assert proxy.most_in_window(1.0) <= 20

Each item of a batch counts as one request, at the moment its body has been read here. Over WebSocket
the handshake counts (as "websocket") and each message of the client; the same faults strike there,
except those that are about HTTP (status, drip).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import aiohttp
import orjson
from aiohttp import web

Kind = Literal[
    "status",  # answer with `status` and `headers`, do not forward
    "reset",  # close the connection, do not forward
    "swallow",  # forward, then close the connection without an answer
    "hang",  # never answer, do not forward
    "delay",  # forward, answer after `seconds`
    "drip",  # forward, answer one byte each `seconds`
    "body",  # answer with the bytes `body`, do not forward
    "truncate",  # forward, leave away the second half of the answer
    "result",  # forward, put `value` (or what it makes of the result) in the result's place
    "error",  # forward, answer with the error object `value` instead
    "id",  # forward, answer with another id
]
_FORWARDED = {"swallow", "delay", "drip", "truncate", "result", "id", "error"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way to fail; which fields count stands beside its kind."""

    kind: Kind
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    body: bytes = b""
    value: Any = None


@dataclass(slots=True)
class Rule:
    """A fault for requests of `method` (any, when None), after `skip` and for `left` of them (None: all)."""

    fault: Fault
    method: str | None
    skip: int
    left: int | None
    hits: int = 0

    def takes(self, method: str) -> bool:
        """Whether the fault strikes this request; counts."""
        if self.method not in {None, method} or self.left == 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.left is not None:
            self.left -= 1
        self.hits += 1
        return True


@dataclass(slots=True)
class Weather:
    """Faults that strike a share of all requests, in an order that a seed decides."""

    faults: Sequence[Fault]
    share: float
    dice: random.Random
    hits: int = 0

    def strikes(self) -> Fault | None:
        """Return what strikes the next request, mostly nothing; counts."""
        if self.dice.random() >= self.share:
            return None
        self.hits += 1
        return self.dice.choice(self.faults)


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived; `at_s` on the monotonic clock."""

    at_s: float
    method: str
    params: Any


class RpcProxy:
    """A proxy in front of one node, on a port of the kernel's choice."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._rules: list[Rule] = []
        self._weather: Weather | None = None
        self._sockets: set[web.WebSocketResponse] = set()
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._port = 0
        self._struck: dict[int, tuple[Fault, int]] = {}
        self._later: set[asyncio.Task[None]] = set()
        self.seen: list[Seen] = []
        self.refused: list[Any] = []
        """What the node objected to in transactions sent through here."""
        self.stalled = False
        """While true nothing a node says reaches a client over WebSocket."""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.heal()
        for later in self._later:
            later.cancel()
        await self.drop_sockets()
        assert self._runner is not None
        assert self._session is not None
        await self._runner.cleanup()
        await self._session.close()

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self._port}"

    def break_with(self, fault: Fault, *, method: str | None = None, times: int | None = None, skip: int = 0) -> Rule:
        """Break matching requests from now on; the rule returned counts how often it struck."""
        rule = Rule(fault, method, skip, times)
        self._rules.append(rule)
        return rule

    def break_some(self, faults: Sequence[Fault], *, share: float, seed: int) -> Weather:
        """Break a share of all requests over HTTP from now on; the weather returned counts how often it struck."""
        self._weather = Weather(faults, share, random.Random(seed))
        return self._weather

    def heal(self) -> None:
        """Let everything pass again."""
        self._rules.clear()
        self._weather = None
        self.stalled = False

    def count(self, method: str | None = None) -> int:
        """Return how many requests (of `method`) came."""
        return sum(1 for seen in self.seen if method in {None, seen.method})

    def most_in_window(self, seconds: float, *, since: int = 0) -> int:
        """Return the greatest number of requests within any `seconds`, those before number `since` left out."""
        times = sorted(seen.at_s for seen in self.seen[since:])
        first = most = 0
        for last, at_s in enumerate(times):
            while at_s - times[first] >= seconds:
                first += 1
            most = max(most, last - first + 1)
        return most

    async def drop_sockets(self) -> None:
        """Close every WebSocket."""
        for socket in list(self._sockets):
            await socket.close(drain=False)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._handle_socket(request)
        asked = orjson.loads(await request.read())
        items = asked if isinstance(asked, list) else [asked]
        for item in items:
            self._note(item["method"], item.get("params"))
        struck = next(
            ((rule.fault, item["id"]) for rule in self._rules for item in items if rule.takes(item["method"])), None
        )
        if struck is None and self._weather is not None and (fault := self._weather.strikes()) is not None:
            struck = fault, items[0]["id"]
        if struck is None:
            return web.Response(body=await self._forward(asked), content_type="application/json")
        return await self._break(request, asked, *struck)

    def _note(self, method: str, params: Any) -> None:
        self.seen.append(Seen(time.monotonic(), method, params))

    async def _forward(self, asked: Any) -> bytes:
        assert self._session is not None
        headers = {"content-type": "application/json"}
        async with self._session.post(self._target, data=orjson.dumps(asked), headers=headers) as response:
            body = await response.read()
        if isinstance(asked, dict) and asked["method"] == "eth_sendRawTransaction":
            error = orjson.loads(body).get("error")
            self.refused += [error] if error else []
        return body

    async def _break(self, request: web.Request, asked: Any, fault: Fault, item_id: Any) -> web.StreamResponse:
        body = await self._forward(asked) if fault.kind in _FORWARDED else b""
        match fault.kind:
            case "status":
                return web.Response(status=fault.status, headers=dict(fault.headers))
            case "reset" | "swallow":
                assert request.transport is not None
                request.transport.abort()
            case "hang":
                await asyncio.sleep(3600)
            case "delay":
                await asyncio.sleep(fault.seconds)
            case "drip":
                return await self._drip(request, body, fault.seconds)
            case "body":
                body = fault.body
            case "truncate":
                body = body[: len(body) // 2]
            case "result" | "id" | "error":
                body = _change(body, fault, item_id)
        return web.Response(body=body, content_type="application/json")

    async def _drip(self, request: web.Request, body: bytes, seconds: float) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for byte in body:
            await response.write(bytes((byte,)))
            await asyncio.sleep(seconds)
        return response

    async def _handle_socket(self, request: web.Request) -> web.StreamResponse:
        self._note("websocket", None)
        assert self._session is not None
        client = web.WebSocketResponse()
        await client.prepare(request)
        self._sockets.add(client)
        try:
            async with self._session.ws_connect("ws" + self._target.removeprefix("http")) as node:
                downwards = asyncio.create_task(self._pass_down(node, client))
                try:
                    await self._pass_up(client, node)
                finally:
                    downwards.cancel()
                    await asyncio.gather(downwards, return_exceptions=True)
        finally:
            self._sockets.discard(client)
        return client

    async def _pass_up(self, client: web.WebSocketResponse, node: aiohttp.ClientWebSocketResponse) -> None:
        async for message in client:
            asked = orjson.loads(message.data)
            items = asked if isinstance(asked, list) else [asked]
            for item in items:
                self._note(item["method"], item.get("params"))
            struck = next(
                ((rule.fault, item["id"]) for rule in self._rules for item in items if rule.takes(item["method"])), None
            )
            if struck is not None:
                fault, item_id = struck
                if fault.kind in {"reset", "hang"}:
                    if fault.kind == "reset":
                        await client.close(drain=False)
                    continue
                self._struck[items[0]["id"]] = (fault, item_id)
            await node.send_str(message.data if isinstance(message.data, str) else message.data.decode())

    async def _pass_down(self, node: aiohttp.ClientWebSocketResponse, client: web.WebSocketResponse) -> None:
        async for message in node:
            if not self.stalled:
                await self._answer_socket(client, message.data)
        await client.close(drain=False)

    async def _answer_socket(self, client: web.WebSocketResponse, text: str) -> None:
        answer = orjson.loads(text)
        first = answer[0] if isinstance(answer, list) else answer
        struck = self._struck.pop(first.get("id"), None)
        if struck is None:
            await client.send_str(text)
            return
        fault, item_id = struck
        match fault.kind:
            case "swallow":
                await client.close(drain=False)
            case "delay":
                self._later.add(later := asyncio.create_task(_send_later(client, text, fault.seconds)))
                later.add_done_callback(self._later.discard)
            case "body":
                await client.send_str(fault.body.decode())
            case "truncate":
                await client.send_str(text[: len(text) // 2])
            case _:
                await client.send_str(_change(text.encode(), fault, item_id).decode())


async def _send_later(client: web.WebSocketResponse, text: str, seconds: float) -> None:
    await asyncio.sleep(seconds)
    with contextlib.suppress(ConnectionError):
        await client.send_str(text)


def _change(body: bytes, fault: Fault, item_id: Any) -> bytes:
    """Change the answer to the item that was struck; the others of a batch stay as they are."""
    answer = orjson.loads(body)
    for item in answer if isinstance(answer, list) else [answer]:
        if item["id"] != item_id:
            continue
        if fault.kind == "id":
            item["id"] = 10**9 + item_id
        elif fault.kind == "error":
            item.pop("result", None)
            item["error"] = fault.value
        else:
            item["result"] = fault.value(item.get("result")) if callable(fault.value) else fault.value
    return orjson.dumps(answer)
