"""The watch: no canary before a look, no bulk before a canary that was taken; an endpoint that takes none is tried ever
more rarely; only the moves of the table are possible."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.operating.reconciling.states import (
    ENDED,
    TRANSITIONS,
    WAITING,
    Course,
    IllegalMove,
    Move,
    Pace,
    State,
    after,
    moved,
)

draws = st.floats(0, 0.999_999)
paces = st.builds(Pace, every=st.floats(1, 600), first=st.floats(1, 100), longest=st.floats(100, 3600))
histories = st.lists(st.tuples(st.sampled_from(Move), draws, st.floats(0, 500)), max_size=80)


@given(st.sampled_from(State), st.sampled_from(Move))
def test_a_move_that_is_not_in_the_table_is_refused(state: State, move: Move) -> None:
    if (state, move) in TRANSITIONS:
        assert after(state, move) is TRANSITIONS[state, move]
    else:
        with pytest.raises(IllegalMove, match="cannot have"):
            after(state, move)


@given(histories, paces)
def test_any_history_keeps_the_order_of_things(history: list[tuple[Move, float, float]], pace: Pace) -> None:
    course, now, before = Course(), 0.0, State.RESTING
    for move, draw, seconds in history:
        now += seconds
        if (course.state, move) not in TRANSITIONS:
            continue
        before, course = course.state, moved(course, move, now, draw, pace)
        assert course.state is not State.REPLAYING or (before, move) == (State.PROBING, Move.TAKEN)
        assert course.state is not State.PROBING or (before, move) == (State.LOOKING, Move.FOUND)
        assert course.wake_at >= now or course.state is State.UNHEALTHY
        assert course.wake_at <= now + max(pace.every, pace.longest) + 0.001
        assert course.state not in WAITING - {State.UNHEALTHY, State.BLIND} or course.wake_at >= now + pace.every
    assert course.failures == 0 or course.probe_at > 0


@given(st.lists(draws, min_size=2, max_size=40), paces)
def test_an_endpoint_that_takes_nothing_is_tried_ever_more_rarely(chances: list[float], pace: Pace) -> None:
    course, now, pauses = Course(), 0.0, []
    for draw in chances:
        course = moved(course, Move.LOOK, now, draw, pace)
        course = moved(moved(course, Move.FOUND, now, draw, pace), Move.NOT_TAKEN, now, draw, pace)
        assert course.state is State.UNHEALTHY
        pauses.append(course.wake_at - now)
        now = course.wake_at
    for times, pause in enumerate(pauses):
        doubled = pace.first * 2**times
        assert min(doubled * 0.79, pace.longest * 0.99) <= pause <= min(doubled * 1.21, pace.longest * 1.01)


@given(st.integers(1, 8), draws, paces)
def test_finding_nothing_to_try_it_with_does_not_shorten_the_pause(failures: int, draw: float, pace: Pace) -> None:
    course = Course(State.LOOKING, failures=failures, probe_at=5000.0)
    assert moved(course, Move.NOTHING, 1000.0, draw, pace).wake_at == max(5000.0, 1000.0 + pace.every)


@pytest.mark.parametrize("move", [Move.TAKEN, Move.HEARD])
def test_what_it_takes_ends_the_backing_off(move: Move) -> None:
    state = State.PROBING if move is Move.TAKEN else State.UNHEALTHY
    course = moved(Course(state, failures=7, probe_at=9000.0), move, 10.0, 0.5, Pace())
    assert (course.failures, course.probe_at) == (0, 10.0)


def test_out_of_budget_it_waits_until_there_is_room() -> None:
    course = moved(Course(State.LOOKING), Move.SPENT, 100.0, 0.5, Pace(), room_at=2000.0)
    assert (course.state, course.wake_at) == (State.OUT_OF_BUDGET, 2000.0)


def test_every_state_can_be_reached_and_those_that_end_have_no_way_out() -> None:
    reached = {State.RESTING, *TRANSITIONS.values()}
    assert reached == set(State)
    assert {state for state, _ in TRANSITIONS} == set(State) - ENDED
    assert all(TRANSITIONS[state, Move.STOP] is State.STOPPED for state in set(State) - ENDED)
    assert {move for _, move in TRANSITIONS} == set(Move)
