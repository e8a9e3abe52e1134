"""The thread that reads, on a connection of its own: what an operator asks never waits for a commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from kirimhook.backends.sqlite.failures import unavailable
from kirimhook.backends.sqlite.schema import connect
from kirimhook.backends.sqlite.settings import SQLiteSettings
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.sqlite_file.paths import Identity, identity

T = TypeVar("T")


class Reader:
    """Submit from any thread, close once."""

    def __init__(self, settings: SQLiteSettings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, "kirimhook-inbox-reader")
        self._connection: sqlite3.Connection | None = None
        self._identity: Identity | None = None

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Runs `work` on one snapshot. The future raises `InboxUnavailable`, and what `work` itself raises."""
        try:
            return self._thread.submit(self._run, work)
        except RuntimeError:  # it was closed meanwhile
            raise InboxUnavailable("closed", "the inbox is being closed") from None

    def close(self) -> None:
        """Blocks until what was submitted is done."""
        self._thread.shutdown()
        self._close_connection()

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._opened()
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                connection.rollback()
        except (sqlite3.Error, OSError) as error:
            self._close_connection()
            raise unavailable(error) from error

    def _opened(self) -> sqlite3.Connection:
        """A file that was deleted or moved can still be read, and says nothing of the one in its place."""
        which = identity(self._settings.path)
        if self._connection is None or which != self._identity:
            self._close_connection()
            self._connection = connect(self._settings, "ro")
            self._identity = which
        return self._connection

    def _close_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
