"""What an error of SQLite or of the file system means to whoever waits for a commit."""

from __future__ import annotations

import sqlite3

from kirimhook.receiver.inbox import InboxUnavailable

REASONS = {
    sqlite3.SQLITE_FULL: "disk_full",
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_CORRUPT: "corrupt",
    sqlite3.SQLITE_NOTADB: "corrupt",
    sqlite3.SQLITE_IOERR: "io_error",
    sqlite3.SQLITE_CANTOPEN: "cannot_open",
    sqlite3.SQLITE_PERM: "cannot_open",
}
PRIMARY_CODE = 0xFF
"""SQLite's extended codes keep the primary one in the low byte."""


def unavailable(error: Exception) -> InboxUnavailable:
    """The same trouble in the port's words; an unknown one is `storage_error`, never something milder."""
    if isinstance(error, InboxUnavailable):
        return error
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", -1)
        return InboxUnavailable(REASONS.get(code & PRIMARY_CODE, "storage_error"), str(error))
    return InboxUnavailable("io_error" if isinstance(error, OSError) else "storage_error", repr(error))
