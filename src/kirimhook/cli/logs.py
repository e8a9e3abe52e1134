"""Logs of a process that serves: every line of every library on stderr, one JSON object or one readable line each."""

from __future__ import annotations

import logging
import os
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import structlog

from kirimhook.cli.output import printable

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from structlog.typing import Processor, WrappedLogger

    EventDict = MutableMapping[str, Any]


class LogFormat(StrEnum):
    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


NOISY = {
    "alembic": logging.WARNING,
    "asyncio": logging.WARNING,
    "uvicorn.access": logging.CRITICAL,
    "uvicorn.error": logging.WARNING,
}
"""Libraries whose lower levels repeat what ours say better."""


def configure(log_format: LogFormat | None, level: LogLevel) -> None:
    """Replace all handlers of the root logger. Without a format: readable on a terminal, JSON elsewhere."""
    if log_format is None:
        log_format = LogFormat.CONSOLE if sys.stderr.isatty() else LogFormat.JSON
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(log_format))
    logging.root.handlers = [handler]
    logging.root.setLevel(level.value.upper())
    for name, least in NOISY.items():
        logging.getLogger(name).setLevel(max(least, logging.root.level))


def _formatter(log_format: LogFormat) -> logging.Formatter:
    shared: list[Processor] = [_fields, structlog.stdlib.add_log_level]
    if log_format is LogFormat.JSON:
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
        shared += [structlog.stdlib.add_logger_name, _process, stamp, structlog.processors.format_exc_info]
        rendered: list[Processor] = [structlog.processors.JSONRenderer(default=str)]
    else:
        shared += [_harmless, structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)]
        # the plain formatter: rich's would print the values of local variables, bodies and secrets among them
        plain = structlog.dev.plain_traceback
        rendered = [
            structlog.dev.ConsoleRenderer(sort_keys=False, colors=sys.stderr.isatty(), exception_formatter=plain)
        ]
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(processors=[remove, *rendered], foreign_pre_chain=shared)


def _fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The fields that `observe` hangs on a record, in place of the text made of them."""
    ours = getattr(event["_record"], "kirimhook", None)
    if isinstance(ours, dict):
        event.update(ours)
    return event


def _harmless(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Texts that came from outside must not speak to the terminal."""
    event.update({key: printable(value) for key, value in event.items() if isinstance(value, str)})
    return event


def _process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["pid"] = os.getpid()
    return event
