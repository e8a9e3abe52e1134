"""A file built anew: what was overwritten or deleted in it is nowhere in it any more, nor in its log.

A row that is overwritten leaves copies: where it was moved from page to page, in pages that are free, in the log.
`secure_delete` does not reach those. Building anew takes about 4 s for 1 GB, and free space of up to twice its size.
Both are done outside a transaction, under the lock of whoever writes, and raise sqlite3.Error.
"""

from __future__ import annotations

import sqlite3


def build_anew(connection: sqlite3.Connection) -> None:
    """All pages of the file. The connection makes its temporary tables in files from now on."""
    connection.execute("PRAGMA temp_store = FILE")  # or the copy would be made in memory
    connection.execute("VACUUM")


def empty_log(connection: sqlite3.Connection) -> bool:
    """What was before is in the log until this is done. False while somebody still reads it."""
    return not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
