"""The schema's versions, and the way from one to the next: `kirimhook migrate --inbox URL`."""

from __future__ import annotations

from typing import Any, NamedTuple

import asyncpg

from kirimhook.backends.postgres.failures import DRIVER, unavailable
from kirimhook.backends.postgres.functions import FUNCTIONS
from kirimhook.backends.postgres.functions.erasing import ERASING
from kirimhook.backends.postgres.settings import PostgresSettings
from kirimhook.backends.postgres.tables import BOOKMARKS, TABLES
from kirimhook.receiver.inbox import InboxUnavailable


class Migration(NamedTuple):
    name: str
    statements: tuple[str, ...]


MIGRATIONS = (
    Migration("0001_inbox", (TABLES, *FUNCTIONS)),
    Migration("0002_erasing", (BOOKMARKS, *ERASING)),
)
"""One that was released is not changed any more: databases have it as it was."""
VERSION = len(MIGRATIONS)
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('kirimhook inbox ' || $1, 0))"


async def migrate(url: str, **options: Any) -> list[str]:
    """Bring the inbox's schema to what this version needs; what was applied, empty when it was up to date.

    All of it is one transaction. Raises ValueError, `InboxUnavailable`.
    """
    settings = PostgresSettings.from_url(url, **options)
    try:
        connection = await asyncpg.connect(
            settings.dsn,
            timeout=settings.connect_timeout,
            command_timeout=settings.read_timeout,
            statement_cache_size=0,
        )
        try:
            async with connection.transaction():
                return await _apply(connection, settings.schema)
        finally:
            await connection.close(timeout=settings.connect_timeout)
    except DRIVER as error:
        raise unavailable(error) from error


async def _apply(connection: asyncpg.Connection[asyncpg.Record], schema: str) -> list[str]:
    await connection.execute("SET LOCAL synchronous_commit = on")
    await connection.execute(LOCK, schema)
    encoding = await connection.fetchval("SELECT current_setting('server_encoding')")
    if encoding != "UTF8":
        raise InboxUnavailable("not_utf8", f"the database has the encoding {encoding}, an inbox needs UTF8")
    found = await version(connection, schema)
    refuse_newer(found)
    if found == 0:
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    for migration in MIGRATIONS[found:]:
        for statement in migration.statements:
            await connection.execute(statement.replace("{schema}", schema))
    if found == 0:
        await connection.execute(f"INSERT INTO {schema}.version VALUES ({VERSION})")
    else:
        await connection.execute(f"UPDATE {schema}.version SET number = {VERSION}")
    return [migration.name for migration in MIGRATIONS[found:]]


async def version(connection: asyncpg.Connection[asyncpg.Record], schema: str) -> int:
    """Of the inbox's tables; 0 where there are none."""
    if await connection.fetchval("SELECT to_regclass($1)", f"{schema}.version") is None:
        return 0
    return int(await connection.fetchval(f"SELECT number FROM {schema}.version") or 0)


def refuse_newer(found: int) -> None:
    """Raises `InboxUnavailable`."""
    if found > VERSION:
        raise InboxUnavailable("newer_schema", f"the inbox has schema {found}, this kirimhook knows {VERSION}")


def refuse_older(found: int) -> None:
    """Raises `InboxUnavailable`."""
    if found < VERSION:
        raise InboxUnavailable("not_migrated", "run kirimhook migrate --inbox URL first")


def needed() -> str:
    """The version of the schema."""
    return str(VERSION)
