"""Subscriptions and the event types they want. What becomes of their open deliveries is in `holding`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from kirimhook.sender.schema import subscribed_types, subscriptions

_columns = subscriptions.c


class StoredSubscription(NamedTuple):
    """One that is not deleted, without its secrets."""

    id: str
    url: str
    description: str | None
    status: str
    disabled_reason: str | None
    created_at: int
    events: tuple[str, ...]


_LISTED = (
    _columns.id,
    _columns.url,
    _columns.description,
    _columns.status,
    _columns.disabled_reason,
    _columns.created_at,
)


def add(connection: Connection, organisation_id: str, subscription: StoredSubscription) -> None:
    """Active. Needs the organisation's lock, alone: from now on it matches."""
    row = {name: value for name, value in subscription._asdict().items() if name != "events"}
    connection.execute(insert(subscriptions), {**row, "organisation_id": organisation_id})
    _subscribe(connection, organisation_id, subscription.id, subscription.events)


def _subscribe(connection: Connection, organisation_id: str, subscription_id: str, events: Sequence[str]) -> None:
    named = {"organisation_id": organisation_id, "subscription_id": subscription_id}
    rows = [{**named, "event_type": name, "position": position} for position, name in enumerate(events)]
    connection.execute(insert(subscribed_types), rows)


def resubscribe(connection: Connection, organisation_id: str, subscription_id: str, events: Sequence[str]) -> None:
    """Other event types. Needs the organisation's lock, alone."""
    connection.execute(delete(subscribed_types).where(subscribed_types.c.subscription_id == subscription_id))
    _subscribe(connection, organisation_id, subscription_id, events)


def lock(connection: Connection, organisation_id: str, subscription_id: str) -> bool:
    """Nobody else changes it, nor its secrets, until this transaction ends; an engine learns that it changed.

    False where the organisation has none that is not deleted.
    """
    mine = (_columns.id == subscription_id, _columns.organisation_id == organisation_id, _columns.deleted_at.is_(None))
    changed = connection.execute(update(subscriptions).where(*mine).values(version=_columns.version + 1))
    return changed.rowcount > 0


def describe(connection: Connection, subscription_id: str, url: str | None, description: str | None) -> None:
    """Another URL, another description; None leaves it, an empty description removes it."""
    values: dict[str, str | None] = {}
    if url is not None:
        values["url"] = url
    if description is not None:
        values["description"] = description or None
    if values:
        connection.execute(update(subscriptions).where(_columns.id == subscription_id).values(values))


def get(connection: Connection, organisation_id: str, subscription_id: str) -> StoredSubscription | None:
    wanted = select(*_LISTED).where(
        _columns.id == subscription_id, _columns.organisation_id == organisation_id, _columns.deleted_at.is_(None)
    )
    found = _with_events(connection, connection.execute(wanted).all())
    return found[0] if found else None


def page(connection: Connection, organisation_id: str, before: str | None, limit: int) -> list[StoredSubscription]:
    """At most `limit` of them, newest first, older than the id `before`."""
    wanted = select(*_LISTED).where(_columns.organisation_id == organisation_id, _columns.deleted_at.is_(None))
    if before is not None:
        wanted = wanted.where(_columns.id < before)
    return _with_events(connection, connection.execute(wanted.order_by(_columns.id.desc()).limit(limit)).all())


def _with_events(connection: Connection, rows: Sequence[Any]) -> list[StoredSubscription]:
    events: dict[str, list[str]] = {row.id: [] for row in rows}
    if not rows:
        return []
    types = subscribed_types.c
    wanted = select(types.subscription_id, types.event_type).where(types.subscription_id.in_(events))
    for subscription_id, name in connection.execute(wanted.order_by(types.subscription_id, types.position)):
        events[subscription_id].append(name)
    return [StoredSubscription._make((*row, tuple(events[row.id]))) for row in rows]
