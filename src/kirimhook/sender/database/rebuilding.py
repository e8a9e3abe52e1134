"""A SQLite file built anew: what was overwritten or deleted in it is nowhere in it any more, nor in its log.

A row that is overwritten leaves copies: where it was moved from page to page, in pages that are free, in the log. That
takes about 4 s for 1 GB, and as much free space again; other processes of the sender wait with what they write.
"""

from __future__ import annotations

import sqlite3

from kirimhook.sender.database.file import DatabaseFile, SQLiteSettings, raw

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
            connection = raw(opened)
            connection.execute("PRAGMA temp_store = FILE")  # or the copy would be made in memory
            connection.execute("VACUUM")
            return any(_empty_log(connection) for _ in range(TRIES))
    finally:
        file.close()


def _empty_log(connection: sqlite3.Connection) -> bool:
    return not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
