"""Databases for tests: `async with databases.opened() as database`, and what is in one, seen from outside."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import asyncpg
from sqlalchemy import Connection, text

from kirimhook import migrations
from kirimhook.sender.database import Database, Operation, open_database
from kirimhook.sender.schema import metadata
from kirimhook.testing.postgres import PostgresServer

TEMPLATE = "template_of_tests"
END_OTHERS = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
SHAPE = """
SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_attribute), (SELECT count(*) FROM pg_constraint),
       (SELECT count(*) FROM pg_trigger), (SELECT count(*) FROM pg_proc),
       (SELECT count(*) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
        WHERE datname = current_database()),
       (SELECT max(version_num) FROM kirimhook_sender_version), pg_database_size(current_database()) < 60000000
"""


class Databases:
    """One database, opened as often as a test needs it."""

    def __init__(self, url: str) -> None:
        self.url = url

    @contextlib.asynccontextmanager
    async def opened(self, **options: Any) -> AsyncIterator[Database]:
        database = open_database(self.url, **options)
        await database.open()
        try:
            yield database
        finally:
            await database.close()

    def run(self, use: Callable[[Database], Any]) -> Any:
        """`asyncio.run` of a coroutine function, which is given the database."""

        async def main() -> Any:
            async with self.opened() as database:
                return await use(database)

        return asyncio.run(main())

    async def rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """What another connection reads, after all that was committed."""
        async with self.opened() as database:
            return await database.read(
                lambda connection: [tuple(row) for row in connection.execute(text(statement), parameters)]
            )


def done(statement: str, **parameters: Any) -> Operation[int]:
    """The operation that runs one statement; it returns how many rows that changed."""
    return lambda connection: connection.execute(text(statement), parameters).rowcount


def add(name: str) -> Operation[str]:
    """An organisation, its id its name."""

    def operation(connection: Connection) -> str:
        values = {"name": name}
        connection.execute(text("INSERT INTO organisations (id, name, created_at) VALUES (:name, :name, 1)"), values)
        return name

    return operation


def names(connection: Connection) -> list[str]:
    """Of all organisations, sorted."""
    return sorted(connection.scalars(text("SELECT name FROM organisations")))


class PostgresTemplate:
    """Databases are copied from one that has all tables. One that a test left as it was, but for rows, is used again:
    that is quicker by far than to drop it."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._numbers = itertools.count()
        self._clean: list[str] = []
        asyncio.run(administer(server, f"CREATE DATABASE {TEMPLATE}"))
        make_tables(server.url(TEMPLATE))
        self._shape = asyncio.run(self._shape_of(TEMPLATE))

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        name = self._clean.pop() if self._clean else self._make(TEMPLATE)
        yield self._server.url(name)
        if asyncio.run(self._clear(name)):
            self._clean.append(name)
        else:
            self._drop(name)

    @contextlib.contextmanager
    def empty(self) -> Iterator[str]:
        """Without tables."""
        name = self._make("template0")
        yield self._server.url(name)
        self._drop(name)

    def _make(self, template: str) -> str:
        name = f"test_{next(self._numbers)}"
        asyncio.run(administer(self._server, f"CREATE DATABASE {name} TEMPLATE {template}"))
        return name

    def _drop(self, name: str) -> None:
        asyncio.run(administer(self._server, f"DROP DATABASE {name} WITH (FORCE)"))

    async def _clear(self, name: str) -> bool:
        """Whether it is as new: nobody connected, no rows, and nothing but rows was ever changed."""
        connection = await asyncpg.connect(self._server.url(name))
        try:
            await connection.execute(END_OTHERS)
            if await connection.fetchrow(SHAPE) != self._shape:
                return False
            await connection.execute("; ".join(f"DELETE FROM {table}" for table in reversed(metadata.sorted_tables)))
            return True
        finally:
            await connection.close()

    async def _shape_of(self, name: str) -> Any:
        connection = await asyncpg.connect(self._server.url(name))
        try:
            return await connection.fetchrow(SHAPE)
        finally:
            await connection.close()


async def administer(server: PostgresServer, statement: str) -> None:
    connection = await asyncpg.connect(server.url())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def make_tables(url: str) -> None:
    migrations.migrate(url, _silent)


def _silent(_: str) -> None: ...
