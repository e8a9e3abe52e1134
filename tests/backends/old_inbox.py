"""A SQLite inbox as it was made before events could be erased: its statements word for word, and what wrote to it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from kirimhook.receiver.model import InboundEvent

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
PRAGMA application_id = 1802004846;
PRAGMA user_version = 1
"""
EVENT = """
INSERT INTO events (dedupe_key, event_id, type, source, ordering_key, livemode, problem, delivery_id, received_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""


def make(path: Path, parked: Sequence[InboundEvent], purged: Sequence[InboundEvent]) -> None:
    """With some events that were parked, for a reason that quotes their bodies, and some that are gone.

    Nothing overwrote what was deleted: SQLite does not, unless it was built so or is told.
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA secure_delete = OFF")
        for statement in TABLES.split(";\n"):
            connection.execute(statement)
        connection.execute("BEGIN")
        for event in (*purged, *parked):
            *about, body = event
            number = connection.execute(EVENT, about).lastrowid
            connection.execute("INSERT INTO payloads VALUES (?, ?)", (number, body))
            state, reason = ("parked", f"ValueError: {body!r}") if event in parked else ("done", None)
            connection.execute(
                "INSERT INTO finished VALUES (?, ?, ?, 1, ?)", (number, state, event.received_at, reason)
            )
        connection.execute("UPDATE tally SET events = ? WHERE state = 'parked'", (len(parked),))
        connection.execute("COMMIT")
        for table in ("payloads", "finished", "events"):
            connection.execute(f"DELETE FROM {table} WHERE number <= ?", (len(purged),))


def statements(path: Path) -> set[str]:
    """What the file says that it was made by."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        versions = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
    return {*(sql for (sql,) in rows), *(str(version) for version in versions)}
