"""Put: claim and store a batch of events with one statement.

SQLite runs a statement without Python's global lock, so the loop that acknowledges goes on meanwhile; what counts is
how often the writer thread has to ask for that lock. So all rows of a batch go into a view, whose trigger does for
each what its table needs; run outside a transaction, that one statement commits too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from kirimhook.backends.sqlite.schema import SOURCES, lane_of
from kirimhook.receiver.model import InboundEvent, Receipt

LARGEST = 256
"""Events of one statement. SQLite takes 32 766 parameters, an event has twelve."""
COLUMNS = 12
ROWS_OF_ONE = 3
"""Rows that a fresh event makes."""

# Temporary names come before those of a handler's own tables, so they are ones that nobody else takes.
VIEW = """
CREATE TEMP VIEW kirimhook_arriving (dedupe_key, event_id, type, source, ordering_key, livemode, problem, delivery_id,
                           received_at, body, lane, due)
AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL"""
REPEATED = "CREATE TEMP TABLE kirimhook_repeated (dedupe_key BLOB NOT NULL, parked INTEGER NOT NULL)"
# Each statement asks changes() what became of the one before it.
TRIGGER = """
CREATE TEMP TRIGGER kirimhook_arrive INSTEAD OF INSERT ON kirimhook_arriving WHEN NEW.dedupe_key IS NOT NULL
BEGIN
    INSERT INTO events (dedupe_key, event_id, type, source, ordering_key, livemode, problem, delivery_id, received_at)
    VALUES (NEW.dedupe_key, NEW.event_id, NEW.type, NEW.source, NEW.ordering_key, NEW.livemode, NEW.problem,
            NEW.delivery_id, NEW.received_at)
    ON CONFLICT (dedupe_key) DO NOTHING;

    INSERT INTO payloads (number, body) SELECT last_insert_rowid(), NEW.body WHERE changes() = 1;

    INSERT INTO queue (number, lane, visible_at)
    SELECT last_insert_rowid(), NEW.lane,
           CASE WHEN EXISTS (SELECT 1 FROM queue WHERE lane = NEW.lane) THEN NULL ELSE NEW.due END
    WHERE changes() = 1;

    INSERT INTO kirimhook_repeated (dedupe_key, parked)
    SELECT NEW.dedupe_key, EXISTS (
        SELECT 1 FROM events e JOIN finished f ON f.number = e.number
        WHERE e.dedupe_key = NEW.dedupe_key AND f.state = 'parked')
    WHERE changes() = 0;
END"""
SOURCE = "INSERT OR IGNORE INTO sources (name) VALUES (?)"


def prepare(connection: sqlite3.Connection) -> None:
    """Make the view, for this connection alone. Raises sqlite3.Error."""
    for statement in (VIEW, REPEATED, TRIGGER):
        connection.execute(statement)


def put(connection: sqlite3.Connection, events: Sequence[InboundEvent], now: int) -> list[Receipt]:
    """Store those that are new. Outside a transaction each `LARGEST` of them commit. Raises sqlite3.Error."""
    receipts: list[Receipt] = []
    for start in range(0, len(events), LARGEST):
        receipts += _put(connection, events[start : start + LARGEST], now)
    return receipts


def _put(connection: sqlite3.Connection, events: Sequence[InboundEvent], now: int) -> list[Receipt]:
    values: list[Any] = []
    for event in events:
        values += event
        values.append(lane_of(event.ordering_key))
        values.append(now)
    if others := {event.source for event in events}.difference(SOURCES):  # first: a name too many harms nothing
        connection.executemany(SOURCE, [(source,) for source in others])
    rows = 1 << (len(events) - 1).bit_length()  # a handful of prepared statements serves every size
    values += [None] * (COLUMNS * (rows - len(events)))
    before = connection.total_changes
    connection.execute(_insert_sql(rows), values)
    if connection.total_changes - before == ROWS_OF_ONE * len(events):
        return [Receipt.FRESH] * len(events)
    return _told_apart(connection, events)


def _told_apart(connection: sqlite3.Connection, events: Sequence[InboundEvent]) -> list[Receipt]:
    """Some were known, or came twice in this batch: the first of those is the fresh one."""
    repeated: dict[bytes, list[bool]] = {}
    for key, parked in connection.execute("SELECT dedupe_key, parked FROM kirimhook_repeated").fetchall():
        repeated.setdefault(key, []).append(bool(parked))
    connection.execute("DELETE FROM kirimhook_repeated")
    receipts: list[Receipt] = []
    for event in reversed(events):
        parked_of = repeated.get(event.dedupe_key)
        if parked_of:
            receipts.append(Receipt.DUPLICATE_PARKED if parked_of.pop() else Receipt.DUPLICATE)
        else:
            receipts.append(Receipt.FRESH)
    return receipts[::-1]


@cache
def _insert_sql(rows: int) -> str:
    marks = f"({', '.join('?' * COLUMNS)})"
    return f"INSERT INTO kirimhook_arriving VALUES {', '.join([marks] * rows)}"


def total_bytes(events: Iterable[InboundEvent]) -> int:
    """What the bodies weigh while they wait."""
    return sum(len(event.body) for event in events)
