"""What the commands share: options, printing, and the way errors become exit codes."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
import typer

from keeper.domain.errors import Fatal, HistoryMissing, KeeperError, RpcError, Stale, Transient
from keeper.observe.logs import configure_logging, redact_text

T = TypeVar("T")

ConfigOption = Annotated[
    Path,
    typer.Option("--config", envvar="KEEPER_CONFIG", help="The TOML file.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Log details too.")]


def execute(work: Callable[[], Awaitable[T]], *, as_json: bool, verbose: bool = False) -> T:
    """Run `work` to its end; turn an expected error into one line and its exit code."""
    configure_logging(level=logging.DEBUG if verbose else logging.INFO)
    try:
        return asyncio.run(_awaited(work))
    except KeeperError as error:
        raise fail(error, as_json=as_json) from None


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()


def fail(error: KeeperError, *, as_json: bool) -> typer.Exit:
    """Print `error` as one line on stderr (and as JSON on stdout when asked), return the exit."""
    code = exit_code(error)
    message = redact_text(" ".join(str(error).split()))
    print(f"keeper: {message}", file=sys.stderr)
    if as_json:
        emit({"error": {"message": message, "exit_code": code}})
    return typer.Exit(code)


def exit_code(error: KeeperError) -> int:
    """Return the documented exit code for `error`."""
    match error:
        case Fatal():
            return error.exit_code
        case Transient() | Stale():
            return HistoryMissing.exit_code
        case RpcError():
            return 1
        case _:
            return 1


def emit(document: dict[str, Any]) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")
    sys.stdout.flush()
