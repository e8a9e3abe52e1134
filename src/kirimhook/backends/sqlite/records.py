"""What an operator asks of the inbox: one event, a list, counts, pause."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from kirimhook.backends.cursors import read_cursor, write_cursor
from kirimhook.backends.sqlite.filters import Query, select
from kirimhook.backends.sqlite.leasing import MOST_BYTES
from kirimhook.receiver.inbox import Filter, Page, Stats
from kirimhook.receiver.model import EventState, InboundEvent, StoredEvent

PAGE = """
SELECT e.number, e.dedupe_key, e.event_id, e.type, e.source, e.ordering_key, e.livemode, e.problem,
       e.delivery_id, e.received_at, coalesce(p.body, x''), p.number IS NOT NULL,
       q.visible_at, q.token, q.attempts, q.reason, f.state, f.at, f.attempts, f.reason
FROM events e LEFT JOIN queue q ON q.number = e.number LEFT JOIN finished f ON f.number = e.number
LEFT JOIN payloads p ON p.number = e.number"""
PAGE_WITHOUT_BODIES = PAGE.replace("coalesce(p.body, x'')", "x''")

KNOWN = """
SELECT q.visible_at, q.token, f.state FROM events e LEFT JOIN queue q ON q.number = e.number
LEFT JOIN finished f ON f.number = e.number WHERE e.dedupe_key = ?"""


def get(connection: sqlite3.Connection, number: int, now: int) -> StoredEvent | None:
    row = connection.execute(f"{PAGE} WHERE e.number = ?", (number,)).fetchone()
    return _stored(row, now) if row else None


def known(connection: sqlite3.Connection, keys: Sequence[bytes], now: int) -> list[EventState | None]:
    """The states of the events with these dedupe keys."""
    rows = (connection.execute(KNOWN, (key,)).fetchone() for key in keys)
    return [None if row is None else _state(now, *row) for row in rows]


def following(connection: sqlite3.Connection, after: int, limit: int, now: int) -> list[StoredEvent]:
    """Those above number `after`, oldest first; fewer than `limit` where their bodies are heavy."""
    found: list[StoredEvent] = []
    weight = 0
    for row in connection.execute(f"{PAGE} WHERE e.number > ? ORDER BY e.number LIMIT ?", (after, limit)):
        stored = _stored(row, now)
        weight += len(stored.event.body)
        if found and weight > MOST_BYTES:
            break
        found.append(stored)
    return found


def page(  # what a list is asked with
    connection: sqlite3.Connection, where: Filter, limit: int, cursor: str | None, now: int, *, bodies: bool = True
) -> Page:
    """Newest first. Raises ValueError for a foreign cursor."""
    query = select(connection, where, now)
    if cursor is not None:
        query = query.also("< ?", read_cursor(where, cursor))
    events = _events(connection, query, limit + 1, now, PAGE if bodies else PAGE_WITHOUT_BODIES)
    following = write_cursor(where, events[limit - 1].number) if len(events) > limit else None
    return Page(events[:limit], following)


def count(connection: sqlite3.Connection, where: Filter, now: int) -> int:
    query = select(connection, where, now)
    sql = f"SELECT count(*) FROM {query.tables} WHERE {query.condition}"
    return int(connection.execute(sql, query.parameters).fetchone()[0])


def _events(connection: sqlite3.Connection, query: Query, limit: int, now: int, columns: str) -> list[StoredEvent]:
    """First which, then what: rows with bodies are too wide to sort."""
    which = f"SELECT {query.number} FROM {query.tables} WHERE {query.condition} ORDER BY {query.number} DESC LIMIT ?"
    sql = f"{columns} WHERE e.number IN ({which}) ORDER BY e.number DESC"
    return [_stored(row, now) for row in connection.execute(sql, (*query.parameters, limit))]


def _stored(row: tuple[Any, ...], now: int) -> StoredEvent:
    number, *event = row[:11]
    has_payload, due_at, token, tried, queue_reason, state, at, attempts, reason = row[11:]
    return StoredEvent(
        number=number,
        event=InboundEvent._make(event)._replace(livemode=bool(event[5])),
        state=_state(now, due_at, token, state),
        attempts=attempts if state else tried,
        due_at=due_at,
        finished_at=at,
        reason=reason if state else queue_reason,
        has_payload=bool(has_payload),
    )


def _state(now: int, due_at: int | None, token: int | None, ended: str | None) -> EventState:
    if ended:
        return EventState(ended)
    return EventState.RUNNING if token is not None and due_at is not None and due_at > now else EventState.WAITING


def pause(connection: sqlite3.Connection, now: int) -> None:
    connection.execute("INSERT OR IGNORE INTO control VALUES ('paused', ?)", (str(now),))


def resume(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM control WHERE name = 'paused'")


def stats(connection: sqlite3.Connection, now: int) -> Stats:
    waiting, running = connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE token IS NOT NULL AND visible_at > ?) FROM queue", (now,)
    ).fetchone()
    counts: Mapping[str, int] = dict(connection.execute("SELECT state, events FROM tally"))
    oldest = connection.execute(
        "SELECT received_at FROM events WHERE number = (SELECT min(number) FROM queue)"
    ).fetchone()
    paused = connection.execute("SELECT 1 FROM control WHERE name = 'paused'").fetchone()
    pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    unfinished = {EventState.WAITING: waiting - running, EventState.RUNNING: running}
    return Stats(
        unfinished | {EventState(state): events for state, events in counts.items()},
        paused is not None,
        oldest[0] if oldest else None,
        pages * size,
    )


def next_due(connection: sqlite3.Connection) -> int | None:
    """When the next event is due (ms); None when none is, or while paused."""
    row: tuple[int | None] = connection.execute(
        "SELECT min(visible_at) FROM queue WHERE visible_at IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM control WHERE name = 'paused')"
    ).fetchone()
    return row[0]
