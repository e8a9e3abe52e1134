"""Put back: finished events become due again, in the transaction that is open."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from kirimhook.backends.sqlite.filters import select
from kirimhook.receiver.inbox import Filter
from kirimhook.receiver.model import FINISHED, EventState

AT_ONCE = 500
"""Events of one transaction."""
QUEUE = """
INSERT INTO queue (number, lane, visible_at)
SELECT number, lane_of(ordering_key),
       CASE WHEN EXISTS (SELECT 1 FROM queue WHERE lane = lane_of(ordering_key)) THEN NULL ELSE ? END
FROM events WHERE number = ?"""


def check(where: Filter) -> None:
    """Raises ValueError for a filter that names neither finished states nor events."""
    if not where.states and not where.numbers and where.event_id is None:
        raise ValueError("put back: name the states (parked, unhandled, skipped or done), or the events")
    if where.states and not where.states & FINISHED:
        raise ValueError("put back: only parked, unhandled, skipped and done events can be put back")


class Step(NamedTuple):
    put_back: int
    purged: int
    """That could not be: their bodies are gone."""


def parts(where: Filter) -> Iterator[Filter]:
    """The same, each with at most `AT_ONCE` numbers."""
    numbers = sorted(set(where.numbers))
    for start in range(0, len(numbers), AT_ONCE):
        yield replace(where, numbers=tuple(numbers[start : start + AT_ONCE]))
    if not numbers:
        yield where


def find(connection: sqlite3.Connection, where: Filter, beyond: int, now: int) -> list[int]:
    """Numbers of the oldest finished events above `beyond`. Reads only: a search may be long."""
    query = select(connection, replace(where, states=_states(where)), now).also("> ?", beyond)
    sql = f"SELECT f.number FROM {query.tables} WHERE {query.condition} ORDER BY f.number LIMIT {AT_ONCE}"
    return [number for (number,) in connection.execute(sql, query.parameters)]


def put_back(connection: sqlite3.Connection, where: Filter, numbers: list[int], now: int) -> Step:
    """Those of the numbers found that are still in the states meant (nothing else of an event changes), with
    fresh attempts."""
    query = select(connection, Filter(states=_states(where), numbers=tuple(numbers)), now)
    rows = connection.execute(
        "SELECT f.number, f.state, EXISTS (SELECT 1 FROM payloads p WHERE p.number = f.number) "
        f"FROM {query.tables} WHERE {query.condition} ORDER BY f.number",
        query.parameters,
    ).fetchall()
    chosen = [(number, state) for number, state, has_payload in rows if has_payload]
    connection.executemany("UPDATE tally SET events = events - 1 WHERE state = ?", [(s,) for _, s in chosen])
    connection.executemany("DELETE FROM finished WHERE number = ?", [(number,) for number, _ in chosen])
    connection.executemany(QUEUE, [(now, number) for number, _ in chosen])
    return Step(len(chosen), len(rows) - len(chosen))


def _states(where: Filter) -> frozenset[EventState]:
    return (where.states & FINISHED) or FINISHED
