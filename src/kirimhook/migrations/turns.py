"""A connection to look at a database with, or to change its tables with while nobody else does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from kirimhook.sender.database import open_database
from kirimhook.sender.database.codes import reason, unavailable
from kirimhook.sender.database.file import DatabaseFile, SQLiteSettings, engine_on
from kirimhook.sender.database.port import StorageUnavailable
from kirimhook.sender.database.postgres import PostgresSettings, connect
from kirimhook.sender.database.writer import unavailable as sqlite_unavailable
from kirimhook.sqlite_file.reasons import is_storage

T = TypeVar("T")
Work = Callable[[Connection], T]

LOCK = 0x6B68736E6D696772
"""The advisory lock of whoever migrates a sender's database."""
LOOK_AGAIN = 0.1
"""Seconds. Asked for again and again, since waiting in a statement would hold up an index made CONCURRENTLY."""
A_DAY = 86_400.0


def looking(url: str, work: Work[T]) -> T:
    """Raises `StorageUnavailable`, ValueError."""
    settings = _settings(url)
    if isinstance(settings, PostgresSettings):
        return _in_a_loop(_look_postgres(settings, work))
    try:
        if not Path(settings.path).exists():
            with create_engine("sqlite://").connect() as nothing:
                return work(nothing)
        with engine_on(settings, "ro").connect() as connection:
            return work(connection)
    except Exception as error:
        raise _sqlite_error(error) from error


def alone(url: str, work: Work[T], progress: Callable[[str], None]) -> T:
    """Raises `StorageUnavailable`, ValueError."""
    settings = _settings(url)
    if isinstance(settings, PostgresSettings):
        return _in_a_loop(_migrate_postgres(settings, work, progress))
    file = DatabaseFile(settings)
    try:
        with file.turn() as connection:
            return work(connection)
    except Exception as error:
        raise _sqlite_error(error) from error
    finally:
        file.close()


def _settings(url: str) -> SQLiteSettings | PostgresSettings:
    open_database(url)  # which says what is wrong with it
    if url.startswith("sqlite"):
        return SQLiteSettings.from_url(url)
    return replace(PostgresSettings.from_url(url), statement_timeout=A_DAY, application="kirimhook migrate")


def _sqlite_error(error: Exception) -> Exception:
    """Of the storage, in the port's words; any other as it is."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    is_ours = isinstance(cause, OSError) or (cause is not None and is_storage(cause))
    return sqlite_unavailable(error) if is_ours else error


async def _look_postgres(settings: PostgresSettings, work: Work[T]) -> T:
    async with _connected(settings) as connection:
        return await connection.run_sync(work)


async def _migrate_postgres(settings: PostgresSettings, work: Work[T], progress: Callable[[str], None]) -> T:
    async with _connected(settings) as connection:
        while not await connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}):
            await connection.rollback()
            progress("another process migrates this database: waiting for it")
            await asyncio.sleep(LOOK_AGAIN)
        await connection.rollback()  # the lock stays with the session
        return await connection.run_sync(work)


@contextlib.asynccontextmanager
async def _connected(settings: PostgresSettings) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine("postgresql+asyncpg://", async_creator=partial(connect, settings), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            yield connection
    except Exception as error:
        why = None if isinstance(error, StorageUnavailable) else reason(error)
        if why is None:
            raise
        raise unavailable(error, why) from error


def _in_a_loop(work: Coroutine[Any, Any, T]) -> T:
    """Of its own, as the caller's thread may run one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
