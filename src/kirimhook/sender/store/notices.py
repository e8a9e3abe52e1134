"""What the operator is to be told of: written with what happened, taken out once it was told.

The id is that of what happened, so that it is told of once however often it is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from kirimhook.sender.store.batches import Column, Text, both, fetch, inserting, plan_by_index, run, run_batch, updating

_ADD = inserting("notices", Column("id"), Column("notice"), Column("due_at", "bigint"))
_TAKE = both("""SELECT id, notice, attempts FROM notices WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2""")
_TAKE = Text(_TAKE.sqlite, _TAKE.postgresql + " FOR UPDATE SKIP LOCKED")
_PUT_OFF = updating("notices", [Column("due_at", "bigint"), Column("attempts", "smallint")], Column("id"))
_DELETE = both("DELETE FROM notices WHERE id IN $1")


class Notice(NamedTuple):
    id: str
    notice: str
    attempts: int


def add(connection: Connection, rows: Sequence[tuple[str, str, int]]) -> None:
    """Id, JSON and the moment in milliseconds, of each."""
    run_batch(connection, _ADD, rows)


def take(connection: Connection, now: int, until: int, most: int) -> list[Notice]:
    """Those that are due, longest waiting first; nobody else takes them before `until`."""
    plan_by_index(connection)
    taken = [Notice(*row) for row in fetch(connection, _TAKE, now, most)]
    run_batch(connection, _PUT_OFF, [(until, notice.attempts + 1, notice.id) for notice in taken])
    return taken


def put_off(connection: Connection, rows: Sequence[tuple[int, int, str]]) -> None:
    """When each is due again, how often it was tried, and its id."""
    run_batch(connection, _PUT_OFF, rows)


def remove(connection: Connection, ids: list[str]) -> None:
    run(connection, _DELETE, ids)
