"""A PostgreSQL database to look at, or to change the tables of while no other process does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, NullPool, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from kirimhook.sender.database.codes import reason, unavailable
from kirimhook.sender.database.port import StorageUnavailable
from kirimhook.sender.database.postgres import PostgresSettings, connect

T = TypeVar("T")
Work = Callable[[Connection], T]

LOCK = 0x6B68736E6D696772
"""The advisory lock of whoever migrates a sender's database."""
LOOK_AGAIN = 0.1
"""Seconds. Asked for again and again, since waiting in a statement would hold up an index made CONCURRENTLY."""
A_DAY = 86_400.0


def looking(url: str, work: Work[T]) -> T:
    """Raises `StorageUnavailable`."""
    return _in_a_loop(_look(url, work))


def alone(url: str, work: Work[T], progress: Callable[[str], None]) -> T:
    """`progress` is told, once, of waiting for another. Raises `StorageUnavailable`."""
    return _in_a_loop(_take_turn(url, work, progress))


async def _look(url: str, work: Work[T]) -> T:
    async with _connected(url) as connection:
        return await connection.run_sync(work)


async def _take_turn(url: str, work: Work[T], progress: Callable[[str], None]) -> T:
    async with _connected(url) as connection:
        if not await _locks(connection):
            progress("another process migrates this database: waiting for it")
            while not await _locks(connection):  # noqa: ASYNC110  # nothing tells us
                await asyncio.sleep(LOOK_AGAIN)
        return await connection.run_sync(work)


async def _locks(connection: AsyncConnection) -> bool:
    """The lock is the session's, and goes with it."""
    found = await connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK})
    await connection.rollback()
    return bool(found)


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[AsyncConnection]:
    settings = replace(
        PostgresSettings.from_url(url), statement_timeout=A_DAY, answer_timeout=A_DAY, application="kirimhook migrate"
    )
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
