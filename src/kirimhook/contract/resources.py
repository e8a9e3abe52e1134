"""The resources of the REST API: what it answers and what the client reads are one type. Contract section 5.

Moments are aware datetimes in UTC. None is what travels as null, or, for a field with a default, as nothing.
A field named in `OURS` is None only where it was read from another API, which does not say it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from kirimhook.contract.codec import MalformedError, Resource
from kirimhook.contract.ids import DeliveryId, SecretId, SubscriptionId
from kirimhook.contract.signature import Secret

__all__ = [
    "Attempt",
    "BulkReplay",
    "Delivery",
    "DeliveryKind",
    "DeliveryStatus",
    "EventReceipt",
    "MalformedError",
    "NewSecret",
    "ReplayReceipt",
    "SecretInfo",
    "Subscription",
    "SubscriptionStatus",
    "Timing",
    "envelope",
    "list_envelope",
]


class SubscriptionStatus(StrEnum):
    """Whether deliveries are attempted (active) or held (disabled)."""

    ACTIVE = "active"
    DISABLED = "disabled"


class DeliveryStatus(StrEnum):
    """Never tried; another attempt is due; and the two that are final."""

    PENDING = "pending"
    FAILED = "failed"
    SUCCEEDED = "succeeded"
    DEAD = "dead"


class DeliveryKind(StrEnum):
    """Why a delivery exists."""

    ORIGINAL = "original"
    REPLAY = "replay"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class SecretInfo(Resource):
    """A signing secret as it is listed: never its value."""

    id: SecretId
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewSecret(Resource):
    """A signing secret just made, with its value, this once."""

    OBJECT: ClassVar[str] = "webhook_secret"

    id: SecretId
    created_at: datetime
    expires_at: datetime | None
    secret: Secret


@dataclass(frozen=True, slots=True)
class Subscription(Resource):
    """Who wants which events, and where. `initial_secret` is there once: in the answer that created it."""

    OBJECT: ClassVar[str] = "webhook_subscription"
    OURS: ClassVar[frozenset[str]] = frozenset(("created_at",))

    id: SubscriptionId
    url: str
    description: str | None
    status: SubscriptionStatus
    disabled_reason: str | None
    events: tuple[str, ...]
    secrets: tuple[SecretInfo, ...]
    created_at: datetime | None
    initial_secret: Secret | None = None


@dataclass(frozen=True, slots=True)
class Timing(Resource):
    """Milliseconds each part of an attempt took; None for a part it did not reach or did not need."""

    dns: float | None
    connect: float | None
    tls: float | None
    first_byte: float | None


@dataclass(frozen=True, slots=True)
class Attempt(Resource):
    """One request of a delivery and what came back: at most 4 KiB of the body, signatures masked."""

    number: int
    started_at: datetime
    duration_ms: float
    timing: Timing
    address: str | None
    request_headers: dict[str, str]
    response_status: int | None
    response_headers: dict[str, str]
    response_body: str | None
    error: str | None
    next_attempt_at: datetime | None
    why_next: str


@dataclass(frozen=True, slots=True)
class Delivery(Resource):
    """One event on its way to one subscription. `attempts` are there where it is asked for alone."""

    OBJECT: ClassVar[str] = "webhook_delivery"
    OURS: ClassVar[frozenset[str]] = frozenset(("source", "kind", "attempt_count", "max_attempts"))

    id: DeliveryId
    subscription_id: SubscriptionId
    event_id: str
    event_type: str
    source: str | None
    kind: DeliveryKind | None
    status: DeliveryStatus
    dead_reason: str | None
    attempt_count: int | None
    max_attempts: int | None
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    response_status: int | None
    last_error: str | None
    created_at: datetime
    finished_at: datetime | None
    replayed_from: DeliveryId | None
    replayed_by: DeliveryId | None
    attempts: tuple[Attempt, ...] | None = None


@dataclass(frozen=True, slots=True)
class ReplayReceipt(Resource):
    """A delivery asked for again: `id` is the fresh row, `replayed_from` the one that stays for audit."""

    OBJECT: ClassVar[str] = "webhook_delivery"

    id: DeliveryId
    replayed_from: DeliveryId
    status: DeliveryStatus


@dataclass(frozen=True, slots=True)
class BulkReplay(Resource):
    """How many were asked for again, whether there are more, and when the last of them was created."""

    enqueued: int
    capped: bool
    last_created_at: datetime | None


@dataclass(frozen=True, slots=True)
class EventReceipt(Resource):
    """A published event, by the id it came with or was given, and how many deliveries it made."""

    OBJECT: ClassVar[str] = "event"

    id: str
    deliveries: int
    duplicate: bool


def envelope(resource: Resource, request_id: str) -> dict[str, Any]:
    """The body that answers with one resource."""
    return {"data": resource.to_json(), "request_id": request_id}


def list_envelope(resources: list[Resource], next_cursor: str | None, request_id: str) -> dict[str, Any]:
    """The body that answers with one page; there are more pages exactly where there is a cursor."""
    return {
        "data": [resource.to_json() for resource in resources],
        "has_more": next_cursor is not None,
        "next_cursor": next_cursor,
        "request_id": request_id,
    }
