"""The inbox that an operator's command works on: one that is there already."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from kirimhook.backends import kind_of, open_inbox, scrubbed, shown
from kirimhook.backends.sqlite.settings import SQLiteSettings
from kirimhook.cli.failure import Failure, misuse
from kirimhook.receiver.inbox import Inbox, InboxUnavailable

T = TypeVar("T")

DEFAULT = "sqlite:///inbox.db"
VARIABLE = "KIRIMHOOK_INBOX"

ABOUT = "Where events are stored: sqlite:///…, postgresql://… or nats://…"

InboxUrl = Annotated[str, typer.Option("--inbox", envvar=VARIABLE, help=ABOUT, metavar="URL", show_default=True)]


def with_inbox(url: str, work: Callable[[Inbox], Awaitable[T]], **options: Any) -> T:
    """Open the inbox, do `work` with it, close it. Raises `Failure`: also for one that does not exist."""
    inbox = existing(url, **options)
    try:
        return asyncio.run(_within(inbox, work))
    except InboxUnavailable as error:
        raise unusable(url, error) from error


def unusable(url: str, error: InboxUnavailable) -> Failure:
    """What to say of an inbox that refuses."""
    if error.reason == "not_migrated":
        return Failure(f"the inbox {shown(url)} is not migrated: run kirimhook migrate --inbox {shown(url)}")
    return Failure(f"the inbox {shown(url)} cannot be used: {scrubbed(str(error), url)}")


def existing(url: str, **options: Any) -> Inbox:
    """Not opened yet. Raises `Failure` for a file that is not there: a typing error must not make an empty inbox.

    A server makes none either: what is not migrated there refuses when it is opened.
    """
    try:
        settings = SQLiteSettings.from_url(url, **options) if kind_of(url) == "sqlite" else None
        inbox = open_inbox(url, **options)
    except ValueError as error:
        raise misuse(scrubbed(str(error), url)) from None
    if settings is not None and settings.in_memory:
        raise misuse("an inbox in memory ends with its process: there is nothing to look at")
    if settings is not None and not Path(settings.path).is_file():
        raise Failure(f"there is no inbox {settings.path}: name it with --inbox, or {VARIABLE}")
    return inbox


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Inbox]:
    """An inbox that exists, opened, and closed in the end. Raises `Failure`."""
    inbox = existing(url)
    try:
        try:
            await inbox.open()
        except InboxUnavailable as error:
            raise unusable(url, error) from error
        yield inbox
    finally:
        await inbox.close()


async def _within(inbox: Inbox, work: Callable[[Inbox], Awaitable[T]]) -> T:
    try:
        await inbox.open()
        return await work(inbox)
    finally:
        await inbox.close()
