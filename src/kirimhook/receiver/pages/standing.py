"""Where a stored event stands, and what happens next: a sentence each. The states are those of `receiver.model`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from kirimhook.pages.moments import duration_ms
from kirimhook.receiver.model import TRANSITIONS, EventState, Move, StoredEvent

NO_BODY = "Its body is gone (past its retention, or erased), so it cannot be put back."
PAUSED = "Handing out is paused: nothing happens until it is resumed."


class Standing(NamedTuple):
    is_now: str
    then: str
    can_be_put_back: bool


def standing(stored: StoredEvent, now: int, *, paused: bool, details: bool) -> Standing:
    """`now` is milliseconds since the epoch. `details`: the inbox knows how a done event ended."""
    is_now, then = _SENTENCES[stored.state](stored, now, details)
    may = (stored.state, Move.PUT_BACK) in TRANSITIONS
    if stored.state is EventState.WAITING and paused:
        then = PAUSED
    if may and not stored.has_payload:
        then = f"{then} {NO_BODY}"
    return Standing(is_now, then, may and stored.has_payload)


def last_line(reason: str | None) -> str:
    """Of a traceback: the exception. "" where there is no reason."""
    return (reason or "").strip().rpartition("\n")[2].strip()


def _waiting(stored: StoredEvent, now: int, details: bool) -> tuple[str, str]:  # noqa: ARG001  # of one shape
    if stored.due_at is None:
        return (
            "Waiting behind an earlier event of its ordering key.",
            "A worker takes it when that one has ended: events of one key are handled in their order.",
        )
    so_far = f", after {_attempts(stored.attempts)}" if stored.attempts else ""
    failed = "; the last one failed" if stored.attempts and stored.reason else ""
    if stored.due_at <= now:
        return f"Waiting for a worker{so_far}{failed}.", "A worker takes it as soon as one is free."
    return (
        f"Waiting until it is due{so_far}{failed}.",
        f"Attempt {stored.attempts + 1} is due in {duration_ms(stored.due_at - now)}.",
    )


def _running(stored: StoredEvent, now: int, details: bool) -> tuple[str, str]:  # noqa: ARG001  # of one shape
    left = "" if stored.due_at is None else f" in {duration_ms(max(0, stored.due_at - now))}"
    return (
        f"Leased to a worker: attempt {stored.attempts + 1} is under way, or about to be.",
        f"It ends with its handler. If the worker dies, it is due again when its lease runs out{left}.",
    )


def _done(stored: StoredEvent, now: int, details: bool) -> tuple[str, str]:  # noqa: ARG001  # of one shape
    after = f" with attempt {stored.attempts}" if details and stored.attempts else ""
    return (
        f"Handled{after}.",
        "Nothing: its record stays, so that a duplicate is known. Put back, it would be handled a second time.",
    )


def _parked(stored: StoredEvent, now: int, details: bool) -> tuple[str, str]:  # noqa: ARG001  # of one shape
    if stored.event.problem is not None:
        return (
            "Parked: its body cannot be parsed.",
            "Nothing, until it is put back; as long as its body cannot be parsed it is then parked again.",
        )
    after = f" after {_attempts(stored.attempts)}" if stored.attempts else ""
    return (
        f"Parked: given up{after}.",
        "Nothing, until it is put back: mend the cause first. A duplicate is acknowledged and not handled.",
    )


def _unhandled(stored: StoredEvent, now: int, details: bool) -> tuple[str, str]:  # noqa: ARG001  # of one shape
    kind = stored.event.type or "without a name"
    return (
        f"Not handled: no handler matches its type, {kind}.",
        "Nothing, until it is put back: deploy a handler for its type first.",
    )


def _skipped(stored: StoredEvent, now: int, details: bool) -> tuple[str, str]:  # noqa: ARG001  # of one shape
    return (
        "Skipped: a test delivery (livemode is false), and this receiver does not hand those out.",
        "Nothing. Put back, it is skipped again, unless test events are handed out by then.",
    )


def _attempts(number: int) -> str:
    return "1 attempt" if number == 1 else f"{number} attempts"


_SENTENCES: dict[EventState, Callable[[StoredEvent, int, bool], tuple[str, str]]] = {
    EventState.WAITING: _waiting,
    EventState.RUNNING: _running,
    EventState.DONE: _done,
    EventState.PARKED: _parked,
    EventState.UNHANDLED: _unhandled,
    EventState.SKIPPED: _skipped,
}
