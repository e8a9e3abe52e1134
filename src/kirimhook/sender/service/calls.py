"""What the use cases take and give, beside the resources of the contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from kirimhook.contract.codec import Resource
from kirimhook.contract.resources import DeliveryKind, DeliveryStatus, SubscriptionStatus
from kirimhook.contract.signature import Secret
from kirimhook.sender.model import Held, NewEvent

Item = TypeVar("Item")

DEFAULT_LIMIT = 25
MAX_LIMIT = 100
MAX_BATCH = 100
"""Events of one publish."""


class Page(NamedTuple, Generic[Item]):
    """Newest first. `next_cursor` is None on the last page."""

    items: list[Item]
    next_cursor: str | None


class KirimEvent(NamedTuple):
    """An event to publish as its data; its body is made of it. Without an id it is given one."""

    type: str
    data: dict[str, Any]
    id: str | None = None


Publishable = KirimEvent | NewEvent
"""What is published: data, or a body that travels byte for byte."""


class Once(NamedTuple):
    """The Idempotency-Key that a call came with, and how its answer is written down."""

    key: str
    fingerprint: bytes
    """Of method, path and canonical body."""
    status: int
    """HTTP status of the answer, where the call succeeds."""
    render: Callable[[Any], bytes]
    """The answer's body for what the call gives: a resource, or a list of receipts. Called in the transaction, from
    any thread."""


class AlreadyAnswered(Exception):
    """The call was made before, under the same key: this is what it was answered. Not an error."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__("answered before")
        self.status = status
        self.body = body


class Changes(NamedTuple):
    """What a PATCH changes; None leaves it. An empty `description` removes it.

    `held` says what becomes of the held deliveries where `status` enables.
    """

    url: str | None = None
    description: str | None = None
    events: Sequence[str] | None = None
    status: SubscriptionStatus | None = None
    held: Held | None = None


class DeliveryFilter(NamedTuple):
    """Which deliveries; None means any. Created after the one moment and before the other, both exclusive."""

    subscription_id: str | None = None
    status: DeliveryStatus | None = None
    event_type: str | None = None
    event_id: str | None = None
    kind: DeliveryKind | None = None
    unreplayed: bool = False
    created_after: datetime | None = None
    created_before: datetime | None = None


class BulkReplayRequest(NamedTuple):
    """What to replay: `dead` or `failed` deliveries of one subscription, the oldest first.

    `ids` names them one by one, without a type or a window; one that is not there, is another subscription's, or has
    another status by now is left out.
    """

    subscription_id: str
    status: DeliveryStatus = DeliveryStatus.DEAD
    event_type: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    unreplayed: bool = False
    ids: Sequence[str] | None = None


class Caller(NamedTuple):
    """Whose key it was."""

    organisation_id: str
    name: str
    """Of the organisation."""
    key_id: str


@dataclass(frozen=True, slots=True)
class KeyInfo(Resource):
    """An API key as it is listed: its first 12 and last 4 characters."""

    OBJECT: ClassVar[str] = "api_key"

    id: str
    first: str
    last: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewKey(Resource):
    """An API key just made, in plain, this once."""

    OBJECT: ClassVar[str] = "api_key"

    id: str
    organisation_id: str
    key: Secret
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Me(Resource):
    """Who asks: the organisation, and the key that was used."""

    OBJECT: ClassVar[str] = "organisation"

    id: str
    name: str
    created_at: datetime
    key: KeyInfo


class Rekeyed(NamedTuple):
    """How many were sealed anew under the first master key."""

    secrets: int
    answers: int
