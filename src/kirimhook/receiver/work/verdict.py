"""How an attempt ended: from what a handler returned or raised to the outcome that is stored. No I/O."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from kirimhook.contract.retry import jittered
from kirimhook.receiver.hooks import Handler
from kirimhook.receiver.model import (
    Done,
    LeasedEvent,
    Outcome,
    Parked,
    RetryAt,
    Skipped,
    SnoozeUntil,
    Unhandled,
)
from kirimhook.receiver.outcomes import Park, Retry, Snooze
from kirimhook.receiver.work.run import Note
from kirimhook.settings import ReceiverSettings

DONE = Done()
GOES_ON = (Done, Parked, Unhandled, Skipped)
"""Outcomes after which the next event of the run may begin: the others hold their key."""

MOST_CHARS = 8000
MOST_FRAMES = 30
HEAD_CHARS = 1000


class Verdict(NamedTuple):
    outcome: Outcome
    note: Note | None = None


ALL_WELL = Verdict(DONE)


class Verdicts:
    """The rules, with clock (seconds since the epoch) and draw (from [0, 1)) as they were given."""

    def __init__(self, settings: ReceiverSettings, clock: Callable[[], float], draw: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._draw = draw

    def before(self, leased: LeasedEvent, handler: Handler | None) -> Verdict | Handler:
        """The handler to call, or the verdict where none is to be called."""
        event = leased.event
        if event.problem is not None:
            return self._parked(leased, handler, f"cannot be parsed: {event.problem}")
        if not event.livemode and not self._settings.dispatch_test_events:
            return Verdict(Skipped())
        if handler is None:
            return Verdict(Unhandled(), Note("no_handler", {"type": event.type}))
        if leased.attempt > self._attempts(handler):
            ended = f"gave up after attempt {leased.attempt - 1}: its worker died, or its lease ran out"
            return self._parked(leased, handler, ended)
        return handler

    def returned(self, leased: LeasedEvent, handler: Handler, value: object) -> Verdict:
        """Done, unless the value is an outcome that says otherwise."""
        match value:
            case Retry(after, reason):
                return self._again(leased, handler, reason or "the handler asked for a retry", after=after)
            case Snooze(until):
                return Verdict(SnoozeUntil(self._due(until)))
            case Park(reason):
                return self._parked(leased, handler, reason)
        return ALL_WELL

    def failed(self, leased: LeasedEvent, handler: Handler, error: BaseException) -> Verdict:
        """Again later, or parked with the traceback."""
        return self._again(leased, handler, _summary(error), stored=_traceback(error))

    def timed_out(self, leased: LeasedEvent, handler: Handler, timeout: float) -> Verdict:
        return self._again(leased, handler, f"took longer than {timeout:g} s")

    def not_now(self, seconds: float) -> Verdict:
        """The inbox could not run the handler's transaction: no fault of the event."""
        return Verdict(SnoozeUntil(self._due(seconds)))

    def _again(
        self, leased: LeasedEvent, handler: Handler, reason: str, *, after: float | None = None, stored: str = ""
    ) -> Verdict:
        if leased.attempt >= self._attempts(handler):
            gave_up = f"gave up after attempt {leased.attempt}: "
            return self._parked(leased, handler, gave_up + reason, stored=gave_up + (stored or reason))
        delay = self._delay(leased.attempt) if after is None else after
        outcome = RetryAt(self._due(delay), _bounded(stored or reason))
        return Verdict(outcome, Note("retry", named(leased, handler) | {"reason": reason, "delay": round(delay, 1)}))

    def _parked(self, leased: LeasedEvent, handler: Handler | None, reason: str, *, stored: str = "") -> Verdict:
        return Verdict(Parked(_bounded(stored or reason)), Note("parked", named(leased, handler) | {"reason": reason}))

    def _attempts(self, handler: Handler) -> int:
        return handler.attempts or self._settings.attempts

    def _delay(self, attempt: int) -> float:
        delays = self._settings.retry_delays
        return jittered(delays[min(attempt, len(delays)) - 1], self._draw())

    def _due(self, when: datetime | float) -> int:
        """Milliseconds since the epoch, from a moment or from seconds to go."""
        seconds = when.timestamp() if isinstance(when, datetime) else self._clock() + when
        return int(seconds * 1000)


def named(leased: LeasedEvent, handler: Handler | None) -> dict[str, Any]:
    """Which event and attempt: the fields of a log event."""
    return {
        "number": leased.number,
        "event_id": leased.event.event_id,
        "type": leased.event.type,
        "attempt": leased.attempt,
        "handler": handler.name if handler else None,
    }


def _summary(error: BaseException) -> str:
    """Its type and message on one line."""
    lines = traceback.format_exception_only(type(error), error)
    return " ".join(lines[-1].split()) if lines else type(error).__name__


def _traceback(error: BaseException) -> str:
    """Without the frame that called the handler, which says nothing about it."""
    trace = error.__traceback__
    shown = trace.tb_next if trace is not None and trace.tb_next is not None else trace
    return "".join(traceback.format_exception(type(error), error, shown, limit=-MOST_FRAMES))


def _bounded(text: str) -> str:
    """What any storage can keep: encodable, without NUL, its beginning and its end where it is long."""
    text = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    if len(text) <= MOST_CHARS:
        return text
    return f"{text[:HEAD_CHARS]}\n…\n{text[HEAD_CHARS - MOST_CHARS :]}"
