"""A test delivery: a documented sample with `livemode` false, to one subscription. Contract section 5."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from kirimhook.contract import events as wire
from kirimhook.contract import ids, samples
from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import Delivery, DeliveryKind, SubscriptionStatus
from kirimhook.sender.service import letters
from kirimhook.sender.service.context import Context
from kirimhook.sender.service.publishing import deliver
from kirimhook.sender.service.scope import Scope
from kirimhook.sender.service.secrets import not_found
from kirimhook.sender.store import deliveries, events, fan_out, locks, subscriptions
from kirimhook.sender.store.events import EventRow

DEFAULT_TYPE = "contact.created"


async def send(scope: Scope, subscription_id: str, event_type: str | None) -> Delivery:
    """Whatever the subscription wants. Always kirim's envelope: a meta body could not say that it is a test.

    Raises ApiError `resource_not_found`, `unknown_event_type`.
    """
    context = scope.context
    wanted = event_type or DEFAULT_TYPE
    if wanted not in context.settings.catalogue:
        known = ", ".join(context.settings.catalogue)
        raise ApiError("unknown_event_type", f"there is no such event type; there are: {known}", param="event")
    if not ids.is_id(ids.SUBSCRIPTION, subscription_id):
        raise not_found("subscription")

    def operation(connection: Connection) -> Delivery:
        locks.share(connection, [scope.organisation_id])
        found = subscriptions.get(connection, scope.organisation_id, subscription_id)
        if found is None:
            raise not_found("subscription")
        row = _row(context, scope.organisation_id, wanted)
        events.add(connection, [row])
        match = fan_out.Match(subscription_id, found.status == SubscriptionStatus.DISABLED)
        event = fan_out.Event(row.id, row.event_id, row.type, row.source)
        one = [fan_out.Wanted(event, match)]
        (made,) = deliver(connection, context, scope.organisation_id, one, now=row.created_at, kind=DeliveryKind.TEST)
        stored = deliveries.one(connection, scope.organisation_id, made)
        if stored is None:
            raise RuntimeError("a delivery that was just stored is not there")
        return letters.delivery_of(stored)

    delivery = await scope.write(operation)
    context.published()
    return delivery


def _row(context: Context, organisation_id: str, event_type: str) -> EventRow:
    now = context.now()
    event_id = context.new_id(ids.EVENT, now)
    moment = datetime.fromtimestamp(now / 1000, UTC)
    body = wire.envelope(event_id, event_type, moment, _sample(event_type), livemode=False)
    key = wire.dedupe_key(wire.KIRIM, event_id, event_type, body)
    row_id = context.new_id("", now)
    return EventRow(row_id, organisation_id, key, event_id, event_type, wire.KIRIM, body, len(body), 0, now)


def _sample(event_type: str) -> dict[str, Any]:
    """The data of the documented sample, a meta body as it is; nothing for a type of the team's own."""
    try:
        sample = samples.load(event_type)
    except LookupError:
        return {}
    payload: dict[str, Any] = json.loads(sample.body)
    return payload["data"] if sample.source == wire.KIRIM else payload
