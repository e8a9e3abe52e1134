"""The tables, and how a connection to them is made.

An event is written once and never updated. What is unfinished has a row in the narrow `queue`; finished means
a row in `finished` and none in `queue`. `visible_at` is both due time and lease expiry, so nothing sweeps. A
lease sits, with its token, on the first row of its lane; the rows behind it have no `visible_at`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from typing import Literal
from urllib.parse import quote

from kirimhook.backends.sqlite.settings import SQLiteSettings
from kirimhook.receiver.inbox import InboxUnavailable

APPLICATION = 0x6B68696E
"""Marks the file as ours, whatever other tables its owner keeps in it."""
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
CREATE TABLE sources (
    name TEXT PRIMARY KEY           -- other than the documented ones
) WITHOUT ROWID;
CREATE TABLE control (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
INSERT INTO sqlite_sequence VALUES ('events', 0);
"""
SOURCES = ("meta", "kirim", "")
"""Those of the contract, and none; `sources` holds the others that came."""
NAMES = frozenset({"events", "payloads", "queue", "finished", "tally", "sources", "control"})


def connect(settings: SQLiteSettings, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    """A connection that commits only when told, to a file that is there. Raises sqlite3.Error.

    One to read with never checkpoints, not even as the last to close.
    """
    connection = sqlite3.connect(
        ":memory:" if settings.in_memory else f"file://{quote(os.fsencode(settings.path))}?mode={mode}",
        uri=True,
        timeout=settings.busy_timeout,
        isolation_level=None,
        check_same_thread=False,  # each is used by one thread at a time; close may come from another
        cached_statements=512,
    )
    try:
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.create_function("lane_of", 1, lane_of, deterministic=True)
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection, settings: SQLiteSettings) -> None:
    """Make it fit for writing, with tables. Raises sqlite3.Error, and `InboxUnavailable` for a file of another
    or a newer kind, which it leaves as it was."""
    version = version_of(connection)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {settings.synchronous}")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    connection.execute("PRAGMA cache_size = -65536")
    connection.execute("PRAGMA secure_delete = ON")
    if version == 0:
        _make_tables(connection)


def version_of(connection: sqlite3.Connection) -> int:
    """Of the tables; 0 where there are none. Raises sqlite3.Error, and `InboxUnavailable` as `prepare` does."""
    application, version = (_pragma(connection, name) for name in ("application_id", "user_version"))
    if application == APPLICATION and version > VERSION:
        raise InboxUnavailable("newer_schema", f"the inbox has schema {version}, this kirimhook knows {VERSION}")
    if application == APPLICATION:
        return version
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if application or version or tables & NAMES:
        raise InboxUnavailable("foreign_file", "the file is a database of another program")
    return 0


def _make_tables(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in TABLES.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # SQLite may have done it already
            connection.execute("ROLLBACK")
        raise


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def lane_of(ordering_key: str | None) -> int | None:
    """A 64-bit digest: narrow to index. Two keys that collide are handled in one order, which harms nothing."""
    if ordering_key is None:
        return None
    digest = hashlib.blake2b(ordering_key.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)
