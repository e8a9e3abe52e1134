"""Why a delivery is in its state, and what happens next: a sentence each. Contract section 4."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from kirimhook.contract.resources import Delivery, DeliveryStatus, SubscriptionStatus
from kirimhook.contract.retry import JITTER
from kirimhook.pages.moments import duration
from kirimhook.sender.model import OPEN, DeadReason, DisabledReason
from kirimhook.sender.service import Looked, Place, Target

Sentence = tuple[str | datetime, ...]
"""Words, and moments between them, which a page shows as it shows all moments."""

ASKED = "(Retry-After)."
"""How the account of an attempt ends (`Attempt.why_next`) whose endpoint said when to come again."""

_DISABLED = {
    DisabledReason.MANUAL: "its subscription is disabled",
    DisabledReason.CONSECUTIVE_FAILURES: "its subscription was disabled after too many dead letters in a row",
    DisabledReason.GONE: "its subscription was disabled, since the endpoint answered 410",
}
_DEAD = {
    DeadReason.ATTEMPTS_EXHAUSTED: "All {count} attempts failed; the last one: {error}.",
    DeadReason.REJECTED: "Attempt {count} was {error}, and another attempt would be answered the same.",
    DeadReason.GONE: "Attempt {count} was answered 410: the endpoint wants nothing any more.",
    DeadReason.HELD_FULL: "Its subscription was disabled, and held as many deliveries as it may.",
    DeadReason.DISCARDED: "It was held while its subscription was disabled, and discarded when that was enabled again.",
    DeadReason.SUBSCRIPTION_DELETED: "Its subscription was deleted before it had been delivered.",
    DeadReason.EXPIRED: "It was still open when the time was over for which deliveries are kept.",
}
_HELD = "It is held until its subscription is enabled: then it is delivered behind live traffic, or discarded."


def why(looked: Looked) -> Sentence:
    """Why it is in the state that it is in."""
    delivery = looked.delivery
    if delivery.status is DeliveryStatus.DEAD:
        words = _DEAD[DeadReason(delivery.dead_reason or "")]
        return (words.format(count=delivery.attempt_count, error=_error(delivery)),)
    if delivery.status is DeliveryStatus.SUCCEEDED:
        return (f"The endpoint answered {delivery.response_status} to {_attempt(delivery, 0)}.",)
    held = "" if _is_attempted(looked.target) else _not_attempted(looked.target)
    if delivery.status is DeliveryStatus.PENDING:
        return (f"There was no attempt yet: {held}." if held else "There was no attempt yet.",)
    return (f"{_capital(_attempt(delivery, 0))} failed: {_error(delivery)}{held and f'; and {held}'}.",)


def following(looked: Looked, schedule: Sequence[float], now: datetime) -> Sentence:
    """What happens next, and when. `schedule`: seconds before each attempt."""
    if looked.delivery.status not in OPEN:
        return (_after_the_end(looked),)
    if looked.target.is_deleted:
        return ("It becomes a dead letter soon, without another attempt.",)
    if not _is_attempted(looked.target):
        return (_HELD,)
    attempt = _capital(_attempt(looked.delivery, 1))
    if looked.place is None:
        return ("Its attempt has just ended.",)
    due_at = looked.place.due_at
    if looked.place.is_taken:
        if due_at > now:
            return (f"{attempt} is under way, or about to begin.",)
        return (f"{attempt} is due again, ", due_at, ": the one that had begun was broken off.")
    if due_at > now:
        return (f"{attempt} comes ", due_at, f": {_because(looked.delivery, looked.place, schedule)}.")
    behind = " behind live traffic" if looked.place.is_behind else ""
    return (f"{attempt} was due ", due_at, f": it waits for its turn{behind}.")


def _after_the_end(looked: Looked) -> str:
    delivery = looked.delivery
    if looked.target.is_deleted:
        return "Nothing: its subscription was deleted, so there is nobody to send it to."
    if looked.is_erased:
        return "Nothing: what its event held was erased, so there is nothing to send."
    if delivery.replayed_by is not None:
        return "No attempt follows: it was replayed."
    if delivery.status is DeliveryStatus.SUCCEEDED:
        return "No attempt follows: it is done. A replay would send the same event once more."
    if not _is_attempted(looked.target):
        return f"No attempt follows, unless it is replayed; and a replay is held, as {_not_attempted(looked.target)}."
    return "No attempt follows, unless it is replayed."


def _because(delivery: Delivery, place: Place, schedule: Sequence[float]) -> str:
    """Why the next attempt comes when it comes."""
    if delivery.next_attempt_at is None or place.due_at > delivery.next_attempt_at:
        return "it was put off, since it could not be signed"
    last = delivery.attempts[-1] if delivery.attempts else None
    if last is None:
        return "that is when it was due from the start"
    if last.why_next.endswith(ASKED):
        return "the endpoint asked for that (Retry-After)"
    step = min(last.number + 1, len(schedule))  # a delivery can be older than a schedule that was shortened
    return f"the schedule has {duration(schedule[step - 1])} before it, ±{JITTER:.0%} at random".replace("%", " %")


def _attempt(delivery: Delivery, beyond: int) -> str:
    return f"attempt {(delivery.attempt_count or 0) + beyond} of {delivery.max_attempts}"


def _is_attempted(target: Target) -> bool:
    return not target.is_deleted and target.status is SubscriptionStatus.ACTIVE


def _not_attempted(target: Target) -> str:
    if target.is_deleted:
        return "its subscription was deleted"
    return _DISABLED[DisabledReason(target.disabled_reason or DisabledReason.MANUAL)]


def _error(delivery: Delivery) -> str:
    return delivery.last_error or "it is not known why"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
