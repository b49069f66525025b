"""What nodes answer, and what each answer means. Pure: no I/O.

A reply is believed only when its id and its shape are right; everything else is a `BadReply`, which
is the endpoint's failure and never a value.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from keeper.domain.errors import RangeRefused, RateLimited, RpcError, Transient

# Codes with one meaning on all nodes; the rest is told by the words.
_METHOD_MISSING = -32601
_REVERTED = 3
_TOO_MANY_REQUESTS = 429
_RESOURCE_MISSING = -32001
LIMIT_EXCEEDED = -32005
_RATE = re.compile(r"rate.?limit|too many requests|request limit|compute units|capacity|throttl|quota", re.IGNORECASE)
_RANGE = re.compile(
    r"block range|range (is )?too|range limit|max(imum)? (block )?range|exceed.{0,40}(range|blocks|logs|results|size)"
    r"|more than \d+ (results|logs)|too many (results|logs|blocks)|(response|result|reply).{0,20}(too (large|big)|size)"
    r"|limited to (a )?\d+|up to (a )?\d+.{0,10}block|query timeout|timed? ?out|block span|narrow|smaller range",
    re.IGNORECASE,
)
_BLOCK_MISSING = re.compile(
    r"header not found|unknown block|block not found|(block|header) .{0,80}not found|resource not found"
    r"|missing trie node|BlockOutOfRange|pruned|state .{0,80}(not available|unavailable|not found|missing)"
    r"|historical state|no state|cannot find block|after last (known|accepted) block",
    re.IGNORECASE,
)
_TOO_MUCH = re.compile(
    r"out ?of ?gas|gas (limit|uint64|cap|allowance|required)|intrinsic gas|too (large|big|long)|size limit"
    r"|execution (timeout|aborted|reverted)|timed? ?out|request (body|entity)|invalid request|evm error",
    re.IGNORECASE,
)
_NO_METHOD = re.compile(
    r"method.{0,60}(not found|not supported|does not exist|not available)|unsupported method", re.IGNORECASE
)
_NO_CREATION = re.compile(r"missing keys: \[\"to\"\]|can'?t be built", re.IGNORECASE)


class BadReply(Transient):
    """The endpoint answered something that cannot be an answer to what was asked."""


class NodeBehind(BadReply):
    """The endpoint does not have a block that is there."""


class NotSent(Transient):
    """The request certainly never left this machine."""


class BatchRefused(RpcError):  # noqa: N818 - named as its siblings are
    """The endpoint does not take batches."""


class ReplyTooLarge(Transient):
    """The reply is larger than what is read at most."""


def read_reply(body: bytes, request_id: int) -> Any:
    """Return the result of the single reply in `body`. Raises BadReply, RateLimited, RpcError."""
    return read_single(load_json(body), request_id)


def read_single(reply: Any, request_id: int) -> Any:
    """Return the result in `reply`, already parsed. Raises BadReply, RateLimited, RpcError."""
    return _result_of(reply, request_id)


def read_batch(body: bytes, first_id: int, count: int) -> list[Any]:
    """Return the results of the batch in `body`. See `read_many`."""
    return read_many(load_json(body), first_id, count)


def read_many(replies: Any, first_id: int, count: int) -> list[Any]:
    """Return the results of a batch in the order asked, an error object as the error it stands for.

    Raises BadReply when the ids are not exactly those asked for, RateLimited and BatchRefused when
    the endpoint answered the batch as a whole.
    """
    if isinstance(replies, dict):
        try:
            _result_of(replies, None)
        except RpcError as error:
            raise BatchRefused(error.code, error.message) from None
    if not isinstance(replies, list) or not all(isinstance(reply, dict) for reply in replies):
        raise BadReply("a batch reply that is no list of objects")
    by_id = {reply.get("id"): reply for reply in replies if isinstance(reply.get("id"), int)}
    wanted = range(first_id, first_id + count)
    if len(replies) != count or set(by_id) != set(wanted):
        raise BadReply(f"{len(replies)} replies to {count} requests, or with other ids")
    return [_outcome_of(by_id[number], number) for number in wanted]


def _outcome_of(reply: dict[str, Any], request_id: int) -> Any:
    try:
        return _result_of(reply, request_id)
    except RpcError as error:
        return error


def load_json(body: bytes) -> Any:
    """Return the document in `body`. Raises BadReply."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadReply(f"no JSON in a reply of {len(body)} bytes") from None


def _result_of(reply: Any, request_id: int | None) -> Any:
    if not isinstance(reply, dict):
        raise BadReply("a reply that is no object")
    error = reply.get("error")
    if error is not None and reply.get("id") in (request_id, None):
        raise error_of(error)
    if request_id is None or type(reply.get("id")) is not int or reply["id"] != request_id:
        raise BadReply("a reply to another request")
    if "result" not in reply:
        raise BadReply("a reply without result")
    return reply["result"]


def error_of(error: Any) -> Exception:
    """Return the exception an error object stands for: RateLimited, RpcError or BadReply."""
    if not isinstance(error, dict) or type(error.get("code")) is not int:
        return BadReply("an error without code")
    code, message = error["code"], str(error.get("message", ""))[:500]
    reverted = code == _REVERTED or message.startswith("execution reverted")  # the words behind it are a contract's
    if code == _TOO_MANY_REQUESTS or (not reverted and _RATE.search(message) and not _RANGE.search(message)):
        return RateLimited(f"the endpoint asked for patience: {message}", retry_after_s=1.0)
    return RpcError(code, message, _revert_data(error.get("data")))


def _revert_data(data: Any) -> bytes:
    if isinstance(data, dict):  # some nodes wrap it
        data = data.get("data", data.get("result"))
    if not isinstance(data, str):
        return b""
    text = data.removeprefix("Reverted ").removeprefix("0x")
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def is_range_refusal(error: RpcError) -> bool:
    """Whether a log query should be repeated over fewer blocks."""
    return isinstance(error, RangeRefused) or error.code == LIMIT_EXCEEDED or bool(_RANGE.search(error.message))


def is_block_missing(error: RpcError) -> bool:
    """Whether the node says that it does not have the block, or its state."""
    return error.code == _RESOURCE_MISSING or bool(_BLOCK_MISSING.search(error.message))


def is_too_much(error: RpcError) -> bool:
    """Whether a read may succeed in smaller pieces."""
    return isinstance(error, RangeRefused) or bool(_TOO_MUCH.search(error.message))


def is_hash_refused(error: RpcError) -> bool:
    """Whether the node does not understand a block given by its hash (EIP-1898)."""
    return error.code in (-32602, -32600, -32700) and not is_block_missing(error) and not is_too_much(error)


def is_method_missing(error: RpcError) -> bool:
    """Whether the node does not have the method at all."""
    return error.code == _METHOD_MISSING or bool(_NO_METHOD.search(error.message))


def is_creation_refused(error: RpcError) -> bool:
    """Whether the node cannot create contracts in a simulation (anvil asks for a recipient)."""
    return bool(_NO_CREATION.search(error.message))
