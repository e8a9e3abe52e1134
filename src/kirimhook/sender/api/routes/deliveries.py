"""Deliveries: what became of each, and once more."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body, Query, Response

from kirimhook.contract.resources import DeliveryKind, DeliveryStatus
from kirimhook.sender.api.parameters import Admitted, CursorQuery, DeliveryPath, LimitQuery
from kirimhook.sender.api.requests import (
    DEFAULT_PAGE,
    BulkReplayOptions,
    Flag,
    Moment,
    NoOptions,
    SoughtEventId,
    SoughtType,
    SubscriptionId,
)
from kirimhook.sender.service import BulkReplayRequest, DeliveryFilter


async def list_deliveries(  # noqa: PLR0913  # the filters of the contract
    call: Admitted,
    subscription_id: Annotated[SubscriptionId | None, Query()] = None,
    status: Annotated[DeliveryStatus | None, Query()] = None,
    event_type: Annotated[SoughtType | None, Query()] = None,
    event_id: Annotated[SoughtEventId | None, Query()] = None,
    kind: Annotated[DeliveryKind | None, Query()] = None,
    unreplayed: Annotated[Flag, Query(description="Only those that have not been replayed.")] = False,
    created_after: Annotated[Moment | None, Query(description="Later than this moment.")] = None,
    created_before: Annotated[Moment | None, Query(description="Earlier than this moment.")] = None,
    limit: LimitQuery = DEFAULT_PAGE,
    cursor: CursorQuery = None,
) -> Response:
    """List deliveries, the newest first. `status=dead` is the dead-letter queue."""
    where = DeliveryFilter(
        subscription_id, status, event_type, event_id, kind, unreplayed, created_after, created_before
    )
    return call.page(await call.tenant.deliveries(where, limit, cursor))


async def get_delivery(call: Admitted, delivery_id: DeliveryPath) -> Response:
    """Get one delivery, with every attempt: what was sent, what came back, and what follows."""
    return call.answer(await call.tenant.delivery(delivery_id))


async def replay_delivery(
    call: Admitted, delivery_id: DeliveryPath, _options: Annotated[NoOptions | None, Body()] = None
) -> Response:
    """Send an event once more, as a fresh delivery. The original stays as it is, for audit."""
    return call.answer(await call.once(202).replay(delivery_id), 202)


async def bulk_replay(call: Admitted, options: BulkReplayOptions) -> Response:
    """Send many dead (or failed) deliveries of one subscription once more, behind its live traffic.

    At most 1000 a call, the oldest first: where `capped` is true, go on with `created_after` set to
    `last_created_at`, and `unreplayed`. With `ids`, these and no others: list them first, and each is replayed once,
    whatever happens meanwhile.
    """
    request = BulkReplayRequest(
        options.subscription_id,
        DeliveryStatus(options.status),
        options.event_type,
        options.created_after,
        options.created_before,
        options.unreplayed,
        options.ids,
    )
    return call.answer(await call.once(202).bulk_replay(request), 202)
