"""What a sender keeps, and the table of what can become of a delivery. Contract section 4.

Times are milliseconds since the epoch.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from kirimhook.contract.resources import DeliveryKind, DeliveryStatus, SubscriptionStatus
from kirimhook.contract.signature import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "OPEN",
    "RUN_TRANSITIONS",
    "TRANSITIONS",
    "DeadReason",
    "DeliveryKind",
    "DeliveryStatus",
    "DisabledReason",
    "Held",
    "IllegalMove",
    "Move",
    "NewEvent",
    "Rank",
    "RunMove",
    "RunStatus",
    "SigningSecret",
    "SubscriptionStatus",
    "after",
    "in_force",
]


class DisabledReason(StrEnum):
    """Why a subscription is disabled."""

    MANUAL = "manual"
    CONSECUTIVE_FAILURES = "consecutive_failures"
    GONE = "gone"


class DeadReason(StrEnum):
    """Why a delivery is a dead letter."""

    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    REJECTED = "rejected"
    """A 4xx that another attempt would get again."""
    GONE = "gone"
    HELD_FULL = "held_full"
    """Its subscription was disabled, and held as many as it may."""
    DISCARDED = "discarded"
    """Held, and given up when its subscription was enabled again."""
    SUBSCRIPTION_DELETED = "subscription_deleted"
    EXPIRED = "expired"
    """Still open at the end of its retention."""


class Held(StrEnum):
    """What becomes of the held deliveries of a subscription that is enabled again."""

    DELIVER = "deliver"
    DISCARD = "discard"


class Move(StrEnum):
    """What can happen to a delivery."""

    SUCCEED = "succeed"
    """A 2xx."""
    FAIL = "fail"
    """An attempt failed, and another is due."""
    GIVE_UP = "give up"
    """An attempt failed, and none follows."""
    DROP = "drop"
    """Without an attempt: held too many, discarded, deleted, expired."""


TRANSITIONS: dict[tuple[DeliveryStatus, Move], DeliveryStatus] = {
    (DeliveryStatus.PENDING, Move.SUCCEED): DeliveryStatus.SUCCEEDED,
    (DeliveryStatus.PENDING, Move.FAIL): DeliveryStatus.FAILED,
    (DeliveryStatus.PENDING, Move.GIVE_UP): DeliveryStatus.DEAD,
    (DeliveryStatus.PENDING, Move.DROP): DeliveryStatus.DEAD,
    (DeliveryStatus.FAILED, Move.SUCCEED): DeliveryStatus.SUCCEEDED,
    (DeliveryStatus.FAILED, Move.FAIL): DeliveryStatus.FAILED,
    (DeliveryStatus.FAILED, Move.GIVE_UP): DeliveryStatus.DEAD,
    (DeliveryStatus.FAILED, Move.DROP): DeliveryStatus.DEAD,
}

OPEN = frozenset(status for status, _ in TRANSITIONS)
"""The statuses that a delivery can still leave. Every open delivery has a row in the queue, and no other has."""


class IllegalMove(Exception):
    """A move that `TRANSITIONS` does not have."""


def after(status: DeliveryStatus, move: Move) -> DeliveryStatus:
    """The status that `move` leads to. Raises `IllegalMove`."""
    try:
        return TRANSITIONS[status, move]
    except KeyError:
        raise IllegalMove(f"a delivery that is {status} cannot {move}") from None


class Rank(IntEnum):
    """Which deliveries of one subscription go first: live traffic, then what was held or asked for in bulk."""

    LIVE = 0
    BACKGROUND = 1


class RunStatus(StrEnum):
    """Of a replay of all that match (`replay_runs`)."""

    RUNNING = "running"
    DONE = "done"
    """It came to the end of what matches."""
    STOPPED = "stopped"
    """By its organisation; what it had put in the queue stays there."""


class RunMove(StrEnum):
    """What can happen to a run."""

    STEP = "step"
    FINISH = "finish"
    STOP = "stop"


RUN_TRANSITIONS: dict[tuple[RunStatus, RunMove], RunStatus] = {
    (RunStatus.RUNNING, RunMove.STEP): RunStatus.RUNNING,
    (RunStatus.RUNNING, RunMove.FINISH): RunStatus.DONE,
    (RunStatus.RUNNING, RunMove.STOP): RunStatus.STOPPED,
}


class NewEvent(NamedTuple):
    """An event to publish, its body as it will travel."""

    source: str
    """`meta` or `kirim`."""
    event_id: str
    type: str
    body: bytes
    livemode: bool = True


class SigningSecret(NamedTuple):
    """A secret in force, opened."""

    id: str
    secret: Secret
    expires_at: int | None


class Expiring(Protocol):
    """A secret, as far as it can expire."""

    @property
    def id(self) -> str: ...

    @property
    def expires_at(self) -> int | None: ...


Expires = TypeVar("Expires", bound=Expiring)


def in_force(secrets: Iterable[Expires], now: int) -> list[Expires]:
    """The secrets that sign at `now` (ms), oldest first.

    Those that have not expired; where all have, the one that expired last: a subscription never goes unsigned.
    """
    known = sorted(secrets, key=lambda secret: secret.id)
    active = [secret for secret in known if secret.expires_at is None or secret.expires_at > now]
    return active or (known[-1:] and [max(known, key=lambda secret: (secret.expires_at or 0, secret.id))])
