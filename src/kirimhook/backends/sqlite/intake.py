"""Put: claim and store a batch of events in the transaction that is open.

Few, large statements: each one runs without Python's global lock, so the loop that acknowledges goes on
meanwhile. Rows go in by powers of two, so that a handful of prepared statements serves every batch size.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any

from kirimhook.backends.sqlite.schema import SOURCES, lane_of
from kirimhook.receiver.model import InboundEvent, Receipt

LARGEST = 128
"""Rows of one statement. SQLite takes 32 766 parameters, an event has ten."""

EVENT = (
    "INSERT INTO events (number, dedupe_key, event_id, type, source, ordering_key, livemode, problem, "
    "delivery_id, received_at) VALUES "
)
PAYLOAD = "INSERT INTO payloads (number, body) VALUES "
QUEUE = "INSERT INTO queue (number, lane, visible_at) VALUES "
SOURCE = "INSERT OR IGNORE INTO sources (name) VALUES (?)"


def put(connection: sqlite3.Connection, events: Sequence[InboundEvent], now: int) -> list[Receipt]:
    """Store those that are new. The caller commits. Raises sqlite3.Error."""
    first: dict[bytes, int] = {}
    for index, event in enumerate(events):
        first.setdefault(event.dedupe_key, index)
    known = _known(connection, list(first))
    receipts = [known.get(event.dedupe_key, Receipt.DUPLICATE) for event in events]
    fresh = [index for key, index in first.items() if key not in known]
    for index in fresh:
        receipts[index] = Receipt.FRESH
    if fresh:
        _store(connection, [events[index] for index in fresh], now)
    return receipts


def _known(connection: sqlite3.Connection, keys: list[bytes]) -> dict[bytes, Receipt]:
    """Which keys are claimed already."""
    found: dict[bytes, Receipt] = {}
    for start in range(0, len(keys), LARGEST):
        some = _padded(keys[start : start + LARGEST])
        text = connection.execute(_known_sql(len(some)), some).fetchone()[0]
        for entry in text.split(",") if text else ():
            parked = entry.endswith("!")
            found[bytes.fromhex(entry.rstrip("!"))] = Receipt.DUPLICATE_PARKED if parked else Receipt.DUPLICATE
    return found


def _store(connection: sqlite3.Connection, events: Sequence[InboundEvent], now: int) -> None:
    number = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()[0]
    lanes = [lane_of(event.ordering_key) for event in events]
    busy = _busy(connection, [lane for lane in lanes if lane is not None])
    rows: list[tuple[Any, ...]] = []
    queue: list[tuple[Any, ...]] = []
    bodies: list[tuple[Any, ...]] = []
    for event, lane in zip(events, lanes, strict=True):
        number += 1
        rows.append((number, *event[:9]))
        bodies.append((number, event.body))
        queue.append((number, lane, None if lane in busy else now))
        if lane is not None:
            busy.add(lane)
    _insert(connection, EVENT, rows)
    _insert(connection, PAYLOAD, bodies)
    _insert(connection, QUEUE, queue)
    if others := {event.source for event in events}.difference(SOURCES):
        connection.executemany(SOURCE, [(source,) for source in others])


def _busy(connection: sqlite3.Connection, lanes: list[int]) -> set[int]:
    """The lanes that have something unfinished."""
    found: set[int] = set()
    for start in range(0, len(lanes), LARGEST):
        some = _padded(lanes[start : start + LARGEST])
        text = connection.execute(_busy_sql(len(some)), some).fetchone()[0]
        found.update(map(int, text.split(",")) if text else ())
    return found


def _insert(connection: sqlite3.Connection, into: str, rows: Sequence[tuple[Any, ...]]) -> None:
    for some in _powers_of_two(rows):
        connection.execute(_values_sql(into, len(some), len(some[0])), list(chain.from_iterable(some)))


def _powers_of_two(rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    start = 0
    while rest := len(rows) - start:
        size = min(LARGEST, 1 << rest.bit_length() - 1)
        yield rows[start : start + size]
        start += size


def _padded(values: list[Any]) -> list[Any]:
    """To a power of two, with its own last value."""
    return values + values[-1:] * ((1 << (len(values) - 1).bit_length()) - len(values))


@cache
def _values_sql(into: str, rows: int, columns: int) -> str:
    return into + ", ".join([f"({', '.join('?' * columns)})"] * rows)


@cache
def _known_sql(count: int) -> str:
    parked = "EXISTS (SELECT 1 FROM finished f WHERE f.number = events.number AND f.state = 'parked')"
    return (
        f"SELECT group_concat(hex(dedupe_key) || CASE WHEN {parked} THEN '!' ELSE '' END) "
        f"FROM events WHERE dedupe_key IN ({', '.join('?' * count)})"
    )


@cache
def _busy_sql(count: int) -> str:
    marks = ", ".join("(?)" for _ in range(count))
    return (
        f"WITH wanted (lane) AS (VALUES {marks}) SELECT group_concat(lane) FROM wanted "
        "WHERE EXISTS (SELECT 1 FROM queue WHERE queue.lane = wanted.lane)"
    )


def total_bytes(events: Iterable[InboundEvent]) -> int:
    """What the bodies weigh while they wait."""
    return sum(len(event.body) for event in events)
