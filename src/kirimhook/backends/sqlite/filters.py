"""Which rows a `Filter` means."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from kirimhook.backends.sqlite.schema import SOURCES, lane_of
from kirimhook.contract.events import dedupe_key
from kirimhook.receiver.inbox import Filter
from kirimhook.receiver.model import FINISHED, EventState

AMONG = "IN (SELECT value FROM json_each(?))"
BY_KEY = "SELECT number FROM events WHERE dedupe_key BETWEEN ? AND ?"
RUNNING = "(q.token IS NOT NULL AND q.visible_at > ?)"
MOST_TYPES = 200
NOTABLE = " AND f.state <> 'done'"
"""Lets SQLite use the index over all that is not done."""


class Query(NamedTuple):
    """The part of a statement behind SELECT …, with its parameters.

    It starts from the table with the fewest rows of the states that are wanted: `e` (events), `q` (queue) or
    `f` (finished), and holds the others only where a condition needs them. `number` is its column to order by.
    """

    tables: str
    number: str
    condition: str
    parameters: tuple[Any, ...]

    def also(self, condition: str, *parameters: Any) -> Query:
        both = f"{self.condition} AND {self.number} {condition}"
        return self._replace(condition=both, parameters=(*self.parameters, *parameters))


def select(connection: sqlite3.Connection, where: Filter, now: int) -> Query:
    tables, number = _tables(where)
    parts = list(_conditions(where, now))
    if where.numbers:
        parts.append((f"{number} {AMONG}", (json.dumps(where.numbers),)))
    if where.event_id is not None:
        numbers = _numbers_of(connection, where.event_id)
        parts.append((f"{number} {AMONG}", (json.dumps(numbers),)))
    if where.above is not None:
        parts.append((f"{number} > ?", (where.above,)))
    if where.below is not None:
        parts.append((f"{number} < ?", (where.below,)))
    condition = " AND ".join(sql for sql, _ in parts) or "1"
    return Query(tables, number, condition, tuple(value for _, values in parts for value in values))


def _numbers_of(connection: sqlite3.Connection, event_id: str) -> list[int]:
    """By dedupe key, which is indexed, and begins alike for all events of one source and id."""
    others = [name for (name,) in connection.execute("SELECT name FROM sources")]
    starts = [dedupe_key(source, event_id, "", b"") for source in (*SOURCES, *others)]
    return [row[0] for start in starts for row in connection.execute(BY_KEY, (start, start + b"\xff" * 16))]


def _tables(where: Filter) -> tuple[str, str]:
    about = where.types or any(
        one is not None for one in (where.received_after, where.received_before, where.ordering_key)
    )
    if where.states and where.states <= FINISHED:
        return "finished f" + (" CROSS JOIN events e ON e.number = f.number" if about else ""), "f.number"
    if where.states and not where.states & FINISHED:
        return "queue q" + (" CROSS JOIN events e ON e.number = q.number" if about else ""), "q.number"
    both = " LEFT JOIN queue q ON q.number = e.number LEFT JOIN finished f ON f.number = e.number"
    return "events e" + (both if where.states else ""), "e.number"


def _conditions(where: Filter, now: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    if where.states:
        yield _state_condition(where.states, now)
    if len(where.types) > MOST_TYPES:
        raise ValueError(f"a filter takes at most {MOST_TYPES} types")
    if where.types:
        tests = [_type_condition(pattern) for pattern in where.types]
        yield f"({' OR '.join(sql for sql, _ in tests)})", tuple(value for _, value in tests)
    if where.received_after is not None:
        yield "e.received_at >= ?", (where.received_after,)
    if where.received_before is not None:
        yield "e.received_at < ?", (where.received_before,)
    if where.ordering_key is not None:
        yield "e.ordering_key = ?", (where.ordering_key,)
        if where.states and not where.states & FINISHED:
            yield "q.lane = ?", (lane_of(where.ordering_key),)


def _state_condition(states: frozenset[EventState], now: int) -> tuple[str, tuple[Any, ...]]:
    tests, values = [], []
    if finished := sorted(states & FINISHED):
        names = ", ".join(f"'{state}'" for state in finished)
        tests.append(f"f.state IN ({names})" + (NOTABLE if EventState.DONE not in finished else ""))
    if EventState.RUNNING in states:
        tests.append(RUNNING)
        values.append(now)
    if EventState.WAITING in states:
        tests.append(f"(q.number IS NOT NULL AND NOT {RUNNING})")
        values.append(now)
    return f"({' OR '.join(tests)})", tuple(values)


def _type_condition(pattern: str) -> tuple[str, str]:
    if pattern.endswith("*"):
        return f"substr(e.type, 1, {len(pattern) - 1}) = ?", pattern[:-1]
    return "e.type = ?", pattern
