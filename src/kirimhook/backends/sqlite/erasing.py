"""Erase: what says whom an event is about goes, and then what SQLite has left of it elsewhere in the file.

The file is built anew for that (`sqlite_file/rebuilding.py`). Nothing is committed meanwhile, so that receivers answer
503 when it takes more than `commit_bound`, and the sender tries again.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Sequence

from kirimhook.backends.sqlite.schema import connect
from kirimhook.backends.sqlite.settings import SQLiteSettings
from kirimhook.sqlite_file import rebuilding

AT_ONCE = 500
"""Events of one transaction."""
UNDER_WAY = "erasing"
"""In `control` from the first event that is erased until the file is built anew: a crash may come between."""

FOUND = """
SELECT f.number FROM json_each(?) AS wanted
CROSS JOIN finished AS f ON f.number = wanted.value
CROSS JOIN events AS e ON e.number = f.number
WHERE e.event_id <> '' OR e.delivery_id <> '' OR e.ordering_key IS NOT NULL OR f.reason IS NOT NULL
      OR EXISTS (SELECT 1 FROM payloads p WHERE p.number = f.number)"""
ERASE = (
    "UPDATE events SET event_id = '', delivery_id = '', ordering_key = NULL WHERE number = ?",
    "UPDATE finished SET reason = NULL WHERE number = ?",
    "DELETE FROM payloads WHERE number = ?",
)


def erase(connection: sqlite3.Connection, numbers: Sequence[int]) -> int:
    """Those that are finished and were not erased before; how many. Raises sqlite3.Error."""
    found = connection.execute(FOUND, (json.dumps(numbers),)).fetchall()
    for sql in ERASE:
        connection.executemany(sql, found)
    if found:
        connection.execute("INSERT OR IGNORE INTO control (name, value) VALUES (?, '')", (UNDER_WAY,))
    return len(found)


def is_under_way(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM control WHERE name = ?", (UNDER_WAY,)).fetchone() is not None


def build_anew(_: sqlite3.Connection, settings: SQLiteSettings) -> None:
    """All pages of the file, outside a transaction, with the writer's lock. Raises sqlite3.Error.

    On a connection of its own: one that keeps its temporary tables in memory would make the copy there.
    """
    if not settings.in_memory:
        with contextlib.closing(connect(settings, "rw")) as other:
            rebuilding.build_anew(other)


def empty_log(connection: sqlite3.Connection) -> bool:
    """What was before is in the log until this is done; outside a transaction, with the writer's lock.

    False while somebody still reads it, who is waited for as long as for a lock. Raises sqlite3.Error.
    """
    if not rebuilding.empty_log(connection):
        return False
    connection.execute("DELETE FROM control WHERE name = ?", (UNDER_WAY,))
    return True
