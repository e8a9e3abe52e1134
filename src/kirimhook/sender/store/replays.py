"""Deliveries again: fresh rows of kind `replay`, linked both ways with those that they replay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, select

from kirimhook.sender.schema import deliveries, events
from kirimhook.sender.store.batches import Column, run_batch, updating
from kirimhook.sender.store.deliveries import Where, failing
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


def locked(connection: Connection, organisation_id: str, delivery_ids: Sequence[str]) -> list[Row[Any]]:
    """Those that still exist, oldest first; neither purged nor replayed by others until the transaction ends."""
    mine = deliveries.c.organisation_id == organisation_id
    query = select(*deliveries.c).where(deliveries.c.id.in_(delivery_ids), mine)
    return list(connection.execute(query.order_by(deliveries.c.id).with_for_update()))


def make(
    connection: Connection, batch: Batch, originals: Sequence[Row[Any]], ids: Sequence[str], bound: int, *, held: bool
) -> int:
    """Replay deliveries of one subscription under these ids; how many are open.

    The others (`held`: the subscription is disabled, and holds no more than `bound`) are dead letters at once.
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
