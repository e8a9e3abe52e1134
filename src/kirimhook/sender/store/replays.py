"""Deliveries again: fresh rows of kind `replay`, linked both ways with those that they replay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, func, select

from kirimhook.sender.schema import deliveries, events
from kirimhook.sender.store.batches import Column, plan_for_few_rows, run_batch, updating
from kirimhook.sender.store.deliveries import Where, conditions, failing, window_of
from kirimhook.sender.store.fan_out import Batch, Event, Match, Wanted, add, hold

_ERASED = select(events.c.id).where(events.c.id == deliveries.c.event, events.c.erased_at.is_not(None)).exists()
_REPLAYED_FROM = updating("deliveries", [Column("replayed_from")], Column("id"))
_REPLAYED_BY = updating("deliveries", [Column("replayed_by")], Column("id"))


class Candidate(NamedTuple):
    id: str
    created_at: int


def candidates(connection: Connection, where: Where, limit: int) -> list[Candidate]:
    """Failing deliveries of one subscription, the oldest first. Not of erased events: who
    goes on until there is no more would never end."""
    query = select(deliveries.c.id, deliveries.c.created_at).where(*failing(where), ~_ERASED)
    return [Candidate(*row) for row in connection.execute(query.order_by(deliveries.c.id).limit(limit))]


class Found(NamedTuple):
    """Some that match, and where to go on: None at the end."""

    ids: list[str]
    next: str | None


class Count(NamedTuple):
    """How many match; with `more` at least so many, since no more were looked at."""

    matched: int
    more: bool


def following(connection: Connection, where: Where, limit: int, look: int) -> Found:
    """At most `limit` behind `where.after`, the oldest first, erased or not, among the next `look` of the index."""
    plan_for_few_rows(connection)
    indexed, sought = conditions(where)
    end = _nth(connection, where, look) if sought else None
    within = [*indexed, *sought, *window_of(where)] if end is None else [*indexed, *sought, *_until(where, end)]
    query = select(deliveries.c.id).where(*within).order_by(deliveries.c.id).limit(limit)
    found = list(connection.scalars(query))
    return Found(found, found[-1] if len(found) == limit else end)


def count(connection: Connection, where: Where, most: int) -> Count:
    """Looks at the oldest `most` of the index and at no others."""
    plan_for_few_rows(connection)
    indexed, sought = conditions(where)
    end = _nth(connection, where, most + 1)
    if end is not None and not sought:
        return Count(most, more=True)
    within = window_of(where) if end is None else window_of(where._replace(before=end))
    query = select(func.count()).select_from(deliveries).where(*indexed, *sought, *within)
    return Count(connection.scalar(query) or 0, end is not None)


def _nth(connection: Connection, where: Where, number: int) -> str | None:
    """The id of the row that is the `number`th of the index; None where there are fewer."""
    indexed, _ = conditions(where)
    query = select(deliveries.c.id).where(*indexed, *window_of(where)).order_by(deliveries.c.id)
    return connection.scalar(query.limit(1).offset(number - 1))


def _until(where: Where, end: str) -> list[ColumnElement[bool]]:
    """One bound at each end, the last one included."""
    return [*window_of(where._replace(before=None)), deliveries.c.id <= end]


def locked(connection: Connection, organisation_id: str, delivery_ids: Sequence[str]) -> list[Row[Any]]:
    """Those that still exist, oldest first; neither purged nor replayed by others until the transaction ends."""
    mine = deliveries.c.organisation_id == organisation_id
    query = select(*deliveries.c).where(deliveries.c.id.in_(delivery_ids), mine)
    return list(connection.execute(query.order_by(deliveries.c.id).with_for_update()))


def make(
    connection: Connection, batch: Batch, originals: Sequence[Row[Any]], ids: Sequence[str], bound: int, *, held: bool
) -> int:
    """Replay deliveries under these ids, all of subscriptions that are active or all of disabled ones (`held`); how
    many are open. The others (a disabled one holds no more than `bound`) are dead letters at once.
    """
    wanted = [
        Wanted(Event(row.event, row.event_id, row.event_type, row.source), Match(row.subscription_id, held))
        for row in originals
    ]
    rooms = hold(connection, wanted, bound)
    opened = sum(rooms.values()) if held else len(wanted)
    add(connection, batch, wanted, ids, rooms)
    links = list(zip(ids, [row.id for row in originals], strict=True))
    run_batch(connection, _REPLAYED_FROM, [(original, fresh) for fresh, original in links])
    run_batch(connection, _REPLAYED_BY, links)
    return opened
