"""Put back: finished events become due again, in the transaction that is open."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import NamedTuple

from kirimhook.backends.put_back_filter import states_meant
from kirimhook.backends.sqlite.filters import select
from kirimhook.receiver.inbox import Filter

AT_ONCE = 500
"""Events of one transaction."""
QUEUE = """
INSERT INTO queue (number, lane, visible_at)
SELECT number, lane_of(ordering_key),
       CASE WHEN EXISTS (SELECT 1 FROM queue WHERE lane = lane_of(ordering_key)) THEN NULL ELSE ? END
FROM events WHERE number = ?"""


class Step(NamedTuple):
    put_back: int
    purged: int
    """That could not be: their bodies are gone."""


def find(connection: sqlite3.Connection, where: Filter, beyond: int, now: int) -> list[int]:
    """Numbers of the oldest finished events above `beyond`. Reads only: a search may be long."""
    query = select(connection, replace(where, states=states_meant(where)), now).also("> ?", beyond)
    sql = f"SELECT f.number FROM {query.tables} WHERE {query.condition} ORDER BY f.number LIMIT {AT_ONCE}"
    return [number for (number,) in connection.execute(sql, query.parameters)]


def put_back(connection: sqlite3.Connection, where: Filter, numbers: list[int], now: int) -> Step:
    """Those of the numbers found that are still in the states meant (nothing else of an event changes), with
    fresh attempts."""
    query = select(connection, Filter(states=states_meant(where), numbers=tuple(numbers)), now)
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
