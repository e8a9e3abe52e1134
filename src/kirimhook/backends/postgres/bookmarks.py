"""Bookmarks: short texts beside the events."""

from __future__ import annotations

from kirimhook.backends.postgres.link import Connection
from kirimhook.backends.postgres.texts import marked, unmarked


async def bookmark(connection: Connection, schema: str, name: str) -> str | None:
    found: str | None = await connection.fetchval(f"SELECT value FROM {schema}.bookmarks WHERE name = $1", name)
    return None if found is None else unmarked(found)


async def move(connection: Connection, schema: str, name: str, was: str | None, to: str | None) -> bool:
    """One statement, so that of several who try one succeeds."""
    before, after = (None if text is None else marked(text) for text in (was, to))
    return bool(await connection.fetchval(f"SELECT {schema}.move_bookmark($1, $2, $3)", name, before, after))
