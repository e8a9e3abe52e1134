"""Rows put straight into a sender's tables: publishing a million events one by one takes too long.

Events are numbered; a number is part of every id, so numbers are used once in a database. A test compares the rows
with those that publishing and delivering leave.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from sqlalchemy import Connection, text

from benchmarks.sending.posts import EVENT_TYPE, body
from kirimhook.contract import ids
from kirimhook.contract.events import KIRIM
from kirimhook.contract.resources import Attempt, Timing
from kirimhook.contract.retry import SCHEDULE
from kirimhook.sender.database import Operation

_TIME_CHARS = 10
PADDING = ids.make("", int(time.time() * 1000), bytes(ids.RANDOM_BYTES))[:_TIME_CHARS] + "000000"
"""Ids begin with their time, and by that retention goes: they are all of the time at which the benchmarks began."""
FIRST = 1_000_000_000
"""Makes every number ten digits."""
STEP = 20_000
"""Rows of one transaction."""


class State(Enum):
    DUE = "pending"
    FINISHED = "succeeded"
    DEAD = "dead"


def delivery_id(number: int) -> str:
    return f"wbd_{PADDING}{FIRST + number}"


def steps(first: int, count: int) -> list[tuple[int, int]]:
    """First and last number of each transaction."""
    end = first + count
    return [(start, min(start + STEP, end) - 1) for start in range(first, end, STEP)]


def fill(numbers: tuple[int, int], owner: str, subscriptions: Sequence[str], state: State, now: int) -> Operation[None]:
    """Events from the first number to the last, each with one delivery, for the subscriptions in turn."""
    values = {
        "first": numbers[0],
        "last": numbers[1],
        "owner": owner,
        "type": EVENT_TYPE,
        "source": KIRIM,
        "body": body(),
        "size": len(body()),
        "now": now,
        "count": len(subscriptions),
        "attempts": len(SCHEDULE),
        "record": RECORD if state is State.FINISHED else RECORD_OF_REJECTED,
    }

    def run(connection: Connection) -> None:
        ends = ", ".join(f"({position}, '{name}')" for position, name in enumerate(subscriptions))
        binary = "BLOB" if connection.dialect.name == "sqlite" else "BYTEA"
        for statement in STATEMENTS[state]:
            connection.execute(
                text(statement.format(source=_SOURCE.format(ends=ends, padding=PADDING), binary=binary)),
                _used(statement, values),
            )

    return run


def _used(statement: str, values: Mapping[str, Any]) -> dict[str, Any]:
    whole = statement + _SOURCE
    return {name: value for name, value in values.items() if f":{name}" in whole}


_SOURCE = """
WITH RECURSIVE numbers(n) AS (
    SELECT CAST(:first AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < CAST(:last AS BIGINT)
), ends(position, subscription) AS (VALUES {ends}
), named AS (
    SELECT n, subscription, '{padding}' || CAST(1000000000 + n AS TEXT) AS ulid
    FROM numbers JOIN ends ON position = n % CAST(:count AS BIGINT)
)
"""
_EVENTS = """
INSERT INTO events (id, organisation_id, dedupe_key, event_id, type, source, body, size, matches, created_at)
{source}
SELECT ulid, CAST(:owner AS TEXT), CAST(CAST(n * 7919 % 1000003 AS TEXT) || '/' || ulid AS {binary}), 'evt_' || ulid,
    CAST(:type AS TEXT), CAST(:source AS TEXT), CAST(:body AS {binary}), CAST(:size AS INTEGER), 1, CAST(:now AS BIGINT)
FROM named ORDER BY n
"""
_DELIVERIES = """
INSERT INTO deliveries (id, organisation_id, subscription_id, event, event_id, event_type, source, kind, original,
    status, attempt_count, max_attempts, next_attempt_at, last_attempt_at, response_status, created_at, finished_at,
    dead_reason)
{{source}}
SELECT 'wbd_' || ulid, CAST(:owner AS TEXT), subscription, ulid, 'evt_' || ulid, CAST(:type AS TEXT),
    CAST(:source AS TEXT), 'original', TRUE, {outcome}
FROM named ORDER BY n
"""
_DUE = _DELIVERIES.format(
    outcome="'pending', 0, CAST(:attempts AS SMALLINT), CAST(:now AS BIGINT), NULL, NULL, CAST(:now AS BIGINT),"
    " NULL, NULL"
)
_FINISHED = _DELIVERIES.format(
    outcome="'succeeded', 1, CAST(:attempts AS SMALLINT), NULL, CAST(:now AS BIGINT), 200, CAST(:now AS BIGINT),"
    " CAST(:now AS BIGINT), NULL"
)
_DEAD = _DELIVERIES.format(
    outcome="'dead', 1, CAST(:attempts AS SMALLINT), NULL, CAST(:now AS BIGINT), 400, CAST(:now AS BIGINT),"
    " CAST(:now AS BIGINT), 'rejected'"
)
_QUEUE = """
INSERT INTO queue (delivery_id, subscription_id, rank, due_at, attempts)
{source}
SELECT 'wbd_' || ulid, subscription, 0, CAST(:now AS BIGINT), 0 FROM named ORDER BY n
"""
_ATTEMPTS = """
INSERT INTO attempts (delivery_id, number, record)
{source}
SELECT 'wbd_' || ulid, 1, CAST(:record AS TEXT) FROM named ORDER BY n
"""
STATEMENTS = {
    State.DUE: (_EVENTS, _DUE, _QUEUE),
    State.FINISHED: (_EVENTS, _FINISHED, _ATTEMPTS),
    State.DEAD: (_EVENTS, _DEAD, _ATTEMPTS),
}


def _record(status: int, why: str) -> str:
    """As long as that of an attempt that succeeded."""
    began = datetime.fromtimestamp(FIRST, UTC)
    timing = Timing(None, 0.4, 1.2, 3.1)
    attempt = Attempt(1, began, 4.7, timing, "192.0.2.1", {}, status, {}, "", None, None, why)
    return json.dumps(replace(attempt, response_body="x" * (720 - len(json.dumps(attempt.to_json())))).to_json())


RECORD = _record(200, "Delivered.")
RECORD_OF_REJECTED = _record(400, "400: another attempt would be answered the same.")
