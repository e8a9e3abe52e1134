"""One SQLite file: one thread writes, some read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection

from kirimhook.sender.database import port
from kirimhook.sender.database.file import DatabaseFile, SQLiteSettings
from kirimhook.sender.database.port import CLOSED, Operation, StorageUnavailable
from kirimhook.sender.database.readers import Readers
from kirimhook.sender.database.writer import Entry, Writer

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["SQLite", "SQLiteSettings"]

T = TypeVar("T")
MOST_READING = 1000
"""Reads that run or wait; past it one is refused."""
CLOSE_TIMEOUT = 20.0
"""Seconds that closing waits for the file."""


class SQLite:
    """Usable from several event loops at a time."""

    dialect = "sqlite"

    def __init__(self, settings: SQLiteSettings) -> None:
        self._settings = settings
        self._writer: Writer | None = None
        self._readers: Readers | None = None
        self._reading = 0

    async def open(self) -> None:
        if self._writer is not None:
            return
        self._writer = Writer(DatabaseFile(self._settings))
        self._readers = Readers(self._settings)
        self._writer.start()
        try:
            await self.write(_nothing)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Raises `StorageUnavailable` when the file is not free for so long that what waits was not committed."""
        writer, self._writer = self._writer, None
        readers, self._readers = self._readers, None
        if writer is None or readers is None:
            return
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, readers.close)
        if not await loop.run_in_executor(None, writer.stop, CLOSE_TIMEOUT):
            raise StorageUnavailable("locked", "another process holds the file")

    async def write(self, operation: Operation[T]) -> T:
        if self._writer is None:
            raise StorageUnavailable(CLOSED, "the database is not open")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        timer = loop.call_later(self._settings.patience, self._expire, future)
        try:
            self._writer.submit(Entry(operation, future, loop))
            return await future
        finally:
            timer.cancel()

    async def read(self, operation: Operation[T]) -> T:
        if self._readers is None:
            raise StorageUnavailable(CLOSED, "the database is not open")
        if self._reading >= MOST_READING:
            raise StorageUnavailable("overloaded", f"{MOST_READING} reads wait")
        self._reading += 1
        try:
            return await asyncio.wrap_future(self._readers.submit(operation))
        finally:
            self._reading -= 1

    async def within(self, connection: AsyncConnection | Connection, operation: Operation[T]) -> T:
        return await port.within(self.dialect, connection, operation)

    def _expire(self, future: asyncio.Future[T]) -> None:
        if not future.done():
            detail = f"not committed within {self._settings.patience:g} s"
            future.set_exception(StorageUnavailable("timeout", detail, in_doubt=True))


def _nothing(_connection: Connection) -> None: ...
