"""The watch: where it stands, what can happen, when it wakes. A table and two functions; no I/O, no clock, no chance.

A look finds letters to replay, or none. Before any of them is replayed in bulk, one is replayed alone (the canary): an
endpoint that does not take it is left alone for a while, twice as long each time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from kirimhook.contract.retry import jittered


class State(StrEnum):
    """Where the watch stands."""

    RESTING = "resting"
    """Nothing to replay."""
    LOOKING = "looking"
    PROBING = "probing"
    """A canary is on its way."""
    REPLAYING = "replaying"
    UNHEALTHY = "unhealthy"
    """The endpoint did not take a canary, or says that it is not ready."""
    OUT_OF_BUDGET = "out_of_budget"
    """As many were replayed in the last hour as may be."""
    DISABLED = "disabled"
    """The subscription is disabled: what is replayed would be held."""
    BLIND = "blind"
    """The provider or the inbox does not answer."""
    MISPLACED = "misplaced"
    """The endpoint takes what this inbox then does not hold: they do not belong together."""
    STOPPED = "stopped"


class Move(StrEnum):
    """What can happen."""

    LOOK = "look"
    HEARD = "heard"
    """The endpoint is seen to take deliveries again."""
    NOTHING = "nothing"
    FOUND = "found"
    NOT_READY = "not ready"
    SPENT = "spent"
    DISABLE = "disabled"
    LOST = "lost"
    TAKEN = "taken"
    NOT_TAKEN = "not taken"
    MISPLACE = "misplaced"
    DONE = "done"
    STOP = "stop"


_WAITING = (State.RESTING, State.UNHEALTHY, State.OUT_OF_BUDGET, State.DISABLED, State.BLIND)
_AT_WORK = (State.LOOKING, State.PROBING, State.REPLAYING)

TRANSITIONS: dict[tuple[State, Move], State] = {
    **{(state, Move.LOOK): State.LOOKING for state in _WAITING},
    (State.RESTING, Move.HEARD): State.LOOKING,
    (State.UNHEALTHY, Move.HEARD): State.LOOKING,
    (State.LOOKING, Move.NOTHING): State.RESTING,
    (State.LOOKING, Move.FOUND): State.PROBING,
    (State.LOOKING, Move.NOT_READY): State.UNHEALTHY,
    (State.LOOKING, Move.SPENT): State.OUT_OF_BUDGET,
    (State.LOOKING, Move.DISABLE): State.DISABLED,
    (State.PROBING, Move.TAKEN): State.REPLAYING,
    (State.PROBING, Move.NOT_TAKEN): State.UNHEALTHY,
    (State.PROBING, Move.MISPLACE): State.MISPLACED,
    (State.REPLAYING, Move.DONE): State.LOOKING,
    **{(state, Move.LOST): State.BLIND for state in _AT_WORK},
    **{(state, Move.STOP): State.STOPPED for state in (*_WAITING, *_AT_WORK)},
}

WAITING = frozenset(_WAITING)
ENDED = frozenset({State.MISPLACED, State.STOPPED})


class IllegalMove(Exception):
    """A move that `TRANSITIONS` does not have."""


def after(state: State, move: Move) -> State:
    """The state that `move` leads to. Raises `IllegalMove`."""
    try:
        return TRANSITIONS[state, move]
    except KeyError:
        raise IllegalMove(f"a watch that is {state} cannot have {move!s}") from None


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds."""

    every: float = 60.0
    """Between two looks while there is nothing to do."""
    first: float = 30.0
    """Before an endpoint that did not take a canary gets another; doubled each time."""
    longest: float = 900.0


@dataclass(frozen=True, slots=True)
class Course:
    """Where a watch stands. Times are seconds of one clock."""

    state: State = State.RESTING
    wake_at: float = 0.0
    """When a state that waits is over at the latest."""
    failures: int = 0
    """Canaries in a row that were not taken, and looks at an endpoint that was not ready."""
    misses: int = 0
    """Times in a row that the provider or the inbox did not answer."""
    probe_at: float = 0.0
    """No canary before."""


def moved(course: Course, move: Move, now: float, draw: float, pace: Pace, room_at: float = 0.0) -> Course:
    """The course after `move`. Raises `IllegalMove`.

    `draw` from [0, 1) sets the jitter. `room_at`: when there is budget again, for `Move.SPENT`.
    """
    state = after(course.state, move)
    counted = _counted(course, move, now, draw, pace)
    return replace(counted, state=state, wake_at=_wake_at(counted, state, now, draw, pace, room_at))


def _counted(course: Course, move: Move, now: float, draw: float, pace: Pace) -> Course:
    if move in {Move.TAKEN, Move.HEARD}:
        return replace(course, failures=0, probe_at=now)
    if move in {Move.NOT_TAKEN, Move.NOT_READY}:
        failures = course.failures + 1
        return replace(course, failures=failures, misses=0, probe_at=now + _backoff(failures, draw, pace))
    if move is Move.LOST:
        return replace(course, misses=course.misses + 1)
    return course if move in {Move.LOOK, Move.STOP} else replace(course, misses=0)


def _wake_at(course: Course, state: State, now: float, draw: float, pace: Pace, room_at: float) -> float:
    soon = now + pace.every
    if state is State.UNHEALTHY:
        return course.probe_at
    if state is State.RESTING:
        return max(soon, course.probe_at) if course.failures else soon
    if state is State.OUT_OF_BUDGET:
        return max(soon, room_at)
    if state is State.DISABLED:
        return soon
    return now + _backoff(course.misses, draw, pace) if state is State.BLIND else now


def _backoff(times: int, draw: float, pace: Pace) -> float:
    doubled = pace.first * 2.0 ** min(times - 1, 30)
    return min(jittered(doubled, draw), pace.longest)
