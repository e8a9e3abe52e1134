"""Databases for tests: `async with databases.opened() as database`, and what is in one, seen from outside."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import text

from kirimhook import migrations
from kirimhook.sender.database import Database, Operation, open_database
from kirimhook.testing.postgres import PostgresServer

T = TypeVar("T")


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


class PostgresTemplate:
    """Databases with all tables are copied from one, since that is quick."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._numbers = itertools.count()
        asyncio.run(administer(server, "CREATE DATABASE template_of_tests"))
        make_tables(server.url("template_of_tests"))

    @contextlib.contextmanager
    def database(self, template: str = "template_of_tests") -> Iterator[str]:
        name = f"test_{next(self._numbers)}"
        asyncio.run(administer(self._server, f"CREATE DATABASE {name} TEMPLATE {template}"))
        try:
            yield self._server.url(name)
        finally:
            asyncio.run(administer(self._server, f"DROP DATABASE {name} WITH (FORCE)"))


async def administer(server: PostgresServer, statement: str) -> None:
    connection = await asyncpg.connect(server.url())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def make_tables(url: str) -> None:
    migrations.migrate(url, _silent)


def _silent(_: str) -> None: ...
