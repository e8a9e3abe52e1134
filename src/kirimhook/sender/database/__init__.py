"""Where a sender keeps things: SQLite, or PostgreSQL.

`port` what both promise, `sqlite` with its `writer`, `readers`, `file` and `failures`, `postgres` with its `codes`,
`outage` what the log is told.
"""

from __future__ import annotations

from typing import Any

from kirimhook.sender.database.port import Database, Operation, StorageRefused, StorageUnavailable

__all__ = ["Database", "Operation", "StorageRefused", "StorageUnavailable", "open_database"]


def open_database(url: str, **options: Any) -> Database:
    """`sqlite:///file.db`, or `postgresql://user@host/database`; not opened yet.

    Options are the fields of `SQLiteSettings` or `PostgresSettings`. Raises ValueError for anything else.
    """
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        from kirimhook.sender.database.sqlite import SQLite, SQLiteSettings

        return SQLite(SQLiteSettings.from_url(url, **options))
    if scheme in {"postgresql", "postgres"}:
        from kirimhook.sender.database.postgres import Postgres, PostgresSettings

        return Postgres(PostgresSettings.from_url(url, **options))
    raise ValueError("database URL: write sqlite:///file.db, or postgresql://user@host/database")
