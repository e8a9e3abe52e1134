"""The deliveries of one organisation: listed, one alone, replayed. Contract sections 4, 5 and 8.

Every delivery can be replayed, whatever its status: the contract refuses none but those of a deleted subscription,
and one that succeeded may have been lost behind the endpoint. A replay is a delivery of its own, so the original's
account does not change: one that is still `failed` keeps its own next attempt, since the replay may fail as well, and
a receiver acks the second of the two as a duplicate.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row

from kirimhook.contract import ids
from kirimhook.contract.errors import ApiError
from kirimhook.contract.events import is_type
from kirimhook.contract.resources import Attempt, BulkReplay, Delivery, DeliveryKind, DeliveryStatus, ReplayReceipt
from kirimhook.sender.model import OPEN
from kirimhook.sender.service.calls import MAX_LIMIT, BulkReplayRequest, DeliveryFilter, Page
from kirimhook.sender.service.cursors import Cursors
from kirimhook.sender.service.holding import before_enabling, delete_subscription, set_status
from kirimhook.sender.service.moments import ceil_ms, floor_ms, moment, moment_or_none
from kirimhook.sender.service.scope import Scope
from kirimhook.sender.store import deliveries as store
from kirimhook.sender.store import erasing, holding, locks, replays
from kirimhook.sender.store.fan_out import Batch
from kirimhook.sender.store.replays import Candidate

__all__ = [
    "BULK",
    "alive",
    "before_enabling",
    "bulk_replay",
    "delete_subscription",
    "delivery_of",
    "get",
    "page",
    "replay",
    "set_status",
    "where_of",
]

BULK = 1000
"""Deliveries of one bulk replay."""
_LIST = "deliveries"


async def page(scope: Scope, where: DeliveryFilter, limit: int, cursor: str | None) -> Page[Delivery]:
    """Newest first. A page of rare ones may be short, even empty, and yet have a `next_cursor`: go on until none is.

    Raises ApiError `invalid_limit`, `invalid_cursor`, `resource_not_found` for a subscription that is not there.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise ApiError("invalid_limit", f"a page has 1 to {MAX_LIMIT} items", param="limit")
    cursors = Cursors(scope.context.sealer.derived("cursors"))
    bound = (_LIST, scope.organisation_id, *[None if part is None else str(part) for part in where])
    sought = where_of(scope, where, cursors.read(cursor, *bound))

    def operation(connection: Connection) -> store.Listed:
        if sought.subscription_id is not None:
            _subscription(connection, scope, sought.subscription_id)
        return store.listed(connection, sought, limit)

    found = await scope.read(operation)
    following = None if found.next is None else cursors.make(found.next, *bound)
    return Page([delivery_of(row) for row in found.rows], following)


async def get(scope: Scope, delivery_id: str) -> Delivery:
    """With its attempts, the first one first. Raises ApiError `resource_not_found`."""

    def operation(connection: Connection) -> Delivery:
        row = store.one(connection, scope.organisation_id, _checked_id(delivery_id))
        if row is None:
            raise _no_delivery()
        records = store.attempts_of(connection, delivery_id)
        return delivery_of(row, tuple([Attempt.from_json(json.loads(record)) for record in records]))

    return await scope.read(operation)


async def replay(scope: Scope, delivery_id: str) -> ReplayReceipt:
    """Among live traffic. Its status is `dead` where its subscription is disabled and holds all that it may.

    Raises ApiError `resource_not_found`, `subscription_deleted`, `event_erased`.
    """

    def operation(connection: Connection) -> ReplayReceipt:
        locks.share(connection, [scope.organisation_id])
        rows = replays.locked(connection, scope.organisation_id, [_checked_id(delivery_id)])
        if not rows:
            raise _no_delivery()
        if erasing.erased(connection, [rows[0].event]):
            raise ApiError("event_erased", "what the event held was erased: there is nothing to send")
        fresh, opened = _replayed(connection, scope, rows)
        status = DeliveryStatus.PENDING if opened else DeliveryStatus.DEAD
        return ReplayReceipt(ids.DeliveryId(fresh[0]), ids.DeliveryId(delivery_id), status)

    receipt = await scope.write(operation)
    scope.context.published()
    return receipt


async def bulk_replay(scope: Scope, request: BulkReplayRequest) -> BulkReplay:
    """At most `BULK`, the oldest first, behind live traffic.

    To go on where `capped` says that there are more: `created_after` = `last_created_at`, or `unreplayed` again and
    again. A call takes all of a millisecond or nothing, so the first way skips none and repeats none; only where one
    millisecond holds more than `BULK`, it needs the second. With `ids` there is nothing to go on with. Raises ApiError
    as `replay`, and `invalid_field_value` for `ids` beside a type or a window.
    """
    where = where_of(scope, _as_filter(request), None)
    if not ids.is_id(ids.SUBSCRIPTION, request.subscription_id):
        raise _no_subscription()

    def search(connection: Connection) -> list[Candidate]:
        if request.ids is not None:
            return []
        if holding.subscription(connection, scope.organisation_id, request.subscription_id) is None:
            return []  # said below, behind the answer that the call may have had before
        return replays.candidates(connection, where, BULK + 1)

    chosen, last = _cut(found := await scope.read(search))
    named = [one.id for one in chosen] if request.ids is None else _named(request.ids)

    def operation(connection: Connection) -> BulkReplay:
        locks.share(connection, [scope.organisation_id])
        alive(connection, scope, request.subscription_id)
        rows = replays.locked(connection, scope.organisation_id, named) if named else []
        gone = erasing.erased(connection, [row.event for row in rows]) if rows else set()
        rows = [row for row in rows if _is_wanted(row, request) and row.event not in gone]
        fresh, _ = _replayed(connection, scope, rows) if rows else ([], 0)
        holding.demote(connection, fresh)
        until = last if request.ids is None else max([row.created_at for row in rows], default=None)
        return BulkReplay(len(rows), len(found) > BULK, moment_or_none(until))

    receipt = await scope.write(operation)
    scope.context.published()
    return receipt


def _cut(found: list[Candidate]) -> tuple[list[Candidate], int | None]:
    """Those that one call takes, and the time (ms) behind which the next one goes on."""
    if len(found) <= BULK:
        return found, found[-1].created_at if found else None
    beyond = found[BULK].created_at
    whole = [one for one in found if one.created_at < beyond]
    return (whole, whole[-1].created_at) if whole else (found[:BULK], beyond - 1)


def _named(said: Sequence[str]) -> list[str]:
    if len(said) > BULK:
        raise ApiError("invalid_field_value", f"one call takes at most {BULK}", param="ids")
    return [one for one in dict.fromkeys(said) if ids.is_id(ids.DELIVERY, one)]


def _is_wanted(row: Row[Any], request: BulkReplayRequest) -> bool:
    """Whether nobody was faster since it was found, and what was named is what was meant."""
    if (row.subscription_id, row.status) != (request.subscription_id, request.status):
        return False
    return not (request.unreplayed and row.replayed_by is not None)


def _replayed(connection: Connection, scope: Scope, rows: list[Row[Any]]) -> tuple[list[str], int]:
    """Replays of deliveries of one subscription: their ids, and how many are open."""
    context, now = scope.context, scope.context.now()
    subscription = alive(connection, scope, rows[0].subscription_id)
    schedule = context.settings.schedule
    batch = Batch(scope.organisation_id, DeliveryKind.REPLAY, len(schedule), now, now, context.notify)
    fresh = context.new_ids(ids.DELIVERY, now, len(rows))
    make = partial(replays.make, held=subscription.status != "active")
    return fresh, make(connection, batch, rows, fresh, context.settings.held_bound)


def _as_filter(request: BulkReplayRequest) -> DeliveryFilter:
    if request.status not in {DeliveryStatus.DEAD, DeliveryStatus.FAILED}:
        raise ApiError("invalid_field_value", "what is replayed in bulk is dead or failed", param="status")
    if request.ids is not None and (request.event_type or request.created_after or request.created_before):
        raise ApiError("invalid_field_value", "goes without event_type, created_after and created_before", param="ids")
    return DeliveryFilter(
        subscription_id=request.subscription_id,
        status=request.status,
        event_type=request.event_type,
        unreplayed=request.unreplayed,
        created_after=request.created_after,
        created_before=request.created_before,
    )


def _checked_id(delivery_id: str) -> str:
    if not ids.is_id(ids.DELIVERY, delivery_id):
        raise _no_delivery()
    return delivery_id


def where_of(scope: Scope, said: DeliveryFilter, position: str | None) -> store.Where:
    if said.event_type is not None and not is_type(said.event_type):
        raise ApiError("unknown_event_type", "there is no such event type", param="event_type")
    before = None if said.created_before is None else store.first_id(ceil_ms(said.created_before))
    return store.Where(
        scope.organisation_id,
        said.subscription_id,
        said.status,
        said.event_type,
        said.event_id,
        said.kind,
        said.unreplayed,
        None if said.created_after is None else store.first_id(floor_ms(said.created_after) + 1),
        min([one for one in (before, position) if one is not None], default=None),
    )


def _subscription(connection: Connection, scope: Scope, subscription_id: str) -> Row[Any]:
    is_id = ids.is_id(ids.SUBSCRIPTION, subscription_id)
    found = holding.subscription(connection, scope.organisation_id, subscription_id) if is_id else None
    if found is None:
        raise _no_subscription()
    return found


def alive(connection: Connection, scope: Scope, subscription_id: str) -> Row[Any]:
    """The row of a subscription of theirs. Raises ApiError `resource_not_found`, `subscription_deleted`."""
    found = _subscription(connection, scope, subscription_id)
    if found.deleted_at is not None:
        raise ApiError("subscription_deleted", "its subscription was deleted: there is nobody to send it to")
    return found


def _no_subscription() -> ApiError:
    return ApiError("resource_not_found", "there is no such subscription", param="subscription_id")


def _no_delivery() -> ApiError:
    return ApiError("resource_not_found", "there is no such delivery")


def delivery_of(row: Row[Any], attempts: tuple[Attempt, ...] | None = None) -> Delivery:
    """The resource in a row of `store.deliveries`. What is held, or has ended, has no next attempt."""
    is_due = row.is_attempted and row.status in OPEN
    return Delivery(
        id=row.id,
        subscription_id=row.subscription_id,
        event_id=row.event_id,
        event_type=row.event_type,
        source=row.source,
        kind=DeliveryKind(row.kind),
        status=DeliveryStatus(row.status),
        dead_reason=row.dead_reason,
        attempt_count=row.attempt_count,
        max_attempts=row.max_attempts,
        next_attempt_at=moment_or_none(row.next_attempt_at) if is_due else None,
        last_attempt_at=moment_or_none(row.last_attempt_at),
        response_status=row.response_status,
        last_error=row.last_error,
        created_at=moment(row.created_at),
        finished_at=moment_or_none(row.finished_at),
        replayed_from=row.replayed_from,
        replayed_by=row.replayed_by,
        attempts=attempts,
    )
