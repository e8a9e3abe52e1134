"""PostgreSQL: two bounded pools, one to write and one to read with."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from kirimhook.sender.database import port
from kirimhook.sender.database.codes import DISCONNECTED, RETRIED, reason, unavailable
from kirimhook.sender.database.outage import Outage
from kirimhook.sender.database.port import CLOSED, Operation, StorageRefused, StorageUnavailable

__all__ = ["Postgres", "PostgresSettings"]

T = TypeVar("T")
PAUSES = (0.01, 0.02, 0.04, 0.08, 0.16)
"""Seconds, at most, before a transaction that others undid is run again."""
CLOSE_TIMEOUT = 20.0
"""Seconds that closing waits for what is under way."""
UNSAFE = """
SELECT string_agg(name || ' = ' || setting, ', ' ORDER BY name) FROM pg_settings
WHERE (name = 'fsync' OR name = 'full_page_writes') AND setting = 'off'
"""


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """Seconds. Raises ValueError for what cannot be."""

    url: str
    """As libpq's, with its options: `postgresql://user@host/database?sslmode=verify-full`."""
    pool: int = 8
    """Connections to write with."""
    readers: int = 4
    """Connections to read with."""
    pool_timeout: float = 5.0
    """How long to wait for one that is free."""
    connect_timeout: float = 5.0
    statement_timeout: float = 15.0
    """How long the server works at one."""
    answer_timeout: float = 20.0
    """How long to wait for its answer: longer, as it may not even be there to count."""
    application: str = "kirimhook sender"

    def __post_init__(self) -> None:
        if self.pool < 1 or self.readers < 1:
            raise ValueError("pool and readers: at least 1")
        if min(self.pool_timeout, self.connect_timeout, self.statement_timeout, self.answer_timeout) <= 0:
            raise ValueError("pool_timeout, connect_timeout, statement_timeout and answer_timeout are positive")

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        if not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("database URL: write postgresql://user@host/database")
        return replace(cls(url), **options)


class Postgres:
    """Usable from the event loop that opened it."""

    dialect = "postgresql"

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings
        self._engines: tuple[AsyncEngine, AsyncEngine] | None = None
        self._outage = Outage()
        self._under_way = 0
        self._all_ended = asyncio.Event()

    async def open(self) -> None:
        if self._engines is not None:
            return
        writing = self._engine(self._settings.pool)
        reading = self._engine(self._settings.readers, isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._engines = writing, reading
        try:
            await self._run(writing, _nothing)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        engines, self._engines = self._engines, None
        if engines is None:
            return
        if self._under_way:
            self._all_ended.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_ended.wait(), CLOSE_TIMEOUT)
        for engine in engines:
            await engine.dispose()

    async def write(self, operation: Operation[T]) -> T:
        broken = False
        for pause in PAUSES:
            try:
                return await self._run(self._opened()[0], operation)
            except StorageUnavailable as error:
                old = error.reason == DISCONNECTED and not error.in_doubt and not broken  # of before a restart, maybe
                if not old and error.reason not in RETRIED.values():
                    raise
                broken = broken or old
            await asyncio.sleep(pause * random.random())  # noqa: S311  # spreads those that met
        return await self._run(self._opened()[0], operation)

    async def read(self, operation: Operation[T]) -> T:
        try:
            return await self._run(self._opened()[1], operation)
        except StorageUnavailable as error:
            if error.reason != DISCONNECTED:
                raise
        return await self._run(self._opened()[1], operation)

    async def within(self, connection: AsyncConnection | Connection, operation: Operation[T]) -> T:
        return await port.within(self.dialect, connection, operation)

    def _opened(self) -> tuple[AsyncEngine, AsyncEngine]:
        if self._engines is None:
            raise StorageUnavailable(CLOSED, "the database is not open")
        return self._engines

    async def _run(self, engine: AsyncEngine, operation: Operation[T]) -> T:
        committing = False

        def transaction(connection: Connection) -> T:
            nonlocal committing
            value = operation(connection)
            committing = True
            connection.commit()
            return value

        try:
            async with self._counted(), engine.connect() as connection:
                value = await connection.run_sync(transaction)
        except StorageUnavailable as refused:
            self._outage.begins(refused.reason, refused.detail)
            raise
        except Exception as error:
            why = reason(error)
            if why is None:
                raise
            found = unavailable(error, why, in_doubt=committing and why not in RETRIED.values())
            self._outage.begins(found.reason, found.detail)
            raise found from error
        self._outage.ends()
        return value

    @contextlib.asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._all_ended.set()

    def _engine(self, size: int, **execution_options: Any) -> AsyncEngine:
        return create_async_engine(
            "postgresql+asyncpg://",
            async_creator=functools.partial(connect, self._settings),
            pool_size=size,
            max_overflow=0,
            pool_timeout=self._settings.pool_timeout,
            execution_options=execution_options,
        )


def _nothing(_connection: Connection) -> None: ...


async def connect(settings: PostgresSettings) -> asyncpg.Connection[asyncpg.Record]:
    """To a server that keeps what it acknowledges. Raises `StorageRefused`, and what asyncpg raises."""
    milliseconds = str(int(settings.statement_timeout * 1000))
    connection = await asyncpg.connect(
        settings.url,
        timeout=settings.connect_timeout,
        command_timeout=settings.answer_timeout,
        server_settings={
            "application_name": settings.application,
            "statement_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
            "synchronous_commit": "on",
            "jit": "off",
        },
    )
    try:
        unsafe = await connection.fetchval(UNSAFE)
    except BaseException:
        connection.terminate()
        raise
    if unsafe:
        await connection.close()
        raise StorageRefused("unsafe", f"the server has {unsafe}, and would lose what was acknowledged")
    return connection
