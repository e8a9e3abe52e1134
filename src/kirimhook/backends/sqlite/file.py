"""The database file as the writer thread has it: its lock, its connection, and the opening of both anew."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from kirimhook.backends.sqlite import intake
from kirimhook.backends.sqlite.failures import unavailable
from kirimhook.backends.sqlite.schema import connect, prepare
from kirimhook.backends.sqlite.settings import SQLiteSettings
from kirimhook.observe import Observer
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.sqlite_file.locks import NoLock, WriterLock
from kirimhook.sqlite_file.paths import (
    Identity,
    identity,
    is_writable,
    make_file,
    remove_if_same,
    sidecars,
    size,
)

LOG_LIMIT = 64 * 1024 * 1024
"""Bytes; the schema's `journal_size_limit` cuts the log to it when it begins anew."""


class DatabaseFile:
    """Used by the writer thread alone. After an error all is opened anew: service resumes by itself."""

    def __init__(self, settings: SQLiteSettings) -> None:
        self._settings = settings
        self._path = settings.path
        self._observer = Observer()
        self._lock: WriterLock | NoLock | None = None
        self._connection: sqlite3.Connection | None = None
        self._identity: Identity | None = None
        self._sidecars: dict[str, Identity | None] = {}
        self._in_doubt = False
        self._log_limit = LOG_LIMIT

    @contextlib.contextmanager
    def turn(self) -> Iterator[sqlite3.Connection]:
        """The connection, while no other process writes. What was committed in it counts only if it returns.

        Raises sqlite3.Error, OSError, `InboxUnavailable`.
        """
        try:
            with self._held_lock():
                try:
                    yield self._opened()
                    self._check_in_place()
                except (sqlite3.Error, OSError, InboxUnavailable) as error:
                    self._in_doubt = self._in_doubt or unavailable(error).reason == "io_error"
                    self._forget_connection()
                    raise
        except (sqlite3.Error, OSError, InboxUnavailable):
            self._forget_lock()
            raise

    def close(self) -> None:
        """Under the lock, because the last connection to close checkpoints."""
        try:
            if self._connection is not None:
                with self._held_lock():
                    self._close_connection()
        except OSError:
            self._close_connection()
        self._forget_lock()

    def _held_lock(self) -> WriterLock | NoLock:
        if self._lock is None and self._settings.in_memory:
            self._lock = NoLock()
        elif self._lock is None:
            self._lock = WriterLock(self._path)
        return self._lock

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and self._was_replaced():
            self._observer.event("inbox_replaced", path=self._path)
            self._close_connection()
        connection = self._connection or self._open()
        if not self._settings.in_memory:
            self._shorten_log(connection)
        return connection

    def _shorten_log(self, connection: sqlite3.Connection) -> None:
        """SQLite begins the log anew when nobody reads it, which never happens while some take turns at that.

        Beyond the limit those that read now are waited for, no longer than for a lock, and no more often than
        the log grows by as much again.
        """
        log = size(f"{self._path}-wal")
        if log <= self._log_limit:
            return
        busy = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0]
        self._log_limit = log + LOG_LIMIT if busy else LOG_LIMIT

    def _open(self) -> sqlite3.Connection:
        in_memory = self._settings.in_memory
        if not in_memory:
            self._identity = make_file(self._path)
            if not is_writable(self._path):  # SQLite would make files beside it that stay so when it no longer is
                raise InboxUnavailable("read_only", "the file may not be written")
        connection = connect(self._settings, "rw")
        try:
            prepare(connection, self._settings)
            intake.prepare(connection)
            if self._in_doubt:
                _make_certain(connection)
            self._sidecars = {} if in_memory else sidecars(self._path)
        except BaseException:
            connection.close()
            raise
        self._connection, self._in_doubt = connection, False
        self._check_in_place()
        return connection

    def _check_in_place(self) -> None:
        """A file that was deleted or moved still takes writes, and loses them."""
        if self._was_replaced():
            raise InboxUnavailable("replaced", "the file was deleted or moved while it was in use")

    def _was_replaced(self) -> bool:
        return not self._settings.in_memory and identity(self._path) != self._identity

    def _forget_connection(self) -> None:
        """What is in memory only must outlive its errors."""
        if not self._settings.in_memory:
            self._close_connection()

    def _forget_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _close_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with contextlib.suppress(sqlite3.Error, OSError):
            replaced = self._was_replaced()
            if replaced:  # into the file that was moved away, or a new one of its name would be given its log
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
            if replaced:
                remove_if_same(self._sidecars)
        with contextlib.suppress(sqlite3.Error):
            connection.close()


def _make_certain(connection: sqlite3.Connection) -> None:
    """Write the log into the file, durably. Raises `InboxUnavailable`, sqlite3.Error.

    After a failed write or sync the log can be read and yet not be on the disk: a duplicate of what it holds
    would be acknowledged for nothing.
    """
    if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        raise InboxUnavailable("io_error", "after an I/O error the log could not be written back yet")
