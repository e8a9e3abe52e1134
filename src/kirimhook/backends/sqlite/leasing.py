"""Lease and renew, in the transaction that is open.

A lease marks only the first row of a lane (its head) and takes the waiting run behind it.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from kirimhook.receiver.model import InboundEvent, Lease, LeasedEvent

LONGEST_RUN = 64
MOST_BYTES = 32 * 1024 * 1024
"""Bodies handed out by one lease; at least one event always goes."""
SUSPECT_AFTER = 2
"""Leases that ran out before an event is handed out alone."""

HEADS = """
SELECT number, lane, attempts, crashes, token FROM queue
WHERE visible_at <= ? ORDER BY visible_at, number LIMIT ?"""
RUN = """
SELECT number, attempts FROM queue
WHERE lane = ? AND number <> ? ORDER BY number LIMIT ?"""
EVENTS = """
SELECT e.number, e.dedupe_key, e.event_id, e.type, e.source, e.ordering_key, e.livemode, e.problem,
       e.delivery_id, e.received_at, p.body
FROM json_each(?) AS wanted
CROSS JOIN events AS e ON e.number = wanted.value
CROSS JOIN payloads AS p ON p.number = e.number"""

RENEW = """
UPDATE queue SET visible_at = ? WHERE token = ? AND number = (
    SELECT CASE WHEN asked.visible_at IS NOT NULL THEN asked.number ELSE (
        SELECT first.number FROM queue AS first
        WHERE first.lane = asked.lane AND first.visible_at IS NOT NULL ORDER BY first.number LIMIT 1) END
    FROM queue AS asked WHERE asked.number = ?)"""


class Head(NamedTuple):
    number: int
    lane: int | None
    attempts: int
    crashes: int

    @classmethod
    def read(cls, row: tuple[Any, ...]) -> Head:
        """A row that still bears a token is due because its lease ran out: that was an attempt."""
        number, lane, attempts, crashes, token = row
        ran_out = token is not None
        return cls(number, lane, attempts + ran_out, crashes + ran_out)


def lease(connection: sqlite3.Connection, limit: int, until: int, now: int) -> list[Lease]:
    """Up to `limit` runs that are due at `now`, held until `until` (ms)."""
    if connection.execute("SELECT 1 FROM control WHERE name = 'paused'").fetchone():
        return []
    heads = [Head.read(row) for row in connection.execute(HEADS, (now, limit)).fetchall()]
    suspect = next((head for head in heads if head.crashes >= SUSPECT_AFTER), None)
    if suspect:
        heads = [suspect]
    runs = [_run(connection, head, alone=suspect is not None) for head in heads]
    token = secrets.randbits(62) + 1
    events = _events(connection, [number for run in runs for number, _ in run])
    leases = [taken for run in runs if (taken := _lease(run, events, token, suspect is not None))]
    held = {taken.run[0].number for taken in leases}
    connection.executemany(
        "UPDATE queue SET token = ?, visible_at = ?, attempts = ?, crashes = ? WHERE number = ?",
        [(token, until, head.attempts, head.crashes, head.number) for head in heads if head.number in held],
    )
    return leases


def _run(connection: sqlite3.Connection, head: Head, *, alone: bool) -> list[tuple[int, int]]:
    """`(number, attempts)` of the head and of what waits behind it, in order."""
    run = [(head.number, head.attempts)]
    if head.lane is not None and not alone:
        run += connection.execute(RUN, (head.lane, head.number, LONGEST_RUN - 1)).fetchall()
    return run


def _events(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, InboundEvent]:
    """As many of them, in this order, as `MOST_BYTES` allows."""
    events: dict[int, InboundEvent] = {}
    weight = 0
    for number, key, name, kind, source, ordering_key, live, *rest, body in connection.execute(
        EVENTS, (json.dumps(numbers),)
    ):
        weight += len(body)
        if events and weight > MOST_BYTES:
            break
        problem, delivery_id, received_at = rest
        events[number] = InboundEvent(
            key, name, kind, source, ordering_key, live == 1, problem, delivery_id, received_at, body
        )
    return events


def _lease(run: list[tuple[int, int]], events: dict[int, InboundEvent], token: int, suspect: bool) -> Lease | None:
    taken = []
    for number, attempts in run:
        if number not in events:
            break
        taken.append(LeasedEvent(number, attempts + 1, events[number]))
    return Lease(token, tuple(taken), suspect) if taken else None


def renew(connection: sqlite3.Connection, heads: Iterable[tuple[int, int]], until: int) -> list[bool]:
    """The lease may still sit on an earlier event of the run, whose settlement is on its way."""
    return [connection.execute(RENEW, (until, token, number)).rowcount > 0 for token, number in heads]
