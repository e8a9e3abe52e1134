"""Which rows a `Filter` means, and the cursor of a list."""

from __future__ import annotations

import base64
import hashlib
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from kirimhook.contract.events import dedupe_key
from kirimhook.receiver.inbox import Filter
from kirimhook.receiver.model import FINISHED, EventState

UNFINISHED_FIRST = "queue q JOIN events e ON e.number = q.number LEFT JOIN finished f ON f.number = q.number"
FINISHED_FIRST = "finished f JOIN events e ON e.number = f.number LEFT JOIN queue q ON q.number = f.number"
EVERYTHING = "events e LEFT JOIN queue q ON q.number = e.number LEFT JOIN finished f ON f.number = e.number"
SOURCES = ("meta", "kirim", "")
FINISHED_TEST = {
    EventState.DONE: "f.state = 'done'",
    **{s: f"(f.state = '{s}' AND f.state <> 'done')" for s in FINISHED - {EventState.DONE}},
}
"""The second half lets SQLite use the index over all that is not done."""


class Query(NamedTuple):
    """The part of a statement behind SELECT …, with its parameters."""

    tables: str
    condition: str
    parameters: tuple[Any, ...]


def select(connection: sqlite3.Connection, where: Filter, now: int) -> Query:
    """The condition over `e` (events), `q` (queue) and `f` (finished)."""
    query = _joined(where, now, _known_identity(where))
    if where.event_id is not None and not _any(connection, query):
        return _joined(where, now, ("e.event_id = ?", (where.event_id,)))  # a source of its own: a slow look
    return query


def _any(connection: sqlite3.Connection, query: Query) -> bool:
    sql = f"SELECT 1 FROM {query.tables} WHERE {query.condition} LIMIT 1"
    return connection.execute(sql, query.parameters).fetchone() is not None


def _known_identity(where: Filter) -> tuple[str, tuple[Any, ...]] | None:
    """By dedupe key, which is indexed and begins alike for all events of one id."""
    if where.event_id is None:
        return None
    starts = [dedupe_key(source, where.event_id, "", b"") for source in SOURCES]
    condition = " OR ".join("e.dedupe_key BETWEEN ? AND ?" for _ in starts)
    return f"({condition})", tuple(edge for start in starts for edge in (start, start + b"\xff" * 16))


def _joined(where: Filter, now: int, identity: tuple[str, tuple[Any, ...]] | None) -> Query:
    parts = [part for part in (identity, *_conditions(where, now)) if part]
    condition = " AND ".join(sql for sql, _ in parts) or "1"
    return Query(_tables(where), condition, tuple(value for _, values in parts for value in values))


def _tables(where: Filter) -> str:
    """Start from the table that holds the fewest rows of these states."""
    if not where.states or where.event_id is not None or where.numbers:
        return EVERYTHING
    if where.states <= FINISHED:
        return FINISHED_FIRST
    return UNFINISHED_FIRST if not where.states & FINISHED else EVERYTHING


def _conditions(where: Filter, now: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    if where.states:
        yield _state_condition(where.states, now)
    if where.types:
        tests = [_type_condition(pattern) for pattern in where.types]
        yield f"({' OR '.join(sql for sql, _ in tests)})", tuple(value for _, value in tests)
    if where.numbers:
        yield f"e.number IN ({', '.join('?' * len(where.numbers))})", where.numbers
    if where.received_after is not None:
        yield "e.received_at >= ?", (where.received_after,)
    if where.received_before is not None:
        yield "e.received_at < ?", (where.received_before,)


def _state_condition(states: frozenset[EventState], now: int) -> tuple[str, tuple[Any, ...]]:
    tests = [FINISHED_TEST[state] for state in sorted(states & FINISHED)]
    values: tuple[Any, ...] = ()
    if EventState.RUNNING in states:
        tests.append("(q.token IS NOT NULL AND q.visible_at > ?)")
        values += (now,)
    if EventState.WAITING in states:
        tests.append("(q.number IS NOT NULL AND NOT (q.token IS NOT NULL AND q.visible_at > ?))")
        values += (now,)
    return f"({' OR '.join(tests)})", values


def _type_condition(pattern: str) -> tuple[str, str]:
    if pattern.endswith("*"):
        return f"substr(e.type, 1, {len(pattern) - 1}) = ?", pattern[:-1]
    return "e.type = ?", pattern


def write_cursor(where: Filter, number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(8, "big") + _seal(where, number)).decode().rstrip("=")


def read_cursor(where: Filter, cursor: str) -> int:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except ValueError:
        raw = b""
    number = int.from_bytes(raw[:8], "big")
    if len(raw) != 16 or raw[8:] != _seal(where, number):
        raise ValueError("this cursor is not of this list: start again without one")
    return number


def _seal(where: Filter, number: int) -> bytes:
    """Binds a cursor to its filter; it keeps mistakes out, not attackers, who may list anything anyway."""
    states = sorted(where.states)
    rest = (where.types, where.event_id, where.numbers, where.received_after, where.received_before)
    return hashlib.blake2b(repr((states, rest, number)).encode(), digest_size=8).digest()
