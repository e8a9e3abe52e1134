"""What a receiver keeps: the event, its states, the lease on it, and how handling it may end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class EventState(StrEnum):
    """Where a stored event stands. Every stored event is in exactly one of these."""

    WAITING = "waiting"
    """Due now, due later (a retry, a snooze), or behind an earlier event of its ordering key."""
    RUNNING = "running"
    """Leased to a worker."""
    DONE = "done"
    PARKED = "parked"
    """Given up: attempts used up, a handler's `Park`, or a body that cannot be parsed. Kept until put back."""
    UNHANDLED = "unhandled"
    """No handler matched its type."""
    SKIPPED = "skipped"
    """A test delivery (`livemode: false`) that this receiver was not asked to dispatch."""


class Move(StrEnum):
    """What can happen to a stored event."""

    LEASE = "lease"
    COMPLETE = "complete"
    RETRY = "retry"
    PARK = "park"
    UNHANDLE = "unhandle"
    SKIP = "skip"
    PUT_BACK = "put back"


TRANSITIONS: dict[tuple[EventState, Move], EventState] = {
    (EventState.WAITING, Move.LEASE): EventState.RUNNING,
    (EventState.RUNNING, Move.LEASE): EventState.RUNNING,  # its lease ran out
    (EventState.RUNNING, Move.COMPLETE): EventState.DONE,
    (EventState.RUNNING, Move.RETRY): EventState.WAITING,
    (EventState.RUNNING, Move.PARK): EventState.PARKED,
    (EventState.RUNNING, Move.UNHANDLE): EventState.UNHANDLED,
    (EventState.RUNNING, Move.SKIP): EventState.SKIPPED,
    (EventState.DONE, Move.PUT_BACK): EventState.WAITING,
    (EventState.PARKED, Move.PUT_BACK): EventState.WAITING,
    (EventState.UNHANDLED, Move.PUT_BACK): EventState.WAITING,
    (EventState.SKIPPED, Move.PUT_BACK): EventState.WAITING,
}

FINISHED = frozenset(state for state, move in TRANSITIONS if move is Move.PUT_BACK)
"""The states an event stays in until an operator puts it back."""


class IllegalMove(Exception):
    """A move that `TRANSITIONS` does not have."""


def after(state: EventState, move: Move) -> EventState:
    """The state that `move` leads to. Raises `IllegalMove`."""
    try:
        return TRANSITIONS[state, move]
    except KeyError:
        raise IllegalMove(f"an event that is {state} cannot {move}") from None


class InboundEvent(NamedTuple):
    """A verified delivery, ready to be stored. A tuple because one is made for every request."""

    dedupe_key: bytes
    event_id: str
    type: str
    source: str
    ordering_key: str | None
    """None where the body names none, and where ordering is off for its handler."""
    livemode: bool
    problem: str | None
    """Why the body cannot be parsed; the worker parks such an event with it."""
    delivery_id: str
    received_at: int
    """Milliseconds since the epoch."""
    body: bytes


class Receipt(StrEnum):
    """What became of one event handed to `Inbox.put`."""

    FRESH = "fresh"
    DUPLICATE = "duplicate"
    DUPLICATE_PARKED = "duplicate_parked"


class LeasedEvent(NamedTuple):
    number: int
    """Its place in commit order, and its name in the inbox."""
    attempt: int
    """1 for the first."""
    event: InboundEvent


class Lease(NamedTuple):
    """A run of events of one ordering key, in commit order (a single event where it has no key)."""

    token: int
    run: tuple[LeasedEvent, ...]
    suspect: bool
    """Its lease ran out more than once: perhaps it kills its worker. Run it with nothing beside it."""


class Done(NamedTuple):
    """Handled."""


class RetryAt(NamedTuple):
    """Failed; due again at `at` (ms). Counts as an attempt."""

    at: int
    reason: str


class SnoozeUntil(NamedTuple):
    """Not yet; due again at `at` (ms). Does not count as an attempt."""

    at: int


class Parked(NamedTuple):
    """Given up, with the reason (a traceback where there is one)."""

    reason: str


class Unhandled(NamedTuple):
    """No handler for its type."""


class Skipped(NamedTuple):
    """A test delivery, not dispatched."""


class Released(NamedTuple):
    """Leased but not begun; due at once. Does not count as an attempt."""


Outcome = Done | RetryAt | SnoozeUntil | Parked | Unhandled | Skipped | Released


class Settlement(NamedTuple):
    """How one leased event ended. A run settles in its own order."""

    token: int
    number: int
    outcome: Outcome
    then: int | None = None
    """The next event of the run, when the worker goes on with it under the same lease."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as the inbox holds it. Times are milliseconds since the epoch."""

    number: int
    event: InboundEvent
    """`body` is empty once the payload has been purged; see `has_payload`."""
    state: EventState
    attempts: int
    """Attempts that ended, an expired lease included."""
    due_at: int | None
    """When it is due, or its lease ends. None when finished, or behind another event of its key."""
    finished_at: int | None
    reason: str | None
    """Why it was parked, or why its last attempt failed."""
    has_payload: bool
