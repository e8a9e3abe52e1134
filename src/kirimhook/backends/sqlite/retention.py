"""Purge: what is past its retention goes, in bounded batches; what is unfinished or parked stays.

Each walk goes up in commit order, which is arrival order, and ends at the first event that is too young.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from kirimhook.backends.sqlite.settings import SQLiteSettings
from kirimhook.receiver.inbox import Purged

DAY = 24 * 3600 * 1000
ERASABLE = ("done", "unhandled", "skipped")

PAYLOADS = """
SELECT p.number, e.received_at, f.state, f.at FROM payloads p
JOIN events e ON e.number = p.number LEFT JOIN finished f ON f.number = p.number
WHERE p.number > ? ORDER BY p.number LIMIT ?"""
RECORDS = """
SELECT e.number, e.received_at, f.state, f.at FROM events e
LEFT JOIN finished f ON f.number = e.number
WHERE e.number > ? ORDER BY e.number LIMIT ?"""


class Purger:
    """Remembers how far each walk has come, so that what stays behind is not looked at again every time.

    The walks begin anew when both have ended.
    """

    def __init__(self, settings: SQLiteSettings) -> None:
        self._payload_age = int(settings.payload_days * DAY)
        self._record_age = int(settings.dedupe_days * DAY)
        self._payloads_from: int | None = 0
        self._records_from: int | None = 0

    def purge(self, connection: sqlite3.Connection, limit: int, now: int) -> Purged:
        """One batch of each. The caller commits."""
        payloads = self._payloads(connection, limit, now - self._payload_age)
        records = self._records(connection, limit, now)
        more = self._payloads_from is not None or self._records_from is not None
        if not more:
            self._payloads_from = self._records_from = 0
        return Purged(payloads, records, more)

    def _payloads(self, connection: sqlite3.Connection, limit: int, horizon: int) -> int:
        if self._payloads_from is None:
            return 0
        rows = connection.execute(PAYLOADS, (self._payloads_from, limit)).fetchall()
        old = [number for number, _, state, at in rows if state in ERASABLE and at < horizon]
        _delete(connection, "payloads", old)
        self._payloads_from = _next(rows, limit, horizon)
        return len(old)

    def _records(self, connection: sqlite3.Connection, limit: int, now: int) -> int:
        """With the payload, so not before that has had its own time: an event can be finished late."""
        if self._records_from is None:
            return 0
        horizon, finished = now - self._record_age, now - self._payload_age
        rows = connection.execute(RECORDS, (self._records_from, limit)).fetchall()
        old = [
            (number, state)
            for number, arrived, state, at in rows
            if state in ERASABLE and arrived < horizon and at < finished
        ]
        for table in ("events", "payloads", "finished"):
            _delete(connection, table, [number for number, _ in old])
        connection.executemany("UPDATE tally SET events = events - 1 WHERE state = ?", [(s,) for _, s in old])
        self._records_from = _next(rows, limit, horizon)
        return len(old)


def _delete(connection: sqlite3.Connection, table: str, numbers: list[int]) -> None:
    if numbers:
        sql = f"DELETE FROM {table} WHERE number IN (SELECT value FROM json_each(?))"
        connection.execute(sql, (json.dumps(numbers),))


def _next(rows: list[tuple[Any, ...]], limit: int, horizon: int) -> int | None:
    """Where the walk goes on; None when it has come to what is too young, or to the end."""
    if len(rows) < limit or rows[-1][1] >= horizon:
        return None
    return int(rows[-1][0])
