"""What an error of SQLite or of the file system says about the storage."""

from __future__ import annotations

import errno
import sqlite3

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
OS_REASONS = {
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EROFS: "read_only",
    errno.EACCES: "cannot_open",
    errno.EPERM: "cannot_open",
    errno.ENOENT: "cannot_open",
    errno.ENOTDIR: "cannot_open",
    errno.EEXIST: "cannot_open",
    errno.EISDIR: "cannot_open",
}
PRIMARY_CODE = 0xFF
"""SQLite's extended codes keep the primary one in the low byte."""
UNKNOWN = "storage_error"


def is_storage(error: BaseException) -> bool:
    """Whether the storage failed, and not the statement."""
    return isinstance(error, sqlite3.Error) and _code(error) in REASONS


def reason(error: BaseException) -> str:
    """An unknown one is `storage_error`, never something milder."""
    if isinstance(error, sqlite3.Error):
        return REASONS.get(_code(error), UNKNOWN)
    if isinstance(error, OSError):
        return OS_REASONS.get(error.errno or 0, "io_error")
    return UNKNOWN


def _code(error: sqlite3.Error) -> int:
    """-1 for an error of Python's module, not of SQLite itself."""
    return int(getattr(error, "sqlite_errorcode", -1)) & PRIMARY_CODE
