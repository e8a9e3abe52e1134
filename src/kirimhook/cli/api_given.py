"""The API that a command was told to call: its options, a client for it, and what becomes of what it refuses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from kirimhook.cli import output
from kirimhook.cli.addressed import trust
from kirimhook.cli.failure import Failure, misuse
from kirimhook.client.account import HOSTED, KEY_VARIABLE, URL_VARIABLE

if TYPE_CHECKING:
    from kirimhook.client import ApiError, AsyncKirim, Kirim

T = TypeVar("T")

API = "Which API"
LONG = 2.0
"""Seconds of a wait from which on somebody who looks is told of it."""

ApiUrl = Annotated[
    str | None,
    typer.Option(
        "--api-url",
        envvar=URL_VARIABLE,
        metavar="URL",
        help=f"Where the API is, with or without /v1. Without it: {HOSTED}.",
        rich_help_panel=API,
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--key",
        envvar=KEY_VARIABLE,
        show_envvar=True,
        metavar="KEY",
        help="An API key; safer in the environment.",
        rich_help_panel=API,
    ),
]
CaBundle = Annotated[
    Path | None,
    typer.Option(
        "--ca-bundle",
        metavar="FILE",
        help="Trust the authorities of this file (PEM) only.",
        rich_help_panel=API,
    ),
]


def with_api(
    url: str | None, key: str | None, bundle: Path | None, work: Callable[[Kirim], T], may_be_done: str = ""
) -> T:
    """What `work` comes to. Raises `Failure` for what the client cannot be told, and for what the API refuses.

    `may_be_done`: what to say where no answer came to a call that may have been carried out.
    """
    from kirimhook.client import ApiError, ArgumentError, Kirim, UnexpectedAnswer, Unreachable

    try:
        with Kirim(**told(url, key, bundle)) as kirim:
            return work(kirim)
    except (Unreachable, UnexpectedAnswer) as error:
        raise failed(error, may_be_done) from error
    except ApiError as error:
        raise failed(error) from error
    except ArgumentError as error:
        raise misuse(str(error)) from None


def with_api_async(
    url: str | None, key: str | None, bundle: Path | None, work: Callable[[AsyncKirim], Awaitable[T]]
) -> T:
    """The same, for work that waits for several things at once."""
    from kirimhook.client import ApiError, ArgumentError, AsyncKirim, UnexpectedAnswer, Unreachable

    async def run() -> T:
        async with AsyncKirim(**told(url, key, bundle)) as kirim:
            return await work(kirim)

    try:
        return asyncio.run(run())
    except (ApiError, Unreachable, UnexpectedAnswer) as error:
        raise failed(error) from error
    except ArgumentError as error:
        raise misuse(str(error)) from None


def failed(error: Exception, may_be_done: str = "") -> Failure:
    """An error of the client as what a command says: the API's own words, and the id to ask its operators about."""
    from kirimhook.client import ApiError, UnexpectedAnswer

    request_id = getattr(error, "request_id", None)
    asked = f" [{output.printable(request_id)}]" if request_id else ""
    if isinstance(error, ApiError):
        return Failure(f"refused with {error.status} {_words(error)}{asked}")
    more = f"; {may_be_done}" if may_be_done else ""
    who = "the API: " if isinstance(error, UnexpectedAnswer) else ""
    return Failure(f"{who}{output.printable(str(error))}{asked}{more}")


def check_id(given: str, prefix: str) -> str:
    """Raises `Failure` for what cannot be the id of one of these (`contract.ids`)."""
    if not given.startswith(prefix) or not given.removeprefix(prefix).isalnum():
        raise misuse(f"{given!r} is no id of this kind: {prefix}…")
    return given


class _Waits(logging.Handler):
    """Says on stderr what the client waits for."""

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "seconds", 0.0) >= LONG:
            output.note(output.printable(f"{record.getMessage()} (Ctrl-C ends it)"))


def _tell_of_waits() -> None:
    log = logging.getLogger("kirimhook.client")
    if not log.handlers:
        log.addHandler(_Waits())
        log.setLevel(logging.INFO)


def _words(error: ApiError) -> str:
    where = f" ({error.param})" if error.param else ""
    return output.printable(f"{error.code}{where}: {error.message}")


def told(url: str | None, key: str | None, bundle: Path | None) -> dict[str, Any]:
    """What the client is made with. Raises `Failure`."""
    from kirimhook.client.account import account

    if output.is_terminal():
        _tell_of_waits()
    try:
        account(key, url)
    except ValueError as error:
        raise misuse(f"{error} (--key, --api-url)") from None
    return {"api_key": key, "base_url": url, "verify": trust(bundle)}
