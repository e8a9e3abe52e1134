"""What can be asked of deliveries. Contract section 5. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from kirimhook.client import answers, calls
from kirimhook.client.answers import Page
from kirimhook.client.calls import Call
from kirimhook.contract.resources import BulkReplay, Delivery, DeliveryKind, DeliveryStatus, ReplayReceipt

Status = DeliveryStatus | Literal["pending", "failed", "succeeded", "dead"]
Kind = DeliveryKind | Literal["original", "replay", "test"]

_ALL = "/webhook_deliveries"


def every(  # noqa: PLR0913  # the filters of the contract, by name
    *,
    subscription_id: str | None = None,
    status: Status | None = None,
    event_type: str | None = None,
    event_id: str | None = None,
    kind: Kind | None = None,
    unreplayed: bool | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Call[Page[Delivery]]:
    """Deliveries, the newest first. `status="dead"`: the dead letters.

    Moments are aware and excluded themselves. `limit`: how many a page, 1 to 100. `cursor`: `next_cursor` of a page,
    to go on after it with the same filters.
    """
    return calls.get(
        _ALL,
        answers.page(Delivery),
        subscription_id=subscription_id,
        status=status,
        event_type=event_type,
        event_id=event_id,
        kind=kind,
        unreplayed=unreplayed,
        created_after=created_after,
        created_before=created_before,
        limit=limit,
        cursor=cursor,
    )


def get(delivery_id: str) -> Call[Delivery]:
    """One delivery, with its attempts."""
    return calls.get(_one(delivery_id), answers.one(Delivery))


def replay(delivery_id: str, *, idempotency_key: str | None = None) -> Call[ReplayReceipt]:
    """Send its event once more, as a fresh delivery."""
    return calls.post(f"{_one(delivery_id)}/replay", answers.one(ReplayReceipt), None, idempotency_key)


def bulk_replay(  # noqa: PLR0913  # the filters of the contract, by name
    *,
    subscription_id: str,
    status: Literal["dead", "failed"] = "dead",
    event_type: str | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    unreplayed: bool | None = None,
    ids: Sequence[str] | None = None,
    idempotency_key: str | None = None,
) -> Call[BulkReplay]:
    """Send many of one subscription once more, at most 1000 a call, the oldest first.

    `ids`: these and no others; goes with `status` alone, and only where the API's document has it.
    """
    body = {
        "subscription_id": subscription_id,
        "status": status,
        "event_type": event_type,
        "created_after": created_after,
        "created_before": created_before,
        "unreplayed": unreplayed,
        "ids": None if ids is None else list(ids),
    }
    return calls.post(f"{_ALL}/bulk_replay", answers.one(BulkReplay), body, idempotency_key)


def _one(delivery_id: str) -> str:
    return f"{_ALL}/{calls.segment(delivery_id)}"
