"""The database file as the writer thread has it: its lock, its connection, and the opening of both anew."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, Self
from urllib.parse import quote

from sqlalchemy import Connection, Engine, NullPool, create_engine

from kirimhook.sender.database.failures import reason
from kirimhook.sender.database.port import StorageUnavailable
from kirimhook.sqlite_file.locks import WriterLock
from kirimhook.sqlite_file.paths import Identity, identity, is_writable, make_file, remove_if_same, sidecars, size

LOG_LIMIT = 64 * 1024 * 1024
"""Bytes; `journal_size_limit` cuts the log to it when it begins anew."""


@dataclass(frozen=True, slots=True)
class SQLiteSettings:
    """Raises ValueError for what cannot be."""

    path: str
    busy_timeout: float = 5.0
    """Seconds to wait for a foreign program that holds SQLite's own lock."""
    patience: float = 10.0
    """Seconds that a caller waits for its commit."""
    readers: int = 2
    """Threads that read."""

    def __post_init__(self) -> None:
        if not self.path or self.path.startswith(":memory:"):
            raise ValueError("a sender's SQLite database is a file: sqlite:///sender.db")
        if self.busy_timeout < 0 or self.patience <= 0 or self.readers < 1:
            raise ValueError("busy_timeout, patience and readers are positive")

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        location, _, query = url.partition("?")
        if not location.startswith("sqlite:///") or query:
            raise ValueError(f"database URL {url!r}: write sqlite:///sender.db, or sqlite:////absolute/sender.db")
        return replace(cls(location.removeprefix("sqlite:///")), **options)


def engine_on(settings: SQLiteSettings, mode: Literal["ro", "rw"]) -> Engine:
    """Each of its connections is new, begins nothing by itself, and is to be used by one thread at a time.

    One to read with never checkpoints, not even as the last to close.
    """

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file://{quote(os.path.abspath(os.fsencode(settings.path)))}?mode={mode}",  # noqa: PTH100  # may be bytes
            uri=True,
            timeout=settings.busy_timeout,
            isolation_level=None,
            check_same_thread=False,  # close may come from another
            cached_statements=512,
        )
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        return connection

    return create_engine("sqlite://", creator=connect, poolclass=NullPool)


def raw(connection: Connection) -> sqlite3.Connection:
    found = connection.connection.driver_connection
    if not isinstance(found, sqlite3.Connection):
        raise TypeError(f"not a connection of sqlite3: {found!r}")
    return found


class DatabaseFile:
    """Used by the writer thread alone. After an error all is opened anew: service resumes by itself."""

    def __init__(self, settings: SQLiteSettings) -> None:
        self._settings = settings
        self._path = settings.path
        self._engine = engine_on(settings, "rw")
        self._lock: WriterLock | None = None
        self._connection: Connection | None = None
        self._identity: Identity | None = None
        self._sidecars: dict[str, Identity | None] = {}
        self._in_doubt = False
        self._log_limit = LOG_LIMIT

    @contextlib.contextmanager
    def turn(self) -> Iterator[Connection]:
        """The connection, while no other process writes. What was committed in it counts only if it returns.

        Raises sqlite3.Error, OSError, `StorageUnavailable`.
        """
        try:
            with self._held_lock():
                try:
                    yield self._opened()
                    self._check_in_place()
                except BaseException as error:
                    self._in_doubt = self._in_doubt or reason(error) == "io_error"
                    self._close_connection()
                    raise
        except BaseException:
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

    def _held_lock(self) -> WriterLock:
        if self._lock is None:
            self._lock = WriterLock(self._path)
        return self._lock

    def _opened(self) -> Connection:
        if self._connection is not None and self._was_replaced():
            self._close_connection()
        connection = self._connection or self._open()
        self._shorten_log(connection)
        return connection

    def _shorten_log(self, connection: Connection) -> None:
        """SQLite begins the log anew when nobody reads it, which may never happen by itself.

        Beyond the limit those that read now are waited for, no longer than for a lock, and no more often than
        the log grows by as much again.
        """
        log = size(f"{self._path}-wal")
        if log > self._log_limit:
            busy = raw(connection).execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0]
            self._log_limit = log + LOG_LIMIT if busy else LOG_LIMIT

    def _open(self) -> Connection:
        self._identity = make_file(self._path)
        if not is_writable(self._path):  # SQLite would make files beside it that stay so when it no longer is
            raise StorageUnavailable("read_only", "the file may not be written")
        connection = self._engine.connect()
        try:
            _prepare(raw(connection))
            if self._in_doubt:
                _make_certain(raw(connection))
            self._sidecars = sidecars(self._path)
        except BaseException:
            connection.close()
            raise
        self._connection, self._in_doubt = connection, False
        self._check_in_place()
        return connection

    def _check_in_place(self) -> None:
        """A file that was deleted or moved still takes writes, and loses them."""
        if self._was_replaced():
            raise StorageUnavailable("replaced", "the file was deleted or moved while it was in use", in_doubt=True)

    def _was_replaced(self) -> bool:
        return identity(self._path) != self._identity

    def _forget_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _close_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with contextlib.suppress(Exception):
            replaced = self._was_replaced()
            if replaced:  # into the file that was moved away, or a new one of its name would be given its log
                raw(connection).rollback()
                raw(connection).execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
            if replaced:
                remove_if_same(self._sidecars)
        with contextlib.suppress(Exception):
            connection.close()


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT}")
    connection.execute("PRAGMA cache_size = -65536")


def _make_certain(connection: sqlite3.Connection) -> None:
    """Write the log into the file, durably: after a failed write or sync it can be read, and yet not be on the disk."""
    if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        raise StorageUnavailable("io_error", "after an I/O error the log could not be written back yet")
