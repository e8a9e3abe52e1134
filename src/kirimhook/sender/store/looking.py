"""One delivery seen closely: whom it goes to, where it stands in the queue, what it carries, what else carries it."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, LargeBinary, Row, func, select

from kirimhook.sender.schema import deliveries, events, queue, subscriptions
from kirimhook.sender.store.deliveries import with_state


class Target(NamedTuple):
    """The subscription as it is now. `url` is the last one, also where it is deleted."""

    url: str
    status: str
    disabled_reason: str | None
    deleted_at: int | None


class Place(NamedTuple):
    """An open delivery's row in the queue. With a `token` an engine has it, until `due_at` (ms)."""

    rank: int
    due_at: int
    token: str | None


class Content(NamedTuple):
    """The event of a delivery. `body` is the beginning of it, or all; `size` is of all, in bytes."""

    event_id: str
    type: str
    source: str
    size: int
    created_at: int
    erased_at: int | None
    body: bytes


def target(connection: Connection, subscription_id: str) -> Target | None:
    columns = [subscriptions.c[name] for name in Target._fields]
    row = connection.execute(select(*columns).where(subscriptions.c.id == subscription_id)).one_or_none()
    return None if row is None else Target(*row)


def place(connection: Connection, delivery_id: str) -> Place | None:
    columns = [queue.c[name] for name in Place._fields]
    row = connection.execute(select(*columns).where(queue.c.delivery_id == delivery_id)).one_or_none()
    return None if row is None else Place(*row)


def erased_at(connection: Connection, event: str) -> int | None:
    return connection.scalar(select(events.c.erased_at).where(events.c.id == event))


def content(connection: Connection, organisation_id: str, delivery_id: str, most: int) -> Content | None:
    """With at most `most` bytes of the body."""
    body = func.substr(events.c.body, 1, most, type_=LargeBinary)
    columns = [body if name == "body" else events.c[name] for name in Content._fields]
    mine = (deliveries.c.id == delivery_id, deliveries.c.organisation_id == organisation_id)
    query = select(*columns).join(deliveries, deliveries.c.event == events.c.id).where(*mine)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return Content(*row[:-1], bytes(row[-1] or b""))  # type: ignore[call-arg]  # SQLite's part of nothing is NULL


def siblings(connection: Connection, organisation_id: str, delivery_id: str, limit: int) -> list[Row[Any]] | None:
    """All deliveries of its event, itself included, newest first, as rows of `store.deliveries`; None where it is
    not there."""
    mine = deliveries.c.organisation_id == organisation_id
    event = connection.scalar(select(deliveries.c.event).where(deliveries.c.id == delivery_id, mine))
    if event is None:
        return None
    by_id = (deliveries.c.id + "").desc()  # not the column itself, or its index might be walked for the order
    return list(connection.execute(with_state(deliveries.c.event == event, mine).order_by(by_id).limit(limit)))
