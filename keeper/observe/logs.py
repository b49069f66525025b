"""Logging, set up once by the command line: standard error only, secrets removed at the sink."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from keeper.observe.redact import Secrets, redact

LogFormat = Literal["auto", "console", "json"]

_SECRETS: Final = Secrets()
_HANDLER_NAME: Final = "keeper"
_NOISY: Final = ("web3", "aiohttp", "asyncio", "urllib3", "eth_account")


def register_secret(secret: str) -> None:
    """Mask `secret` in every line logged from now on; to be called where a secret enters the process."""
    _SECRETS.add(secret)


def redact_text(text: str) -> str:
    """Return `text` without secrets, for messages that leave by another way than the log."""
    return redact(text, _SECRETS)


def configure_logging(
    *, log_format: LogFormat = "auto", level: int = logging.INFO, stream: TextIO | None = None
) -> None:
    """Send all log lines, ours and the libraries', to `stream` (standard error), as text on a terminal, else as JSON.

    Calling it again replaces the earlier set-up. Tracebacks never show local variables.
    """
    sink = sys.stderr if stream is None else stream
    as_json = log_format == "json" or (log_format == "auto" and not sink.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sink)
    handler.set_name(_HANDLER_NAME)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.PositionalArgumentsFormatter()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(as_json=as_json, colours=sink.isatty()),
                _redact_line,
            ],
        )
    )
    _install(handler, level)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def get_logger() -> Any:
    """Return the logger of the keeper's own events."""
    return structlog.get_logger("keeper")


def _install(handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    for old in [known for known in root.handlers if known.get_name() == _HANDLER_NAME]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _renderers(*, as_json: bool, colours: bool) -> list[Processor]:
    if as_json:
        return [structlog.processors.format_exc_info, _text_only, structlog.processors.JSONRenderer(default=str)]
    return [
        structlog.dev.ConsoleRenderer(
            colors=colours, exception_formatter=structlog.dev.plain_traceback, sort_keys=False
        )
    ]


def _text_only(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Turn integers beyond 64 bits into text: most readers of JSON cannot hold them."""
    for key, value in event.items():
        if isinstance(value, int) and abs(value) >= 2**53:
            event[key] = str(value)
    return event


def _redact_line(_logger: WrappedLogger, _method: str, event: str | bytes | Mapping[str, Any] | Any) -> Any:
    if isinstance(event, MutableMapping):
        raise TypeError("the redactor has to stand behind the renderer")
    return redact_text(event.decode() if isinstance(event, bytes) else str(event))
