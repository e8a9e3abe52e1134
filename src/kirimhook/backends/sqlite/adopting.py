"""Adopt: store events of another inbox as they stand there, in the transaction that is open."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence

from kirimhook.backends.sqlite.intake import SOURCE
from kirimhook.backends.sqlite.schema import SOURCES, lane_of
from kirimhook.backends.sqlite.settling import COUNT, FINISH, storable
from kirimhook.receiver.model import FINISHED, EventState, StoredEvent

AT_ONCE = 256
"""Events of one transaction."""
EVENT = """
INSERT INTO events (dedupe_key, event_id, type, source, ordering_key, livemode, problem, delivery_id, received_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (dedupe_key) DO NOTHING"""
PAYLOAD = "INSERT INTO payloads (number, body) VALUES (?, ?)"
QUEUE = """
INSERT INTO queue (number, lane, visible_at, attempts, reason)
SELECT ?, ?, CASE WHEN EXISTS (SELECT 1 FROM queue WHERE lane = ?) THEN NULL ELSE ? END, ?, ?"""


def parts(events: Sequence[StoredEvent]) -> Iterator[Sequence[StoredEvent]]:
    """The same in order, each with at most `AT_ONCE`."""
    for start in range(0, len(events), AT_ONCE):
        yield events[start : start + AT_ONCE]


def adopt(connection: sqlite3.Connection, events: Sequence[StoredEvent], now: int) -> int:
    """Store those that are not known; how many. Raises sqlite3.Error."""
    if others := {stored.event.source for stored in events}.difference(SOURCES):
        connection.executemany(SOURCE, [(source,) for source in others])
    finished: Counter[EventState] = Counter()
    adopted = 0
    for stored in events:
        number = _event(connection, stored)
        if number is None:
            continue
        adopted += 1
        if stored.state in FINISHED:
            _finish(connection, number, stored, now)
            finished[stored.state] += 1
        else:
            _queue(connection, number, stored, now)
    connection.executemany(COUNT, [(count, state) for state, count in finished.items()])
    return adopted


def _event(connection: sqlite3.Connection, stored: StoredEvent) -> int | None:
    """Its number here; None where it is known. What is unfinished has a body, be it empty."""
    *about, body = stored.event
    cursor = connection.execute(EVENT, about)
    if not cursor.rowcount:
        return None
    number = cursor.lastrowid
    if stored.has_payload or stored.state not in FINISHED:
        connection.execute(PAYLOAD, (number, body))
    return number


def _finish(connection: sqlite3.Connection, number: int, stored: StoredEvent, now: int) -> None:
    """An inbox without completion details does not know when it ended: not before now, then."""
    at = now if stored.finished_at is None else stored.finished_at
    connection.execute(FINISH, (number, stored.state, at, stored.attempts, _reason(stored)))


def _queue(connection: sqlite3.Connection, number: int, stored: StoredEvent, now: int) -> None:
    """Behind what is unfinished of its key here, or due when it was due there."""
    waits = stored.state is EventState.WAITING and stored.due_at is not None
    due = stored.due_at if waits else now
    lane = lane_of(stored.event.ordering_key)
    connection.execute(QUEUE, (number, lane, lane, due, stored.attempts, _reason(stored)))


def _reason(stored: StoredEvent) -> str | None:
    return None if stored.reason is None else storable(stored.reason)
