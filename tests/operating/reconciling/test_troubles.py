"""People are told of a trouble as it begins, and not again before it has ended."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kirimhook.operating.reconciling.states import TRANSITIONS, Course, Move, Pace, State, moved
from kirimhook.operating.reconciling.troubles import ENDS, PATIENCE, Told, left, trouble
from kirimhook.operating.reconciling.verdicts import FOR_PEOPLE, Verdict


def play(*moves: Move) -> list[State]:
    """What is told over these moves, from rest."""
    course, told, said = Course(), Told(), []
    for move in moves:
        course = moved(course, move, 0.0, 0.5, Pace())
        told, new = trouble(told, course, move)
        said += [new] if new else []
    return said


PROBED_IN_VAIN = (Move.LOOK, Move.FOUND, Move.NOT_TAKEN)
HEALED = (Move.LOOK, Move.FOUND, Move.TAKEN, Move.DONE, Move.NOTHING)


def test_an_outage_of_many_canaries_is_told_once_and_the_next_outage_again() -> None:
    assert play(*PROBED_IN_VAIN * 9) == [State.UNHEALTHY]
    assert play(*PROBED_IN_VAIN, Move.LOOK, Move.NOTHING, *PROBED_IN_VAIN) == [State.UNHEALTHY]
    assert play(*PROBED_IN_VAIN * 2, *HEALED, *PROBED_IN_VAIN * 2) == [State.UNHEALTHY] * 2
    assert play(*PROBED_IN_VAIN, Move.HEARD, Move.NOTHING, *PROBED_IN_VAIN) == [State.UNHEALTHY] * 2


def test_a_provider_that_is_away_for_a_moment_is_nobodys_business() -> None:
    assert play(*(Move.LOOK, Move.LOST) * (PATIENCE - 1), Move.LOOK, Move.NOTHING) == []
    assert play(*(Move.LOOK, Move.LOST) * (PATIENCE * 3)) == [State.BLIND]


def test_a_budget_that_is_spent_hour_after_hour_is_told_once() -> None:
    portion = (Move.LOOK, Move.FOUND, Move.TAKEN, Move.DONE, Move.SPENT)
    assert play(*portion * 5) == [State.OUT_OF_BUDGET]
    assert play(*portion, Move.LOOK, Move.NOTHING, *portion) == [State.OUT_OF_BUDGET] * 2


def test_a_disabled_subscription_is_told_once() -> None:
    assert play(*(Move.LOOK, Move.DISABLE) * 5) == [State.DISABLED]
    assert play(Move.LOOK, Move.DISABLE, Move.LOOK, Move.NOTHING, Move.LOOK, Move.DISABLE) == [State.DISABLED] * 2


def test_an_inbox_of_another_endpoint_is_told() -> None:
    assert play(Move.LOOK, Move.FOUND, Move.MISPLACE) == [State.MISPLACED]


@given(st.lists(st.sampled_from(Move), max_size=80))
def test_between_two_tellings_of_one_trouble_something_ended_it(history: list[Move]) -> None:
    course, told, said = Course(), Told(), list[tuple[int, State]]()
    for at, move in enumerate(history):
        if (course.state, move) in TRANSITIONS:
            course = moved(course, move, 0.0, 0.5, Pace())
            told, new = trouble(told, course, move)
            said += [(at, new)] if new else []
    for state in ENDS:
        moments = [at for at, one in said if one is state]
        for first, second in pairwise(moments):
            assert ENDS[state] & set(history[first + 1 : second + 1])


counts = st.dictionaries(st.sampled_from(Verdict), st.integers(0, 5)).map(Counter)


@given(st.lists(counts, max_size=20))
def test_what_is_left_is_told_whenever_it_grew(looks: list[Counter[Verdict]]) -> None:
    told, before = Told(), Counter[Verdict]()
    for found in looks:
        told, more = left(told, found)
        assert more == {one: found[one] for one in FOR_PEOPLE if found[one] > before[one]}
        before = found
