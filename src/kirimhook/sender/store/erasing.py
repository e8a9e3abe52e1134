"""Erasing: of an event its body and its id, of its attempts what was sent and answered. Contract section 3.

The dedupe key stays, a digest: the event published again is a duplicate as before. Rows stay, so the ledger balances.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select, update

from kirimhook.sender.model import OPEN
from kirimhook.sender.schema import attempts, deliveries, events
from kirimhook.sender.store.batches import Column, run_batch, updating

_RECORDS = updating("attempts", [Column("record")], Column("delivery_id"), Column("number", "smallint"))


class Held(NamedTuple):
    """An event that has not been erased."""

    id: str
    organisation_id: str
    event_id: str
    body: bytes


class Erased(NamedTuple):
    """What one batch came to. `open`: events left as they are, since a delivery of theirs has not ended."""

    events: int = 0
    deliveries: int = 0
    attempts: int = 0
    open: int = 0

    def plus(self, other: Erased) -> Erased:
        return Erased(*[mine + its for mine, its in zip(self, other, strict=True)])


def held(connection: Connection, organisation_id: str | None, after: str, rows: int, most: int) -> list[Held]:
    """The next events behind `after`: at most `rows`, of at most `most` bytes unless it is one. [] at the end."""
    wanted = [events.c.id > after, events.c.erased_at.is_(None)]
    if organisation_id is not None:
        wanted.append(events.c.organisation_id == organisation_id)
    sizes = connection.execute(select(events.c.id, events.c.size).where(*wanted).order_by(events.c.id).limit(rows))
    last, total = None, 0
    for event, size in sizes:
        total += size
        if last is not None and total > most:
            break
        last = event
    if last is None:
        return []
    columns = [events.c[name] for name in Held._fields]
    query = select(*columns).where(*wanted, events.c.id <= last).order_by(events.c.id)
    return [Held(*row) for row in connection.execute(query)]


def erase(connection: Connection, event_ids: Sequence[str], now: int) -> Erased:
    """Of these events those that have no open delivery, at this moment (ms).

    Their deliveries are locked before it is looked whether one is open: a replay locks them as well.
    """
    mine = deliveries.c.event.in_(event_ids)
    connection.execute(select(deliveries.c.id).where(mine).order_by(deliveries.c.id).with_for_update()).all()
    still_open = set(connection.scalars(select(deliveries.c.event).where(mine, deliveries.c.status.in_(OPEN))))
    wanted = [one for one in event_ids if one not in still_open]
    if not wanted:
        return Erased(open=len(still_open))
    is_wanted = events.c.id.in_(wanted) & events.c.erased_at.is_(None)
    emptied = connection.execute(update(events).where(is_wanted).values(body=b"", event_id="", erased_at=now)).rowcount
    of_them = deliveries.c.event.in_(wanted)
    delivery_ids = list(connection.scalars(select(deliveries.c.id).where(of_them)))
    connection.execute(update(deliveries).where(of_them).values(event_id=""))
    return Erased(emptied, len(delivery_ids), _erase_attempts(connection, delivery_ids), len(still_open))


def _erase_attempts(connection: Connection, delivery_ids: Sequence[str]) -> int:
    query = select(attempts.c.delivery_id, attempts.c.number, attempts.c.record)
    rows = connection.execute(query.where(attempts.c.delivery_id.in_(delivery_ids))).all()
    run_batch(connection, _RECORDS, [(_emptied(record), delivery, number) for delivery, number, record in rows])
    return len(rows)


def _emptied(record: str) -> str:
    """Without what was sent and answered: an id is in the headers, and an endpoint answers what it likes."""
    kept = {**json.loads(record), "request_headers": {}, "response_headers": {}, "response_body": None}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def erased(connection: Connection, event_ids: Sequence[str]) -> set[str]:
    """Those of these events (`events.id`) that were erased."""
    wanted = events.c.id.in_(set(event_ids)) & events.c.erased_at.is_not(None)
    return set(connection.scalars(select(events.c.id).where(wanted)))


def is_any_erased(connection: Connection) -> bool:
    return connection.scalar(select(events.c.id).where(events.c.erased_at.is_not(None)).limit(1)) is not None
