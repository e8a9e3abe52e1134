"""The tables of a database, brought to what this version needs.

Alembic's revisions are in `sender/versions`; the table `kirimhook_sender_version` says which ones a database has.
Every function blocks, and may be called where an event loop runs as well: from a thread, `asyncio.to_thread`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from kirimhook.migrations import on_sqlite
from kirimhook.migrations.revisions import WrongRevision, apply, missing, needed, refuse_unless_current
from kirimhook.sender.database import open_database
from kirimhook.sender.database.file import SQLiteSettings

__all__ = ["WrongRevision", "behind", "check", "migrate", "needed"]

T = TypeVar("T")


def behind(url: str) -> list[str]:
    """The revisions that the database has yet to get, in order; a SQLite file that is not there needs all.

    Raises `WrongRevision` for a database of a newer version or with another program's tables of our names,
    `StorageUnavailable`, and ValueError for a URL that is none.
    """
    return _looking(url, missing)


def check(url: str) -> None:
    """Raises `WrongRevision`, saying what to do, unless the database is what this version needs; as `behind`."""
    _looking(url, lambda connection: refuse_unless_current(connection, url))


def migrate(url: str, progress: Callable[[str], None]) -> list[str]:
    """Apply what is missing, one transaction each, while no other process does; the revisions applied.

    `progress` is told of each as it begins, and of waiting. Raises as `behind` does.
    """

    def work(connection: Connection) -> list[str]:
        return apply(connection, progress)

    if _is_sqlite(url):
        return on_sqlite.alone(SQLiteSettings.from_url(url), work)
    from kirimhook.migrations import on_postgres

    return on_postgres.alone(url, work, progress)


def _looking(url: str, work: Callable[[Connection], T]) -> T:
    if _is_sqlite(url):
        return on_sqlite.looking(SQLiteSettings.from_url(url), work)
    from kirimhook.migrations import on_postgres

    return on_postgres.looking(url, work)


def _is_sqlite(url: str) -> bool:
    """Raises ValueError for a URL that is none."""
    return open_database(url).dialect == "sqlite"
