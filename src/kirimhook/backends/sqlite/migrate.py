"""The tables of a SQLite inbox are made when it is opened: to migrate one is to open it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from typing import Any

from kirimhook.backends.sqlite.inbox import SQLiteInbox
from kirimhook.backends.sqlite.schema import VERSION, connect, version_of
from kirimhook.backends.sqlite.settings import SQLiteSettings


def needed() -> str:
    return str(VERSION)


async def migrate(url: str, **options: Any) -> list[str]:
    """What was applied. Raises `InboxUnavailable`, and ValueError for an inbox that ends with this process."""
    settings = SQLiteSettings.from_url(url, **options).anchored()
    if settings.in_memory:
        raise ValueError("an inbox in memory ends with its process: there is nothing to migrate")
    was_made = await asyncio.to_thread(_has_tables, settings)
    inbox = SQLiteInbox(settings, time.time)
    try:
        await inbox.open()
    finally:
        await inbox.close()
    return [] if was_made else [f"version {VERSION}: the tables"]


def _has_tables(settings: SQLiteSettings) -> bool:
    """Ours, in a file that is there. What is wrong with the file, opening the inbox tells better."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(connect(settings, "ro")) as connection:
        return version_of(connection) > 0
    return False
