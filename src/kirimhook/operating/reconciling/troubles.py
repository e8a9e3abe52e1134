"""When people are to be told: once as a trouble begins, and not again before it has ended. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from kirimhook.operating.reconciling.states import Course, Move, State
from kirimhook.operating.reconciling.verdicts import FOR_PEOPLE, Verdict

PATIENCE = 4
"""Times in a row without an answer before somebody is told: about four minutes, at the usual pace."""

_LOOKED = frozenset({Move.NOTHING, Move.FOUND, Move.NOT_READY, Move.SPENT})

ENDS: dict[State, frozenset[Move]] = {
    State.UNHEALTHY: frozenset({Move.TAKEN, Move.HEARD}),
    State.OUT_OF_BUDGET: frozenset({Move.NOTHING}),
    State.DISABLED: _LOOKED,
    State.BLIND: _LOOKED | {Move.DISABLE},
    State.MISPLACED: frozenset(),
}
"""The troubles there are, and what ends each. Looking again does not, nor does finding nothing to try it with."""


class Told(NamedTuple):
    """What people know: the troubles that stand, and how many letters of each verdict are left for them."""

    troubles: frozenset[State] = frozenset()
    left: Mapping[Verdict, int] = {}


def trouble(told: Told, course: Course, move: Move) -> tuple[Told, State | None]:
    """What people know after `move` has led to `course`, and the trouble that they are to be told of, if any."""
    standing = frozenset(one for one in told.troubles if move not in ENDS[one])
    state = course.state
    is_new = state in ENDS and state not in standing and not (state is State.BLIND and course.misses < PATIENCE)
    known = told._replace(troubles=standing | {state} if is_new else standing)
    return known, state if is_new else None


def left(told: Told, counts: Mapping[Verdict, int]) -> tuple[Told, dict[Verdict, int]]:
    """The same for what a look left for people: the verdicts of which there are more than they were told."""
    now = {verdict: counts[verdict] for verdict in sorted(FOR_PEOPLE) if counts.get(verdict)}
    more = {verdict: count for verdict, count in now.items() if count > told.left.get(verdict, 0)}
    return told._replace(left=now), more
