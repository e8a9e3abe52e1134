"""One delivery for somebody who looks into it: what an API's resource does not say, and the event that it carries."""

from __future__ import annotations

import json
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from kirimhook.contract import ids
from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import Attempt, Delivery, SubscriptionStatus
from kirimhook.sender.model import Rank
from kirimhook.sender.service.letters import delivery_of
from kirimhook.sender.service.moments import moment, moment_or_none
from kirimhook.sender.service.scope import Scope
from kirimhook.sender.store import deliveries as store
from kirimhook.sender.store import looking

WHOLE = 2**31 - 1
"""Bytes of a body: all that there are."""
MOST_SIBLINGS = 100
"""Deliveries of one event that are shown."""


class Target(NamedTuple):
    """The subscription that it goes to, as it is now."""

    url: str
    status: SubscriptionStatus
    disabled_reason: str | None
    is_deleted: bool


class Place(NamedTuple):
    """Where an open delivery stands in the queue."""

    due_at: datetime
    """When it may be attempted; where `is_taken`, when the lease of the engine that has it ends."""
    is_taken: bool
    """An engine has it: its attempt is under way, or is about to begin."""
    is_behind: bool
    """Behind live traffic: it was held, or replayed in bulk."""


class Looked(NamedTuple):
    """A delivery with its attempts, and what they do not say."""

    delivery: Delivery
    target: Target
    place: Place | None
    """None once it has ended."""
    is_erased: bool
    """Its event was erased: neither its body nor its id is there any more."""


class StoredEvent(NamedTuple):
    """An event as it is stored. Where it was erased, `event_id` is "" and `body` None."""

    event_id: str
    type: str
    source: str
    created_at: datetime
    size: int
    """Of the whole body, in bytes."""
    body: bytes | None
    erased_at: datetime | None


class Siblings(NamedTuple):
    """Deliveries of one event, newest first; `is_cut` where there are more than `MOST_SIBLINGS`."""

    items: list[Delivery]
    is_cut: bool


async def look(scope: Scope, delivery_id: str) -> Looked:
    """Raises ApiError `resource_not_found`."""

    def operation(connection: Connection) -> Looked:
        row = store.one(connection, scope.organisation_id, _checked(delivery_id))
        target = None if row is None else looking.target(connection, row.subscription_id)
        if row is None or target is None:
            raise _no_delivery()
        records = [Attempt.from_json(json.loads(one)) for one in store.attempts_of(connection, delivery_id)]
        return Looked(
            delivery_of(row, tuple(records)),
            Target(
                target.url,
                SubscriptionStatus(target.status),
                target.disabled_reason,
                target.deleted_at is not None,
            ),
            _place(looking.place(connection, delivery_id)),
            looking.erased_at(connection, row.event) is not None,
        )

    return await scope.read(operation)


async def event_of(scope: Scope, delivery_id: str, most: int) -> StoredEvent:
    """With the first `most` bytes of its body. Raises ApiError `resource_not_found`."""
    found = await scope.read(
        lambda connection: looking.content(connection, scope.organisation_id, _checked(delivery_id), most)
    )
    if found is None:
        raise _no_delivery()
    return StoredEvent(
        found.event_id,
        found.type,
        found.source,
        moment(found.created_at),
        found.size,
        found.body if found.erased_at is None else None,
        moment_or_none(found.erased_at),
    )


async def siblings(scope: Scope, delivery_id: str) -> Siblings:
    """Those of the same event, itself included. Raises ApiError `resource_not_found`."""
    rows = await scope.read(
        lambda connection: looking.siblings(connection, scope.organisation_id, _checked(delivery_id), MOST_SIBLINGS + 1)
    )
    if rows is None:
        raise _no_delivery()
    return Siblings([delivery_of(row) for row in rows[:MOST_SIBLINGS]], len(rows) > MOST_SIBLINGS)


def _place(found: looking.Place | None) -> Place | None:
    if found is None:
        return None
    return Place(moment(found.due_at), found.token is not None, found.rank == Rank.BACKGROUND)


def _checked(delivery_id: str) -> str:
    if not ids.is_id(ids.DELIVERY, delivery_id):
        raise _no_delivery()
    return delivery_id


def _no_delivery() -> ApiError:
    return ApiError("resource_not_found", "there is no such delivery")
