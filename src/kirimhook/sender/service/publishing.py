"""Publish: events, and one delivery of each for every subscription that wants it, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from kirimhook.contract import events as wire
from kirimhook.contract import headers, ids
from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import DeliveryKind, EventReceipt
from kirimhook.sender.model import NewEvent
from kirimhook.sender.service.calls import MAX_BATCH, KirimEvent, Publishable
from kirimhook.sender.service.context import Context
from kirimhook.sender.service.scope import Scope
from kirimhook.sender.store import events, fan_out, locks
from kirimhook.sender.store.batches import plan_by_index
from kirimhook.sender.store.events import EventRow
from kirimhook.sender.store.fan_out import Event, Wanted


async def publish(
    scope: Scope, events: Sequence[Publishable], connection: AsyncConnection | Connection | None = None
) -> list[EventReceipt]:
    """Contract section 5. Raises ApiError, and then nothing was stored."""
    if not 0 < len(events) <= MAX_BATCH:
        raise ApiError("invalid_field_value", f"publish 1 to {MAX_BATCH} events at once", param="events")
    prepared = [_prepared(scope.context, event, _Place(number, len(events))) for number, event in enumerate(events)]

    def operation(transaction: Connection) -> list[EventReceipt]:
        return _published(transaction, scope.context, scope.organisation_id, prepared)

    def alone(transaction: Connection) -> list[EventReceipt]:
        plan_by_index(transaction)  # in the caller's own transaction the plans are the caller's business
        return operation(transaction)

    if connection is not None:
        return await scope.context.database.within(connection, operation)
    receipts = await scope.write(alone)
    scope.context.published()
    return receipts


class _Place(NamedTuple):
    """Which of how many, for `param`."""

    number: int
    of: int

    def error(self, code: str, field: str, message: str) -> ApiError:
        return ApiError(code, message, param=field if self.of == 1 else f"events.{self.number}.{field}")


def _prepared(context: Context, event: Publishable, place: _Place) -> NewEvent:
    if event.type not in context.settings.catalogue:
        known = ", ".join(context.settings.catalogue)
        raise place.error("unknown_event_type", "type", f"there is no such event type; there are: {known}")
    made = _enveloped(context, event, place) if isinstance(event, KirimEvent) else event
    if made.source not in {wire.META, wire.KIRIM}:
        raise place.error("invalid_field_value", "source", "the source is meta or kirim")
    if not _is_id(made.event_id):
        raise place.error("invalid_field_value", "id", "an event id is 1 to 512 characters of printable ASCII")
    if len(made.body) > context.settings.max_event:
        raise place.error("payload_too_large", "data", f"a body has at most {context.settings.max_event} bytes")
    return made


def _is_id(text: str) -> bool:
    """Whether a header can carry it as it is."""
    plain = text.isascii() and text.isprintable() and text == text.strip(" ")
    return plain and 0 < len(text) <= headers.MAX_VALUE_BYTES


def _enveloped(context: Context, event: KirimEvent, place: _Place) -> NewEvent:
    now = context.now()
    event_id = context.new_id(ids.EVENT, now) if event.id is None else event.id
    try:
        body = wire.envelope(event_id, event.type, datetime.fromtimestamp(now / 1000, UTC), event.data)
    except (ValueError, TypeError, RecursionError):
        raise place.error("invalid_field_value", "data", "the data cannot be written as JSON") from None
    return NewEvent(wire.KIRIM, event_id, event.type, body)


def _published(
    connection: Connection, context: Context, organisation_id: str, prepared: Sequence[NewEvent]
) -> list[EventReceipt]:
    events.begin(connection)
    locks.share(connection, [organisation_id])
    matches = fan_out.matching(connection, organisation_id, [event.type for event in prepared])
    if not any(matches.values()) and not events.organisation_exists(connection, organisation_id):
        raise ApiError("resource_not_found", "there is no such organisation")
    now = context.now()
    rows = _rows(context, organisation_id, prepared, matches, now)
    known = events.add(connection, list({row.dedupe_key: row for row in reversed(rows)}.values()))
    fresh = [row for row in rows if known[row.dedupe_key].id == row.id]
    wanted = [
        Wanted(event, match)
        for event in [Event(row.id, row.event_id, row.type, row.source) for row in fresh]
        for match in matches[event.type]
    ]
    deliver(connection, context, organisation_id, wanted, now=now)
    return [
        EventReceipt(row.event_id, known[row.dedupe_key].matches, known[row.dedupe_key].id != row.id) for row in rows
    ]


def _rows(
    context: Context,
    organisation_id: str,
    prepared: Sequence[NewEvent],
    matches: dict[str, list[fan_out.Match]],
    now: int,
) -> list[EventRow]:
    return [
        EventRow(
            id_,
            organisation_id,
            wire.dedupe_key(event.source, event.event_id, event.type, event.body),
            event.event_id,
            event.type,
            event.source,
            event.body,
            len(event.body),
            len(matches[event.type]),
            now,
        )
        for id_, event in zip(context.new_ids("", now, len(prepared)), prepared, strict=True)
    ]


def deliver(
    connection: Connection,
    context: Context,
    organisation_id: str,
    wanted: Sequence[Wanted],
    *,
    now: int,
    kind: DeliveryKind = DeliveryKind.ORIGINAL,
) -> list[str]:
    """Open these deliveries, or hold them where their subscription is disabled; their ids. Needs the shared lock."""
    schedule = context.settings.schedule
    due_at = now + int(schedule[0] * 1000)
    batch = fan_out.Batch(organisation_id, kind, len(schedule), now, due_at, context.notify)
    made = context.new_ids(ids.DELIVERY, now, len(wanted))
    rooms = fan_out.hold(connection, wanted, context.settings.held_bound)
    fan_out.add(connection, batch, wanted, made, rooms)
    return made
