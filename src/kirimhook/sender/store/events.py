"""Events: each stored once for an organisation and a dedupe key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from kirimhook.sender.store.batches import Column, Text, both, fetch, inserting, is_sqlite, run_batch

_ADD = inserting(
    "events",
    Column("id"),
    Column("organisation_id"),
    Column("dedupe_key", "bytea"),
    Column("event_id"),
    Column("type"),
    Column("source"),
    Column("body", "bytea"),
    Column("size", "integer"),
    Column("matches", "integer"),
    Column("created_at", "bigint"),
)
_KNOWN = "SELECT dedupe_key, id, matches FROM events WHERE organisation_id = "
_ORGANISATION = both("SELECT 1 FROM organisations WHERE id = $1")
_TRIES = 3
"""Retention can remove the one that was in the way."""
_BECOME_THE_WRITER = "UPDATE organisations SET name = name WHERE 0"


class EventRow(NamedTuple):
    """An event as it is stored."""

    id: str
    organisation_id: str
    dedupe_key: bytes
    event_id: str
    type: str
    source: str
    body: bytes
    size: int
    matches: int
    """Original deliveries that it makes."""
    created_at: int


class Known(NamedTuple):
    """What is stored under a dedupe key."""

    id: str
    matches: int


def begin(connection: Connection) -> None:
    """For a transaction of the caller's own on SQLite, which may have begun as a reader: what it reads from here on
    is the last word, as it is the writer."""
    if is_sqlite(connection):
        connection.exec_driver_sql(_BECOME_THE_WRITER)


def add(connection: Connection, rows: Sequence[EventRow]) -> dict[bytes, Known]:
    """Store those whose key is new; what is then stored under each key, by whomever.

    In the order of their keys: two who add the same ones wait for each other in one direction only.
    """
    found: dict[bytes, Known] = {}
    missing = sorted(rows, key=_by_key)
    for _ in range(_TRIES):
        run_batch(connection, _ADD, missing)
        found.update(_known(connection, missing))
        missing = [row for row in missing if row.dedupe_key not in found]
        if not missing:
            return found
    raise RuntimeError(f"{len(missing)} events were neither stored nor there")


def _by_key(row: EventRow) -> bytes:
    return row.dedupe_key


def _known(connection: Connection, rows: Sequence[EventRow]) -> dict[bytes, Known]:
    keys = [row.dedupe_key for row in rows]
    marks = ", ".join("?" for _ in keys)
    text = Text(f"{_KNOWN} ? AND dedupe_key IN ({marks})", f"{_KNOWN} $1 AND dedupe_key = ANY($2::bytea[])")
    values = (*keys,) if is_sqlite(connection) else (keys,)
    found = fetch(connection, text, rows[0].organisation_id, *values)
    return {bytes(key): Known(event, matches) for key, event, matches in found}


def organisation_exists(connection: Connection, organisation_id: str) -> bool:
    return bool(fetch(connection, _ORGANISATION, organisation_id))
