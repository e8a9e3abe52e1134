"""A SQLite file of a sender built anew, after an erase. Other processes of the sender wait with what they write."""

from __future__ import annotations

from kirimhook.sender.database.file import DatabaseFile, SQLiteSettings, raw
from kirimhook.sqlite_file.rebuilding import build_anew, empty_log

TRIES = 3
"""For the log to be emptied: each waits for those that read now."""
PATIENCE = 10.0
"""Seconds that it waits for them."""


def rebuild(url: str) -> bool:
    """Blocks. False where somebody reads the log all the time: it holds what was until it begins anew.

    Raises sqlite3.Error, OSError, `StorageUnavailable`.
    """
    file = DatabaseFile(SQLiteSettings.from_url(url, busy_timeout=PATIENCE))
    try:
        with file.turn() as opened:
            build_anew(raw(opened))
            return any(empty_log(raw(opened)) for _ in range(TRIES))
    finally:
        file.close()
