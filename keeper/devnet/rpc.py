"""A small JSON-RPC client for local nodes: one connection pool, single calls and batches, no retries."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from keeper.domain.errors import RpcError, Transient

Request = tuple[str, Sequence[Any]]

_CHUNK = 400  # requests per batch: keeps a batch well under anvil's default body limit
_TIMEOUT_S = 120.0


class JsonRpc:
    """Requests to one local endpoint.

    Raises RpcError with the node's own code and data for an error answer, Transient when the node is not there.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._session: aiohttp.ClientSession | None = None
        self._next_id = 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; the client opens new ones when it is used again."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, method: str, *params: Any) -> Any:
        """Return the result of one request."""
        return _result(await self._post(self._request(method, params)))

    async def batch(self, requests: Sequence[Request]) -> list[Any]:
        """Return the results in the order asked; the first error answer is raised."""
        return [_result(answer) for answer in await self.batch_answers(requests)]

    async def batch_answers(self, requests: Sequence[Request]) -> list[dict[str, Any]]:
        """Return the raw answers in the order asked, error objects included."""
        answers: list[dict[str, Any]] = []
        for start in range(0, len(requests), _CHUNK):
            body = [self._request(method, params) for method, params in requests[start : start + _CHUNK]]
            raw = await self._post(body)
            by_id = {answer["id"]: answer for answer in raw}
            answers += [by_id[request["id"]] for request in body]
        return answers

    def _request(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        self._next_id += 1
        return {"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": list(params)}

    async def _post(self, body: Any) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S))
        headers = {"content-type": "application/json"}
        try:
            async with self._session.post(self.url, data=orjson.dumps(body), headers=headers) as response:
                return orjson.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Transient(f"{self.url} does not answer: {error}") from error


def _result(answer: dict[str, Any]) -> Any:
    error = answer.get("error")
    if error is None:
        return answer["result"]
    data = error.get("data")
    raw = bytes.fromhex(data[2:]) if isinstance(data, str) and data.startswith("0x") else b""
    raise RpcError(error.get("code", 0), error.get("message", ""), raw)
