"""The threads that read, each on a connection of its own: a list never waits for a commit."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection

from kirimhook.sender.database.failures import is_storage, unavailable
from kirimhook.sender.database.file import SQLiteSettings, engine_on, raw
from kirimhook.sender.database.port import CLOSED, Operation, StorageUnavailable
from kirimhook.sqlite_file.paths import Identity, identity

T = TypeVar("T")


class Opened(NamedTuple):
    connection: Connection
    identity: Identity | None


class Readers:
    """Submit from any thread, close once."""

    def __init__(self, settings: SQLiteSettings) -> None:
        self._path = settings.path
        self._engine = engine_on(settings, "ro")
        self._threads = ThreadPoolExecutor(settings.readers, "kirimhook-sender-reader")
        self._opened: dict[int, Opened] = {}

    def submit(self, operation: Operation[T]) -> Future[T]:
        """On one snapshot. The future raises `StorageUnavailable`, and what the operation itself raises."""
        try:
            return self._threads.submit(self._run, operation)
        except RuntimeError:  # it was closed meanwhile
            raise StorageUnavailable(CLOSED, "the database is being closed") from None

    def close(self) -> None:
        """Blocks until what was submitted is done."""
        self._threads.shutdown()
        for opened in self._opened.values():
            opened.connection.close()
        self._opened.clear()

    def _run(self, operation: Operation[T]) -> T:
        try:
            connection = self._connection()
            connection.exec_driver_sql("BEGIN")
            try:
                return operation(connection)
            finally:
                connection.rollback()
        except Exception as error:
            if is_storage(error):
                self._forget()
                raise unavailable(error) from error
            raise

    def _connection(self) -> Connection:
        """A file that was deleted or moved can still be read, and says nothing of the one in its place."""
        which = identity(self._path)
        found = self._opened.get(threading.get_ident())
        if found is None or found.identity != which:
            self._forget()
            connection = self._engine.connect()
            raw(connection).execute("PRAGMA query_only = ON")
            found = self._opened[threading.get_ident()] = Opened(connection, which)
        return found.connection

    def _forget(self) -> None:
        opened = self._opened.pop(threading.get_ident(), None)
        if opened is not None:
            with contextlib.suppress(Exception):
                opened.connection.close()
