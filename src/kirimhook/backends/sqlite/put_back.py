"""Put back: finished events become due again, in the transaction that is open."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from kirimhook.backends.sqlite.filters import select
from kirimhook.receiver.inbox import Filter, PayloadPurged
from kirimhook.receiver.model import FINISHED

AT_ONCE = 500
"""Events of one transaction."""
QUEUE = """
INSERT INTO queue (number, lane, visible_at)
SELECT ?1, lane_of(ordering_key),
       CASE WHEN EXISTS (SELECT 1 FROM queue WHERE lane = lane_of(ordering_key)) THEN NULL ELSE ?2 END
FROM events WHERE number = ?1"""


def check(where: Filter) -> None:
    """Raises ValueError for a filter that names neither finished states nor events."""
    if not where.states and not where.numbers and where.event_id is None:
        raise ValueError("put back: name the states (parked, unhandled, skipped or done), or the events")
    if where.states and not where.states & FINISHED:
        raise ValueError("put back: only parked, unhandled, skipped and done events can be put back")


def put_back(connection: sqlite3.Connection, where: Filter, beyond: int, now: int) -> tuple[int, int]:
    """One batch, oldest first, of events whose number is above `beyond`.

    Returns how many became due, with fresh attempts, and the number to go on from (0: no more). Raises
    `PayloadPurged` when all that were named by number have lost their bodies.
    """
    rows = _finished(connection, where, beyond, now)
    chosen = [(number, state) for number, state, has_payload in rows if has_payload]
    if rows and not chosen and where.numbers:
        raise PayloadPurged("the body is past its retention, so there is nothing left to handle")
    connection.executemany("UPDATE tally SET events = events - 1 WHERE state = ?", [(s,) for _, s in chosen])
    connection.executemany("DELETE FROM finished WHERE number = ?", [(number,) for number, _ in chosen])
    connection.executemany(QUEUE, [(number, now) for number, _ in chosen])
    return len(chosen), rows[-1][0] if len(rows) == AT_ONCE else 0


def _finished(connection: sqlite3.Connection, where: Filter, beyond: int, now: int) -> list[tuple[int, str, bool]]:
    where = replace(where, states=(where.states & FINISHED) or FINISHED)
    query = select(connection, where, now)
    return connection.execute(
        f"SELECT e.number, f.state, p.number IS NOT NULL FROM {query.tables} "
        f"LEFT JOIN payloads p ON p.number = e.number WHERE {query.condition} AND e.number > ? "
        f"ORDER BY e.number LIMIT {AT_ONCE}",
        (*query.parameters, beyond),
    ).fetchall()
