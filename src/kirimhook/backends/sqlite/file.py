"""The database file as the writer thread has it: its lock, its connection, and the opening of both anew."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from kirimhook.backends.sqlite.locks import NoLock, WriterLock
from kirimhook.backends.sqlite.schema import connect, identity, prepare
from kirimhook.backends.sqlite.settings import SQLiteSettings
from kirimhook.receiver.inbox import InboxUnavailable

logger = logging.getLogger("kirimhook.inbox")


class DatabaseFile:
    """Used by the writer thread alone. After an error all is opened anew: service resumes by itself."""

    def __init__(self, settings: SQLiteSettings) -> None:
        self._settings = settings
        self._lock: WriterLock | NoLock | None = None
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    @contextlib.contextmanager
    def turn(self) -> Iterator[sqlite3.Connection]:
        """The connection, while no other process writes.

        Raises sqlite3.Error, OSError, `InboxUnavailable`.
        """
        try:
            with self._held_lock():
                yield self._opened()
        except (sqlite3.Error, OSError, InboxUnavailable):
            self._forget()
            raise

    def close(self) -> None:
        """Under the lock, because the last connection to close checkpoints."""
        try:
            with self._held_lock():
                self._forget()
        except OSError:
            self._forget()

    def _held_lock(self) -> WriterLock | NoLock:
        if self._lock is None and self._settings.in_memory:
            self._lock = NoLock()
        elif self._lock is None:
            _make_folder(self._settings.path)
            self._lock = WriterLock(self._settings.path)
        return self._lock

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and self._was_replaced():
            logger.error("inbox.replaced", extra={"kirimhook": {"path": self._settings.path}})
            self._close_connection()
        if self._connection is None:
            connection = connect(self._settings, writing=True)
            try:
                prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
            self._identity = identity(self._settings.path)
        return self._connection

    def _was_replaced(self) -> bool:
        """A file that was deleted or moved still takes writes, and loses them."""
        return not self._settings.in_memory and identity(self._settings.path) != self._identity

    def _forget(self) -> None:
        """What is in memory only must outlive its errors."""
        if self._settings.in_memory and self._lock is not None and self._connection is not None:
            return
        self._close_connection()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _close_connection(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


def _make_folder(path: str) -> None:
    """The folder of a new inbox, which may hold customers' messages: for its owner only. Raises OSError."""
    Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
