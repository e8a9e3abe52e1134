"""The tables of a database, brought to what this version needs.

Alembic's revisions are in `sender/versions`; the table `kirimhook_sender_version` says which ones a database has.
Every function blocks, and may be called where an event loop runs as well: from a thread, `asyncio.to_thread`.
"""

from __future__ import annotations

from collections.abc import Callable

from kirimhook.migrations.revisions import WrongRevision, apply, missing, needed, refuse_unless_current
from kirimhook.migrations.turns import alone, looking

__all__ = ["WrongRevision", "behind", "check", "migrate", "needed"]


def behind(url: str) -> list[str]:
    """The revisions that the database has yet to get, in order; a SQLite file that is not there needs all.

    Raises `WrongRevision` for a database of a newer version or with another program's tables of our names,
    `StorageUnavailable`, and ValueError for a URL that is none.
    """
    return looking(url, missing)


def check(url: str) -> None:
    """Raises `WrongRevision`, saying what to do, unless the database is what this version needs; as `behind`."""
    looking(url, lambda connection: refuse_unless_current(connection, url))


def migrate(url: str, progress: Callable[[str], None]) -> list[str]:
    """Apply what is missing, one transaction each, while no other process does; the revisions applied.

    `progress` is told of each as it begins, and of waiting. Raises as `behind` does.
    """
    return alone(url, lambda connection: apply(connection, progress), progress)
