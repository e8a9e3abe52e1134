"""Bookmarks: short texts beside the events, in the table that the pause is in too.

A table of their own would need a name that no handler's table has: those are in the same file.
"""

from __future__ import annotations

import sqlite3

PREFIX = "bookmark "


def bookmark(connection: sqlite3.Connection, name: str) -> str | None:
    row: tuple[str] | None = connection.execute("SELECT value FROM control WHERE name = ?", (PREFIX + name,)).fetchone()
    return row[0] if row else None


def move(connection: sqlite3.Connection, name: str, was: str | None, to: str | None) -> bool:
    """In the transaction that is open, so that of several who try one succeeds."""
    if bookmark(connection, name) != was:
        return False
    if to is None:
        connection.execute("DELETE FROM control WHERE name = ?", (PREFIX + name,))
    else:
        connection.execute("INSERT OR REPLACE INTO control (name, value) VALUES (?, ?)", (PREFIX + name, to))
    return True
