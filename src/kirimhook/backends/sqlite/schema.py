"""The tables, and how a connection to them is made.

An event is written once and never updated. What is unfinished has a row in the narrow `queue`; finished means
a row in `finished` and none in `queue`. `visible_at` is both due time and lease expiry, so nothing sweeps. A
lease sits, with its token, on the first row of its lane; the rows behind it have no `visible_at`.
"""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

from kirimhook.backends.sqlite.settings import SQLiteSettings
from kirimhook.receiver.inbox import InboxUnavailable

VERSION = 1

TABLES = """
CREATE TABLE events (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,  -- commit order, never used twice
    dedupe_key   BLOB NOT NULL UNIQUE,
    event_id     TEXT NOT NULL,
    type         TEXT NOT NULL,
    source       TEXT NOT NULL,
    ordering_key TEXT,
    livemode     INTEGER NOT NULL,
    problem      TEXT,
    delivery_id  TEXT NOT NULL,
    received_at  INTEGER NOT NULL
);
CREATE TABLE payloads (
    number INTEGER PRIMARY KEY,
    body   BLOB NOT NULL
);
CREATE TABLE queue (
    number     INTEGER PRIMARY KEY,
    lane       INTEGER,             -- digest of the ordering key
    visible_at INTEGER,             -- due, or end of lease; null: behind another event of its lane
    token      INTEGER,             -- of the lease
    attempts   INTEGER NOT NULL DEFAULT 0,
    crashes    INTEGER NOT NULL DEFAULT 0,  -- leases that ran out since the last attempt that ended
    reason     TEXT
);
CREATE INDEX queue_lane ON queue (lane, number) WHERE lane IS NOT NULL;
CREATE INDEX queue_due ON queue (visible_at) WHERE visible_at IS NOT NULL;
CREATE TABLE finished (
    number   INTEGER PRIMARY KEY,
    state    TEXT NOT NULL,
    at       INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    reason   TEXT
);
CREATE INDEX finished_notable ON finished (state, number) WHERE state <> 'done';
CREATE TABLE tally (state TEXT PRIMARY KEY, events INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO tally VALUES ('done', 0), ('parked', 0), ('unhandled', 0), ('skipped', 0);
CREATE TABLE control (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
INSERT INTO sqlite_sequence VALUES ('events', 0);
"""


def connect(settings: SQLiteSettings, *, writing: bool) -> sqlite3.Connection:
    """A connection that commits only when told. Raises sqlite3.Error."""
    connection = sqlite3.connect(
        settings.path,
        timeout=settings.busy_timeout,
        isolation_level=None,
        check_same_thread=False,  # each is used by one thread at a time; close may come from another
        cached_statements=512,
    )
    try:
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.create_function("lane_of", 1, lane_of, deterministic=True)
        if writing:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {settings.synchronous}")
            connection.execute("PRAGMA wal_autocheckpoint = 4000")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            connection.execute("PRAGMA cache_size = -65536")
        else:
            connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables in a new file. Raises `InboxUnavailable` for a file of another or a newer kind."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == VERSION:
        return
    if version > VERSION:
        raise InboxUnavailable("newer_schema", f"the inbox has schema {version}, this kirimhook knows {VERSION}")
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone():
        raise InboxUnavailable("foreign_file", "the file holds a table `events` that is not an inbox's")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in TABLES.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def lane_of(ordering_key: str | None) -> int | None:
    """A 64-bit digest: narrow to index. Two keys that collide are handled in one order, which harms nothing."""
    if ordering_key is None:
        return None
    digest = hashlib.blake2b(ordering_key.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def identity(path: str) -> tuple[int, int] | None:
    """Which file the path names now; None when there is none. Raises OSError."""
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
