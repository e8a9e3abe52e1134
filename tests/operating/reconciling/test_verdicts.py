"""A letter is replayed only where that does no harm and some good: never what the inbox is known to hold, never what
the receiver may have forgotten, never what was replayed often enough; and whatever else is missing is replayed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract.retry import delay_before
from kirimhook.operating.reconciling.verdicts import (
    DAY,
    FOR_PEOPLE,
    MARGIN,
    MOST_TRIES,
    RULES,
    TO_REPLAY,
    Facts,
    Rules,
    Verdict,
    judge,
)
from kirimhook.receiver.model import EventState
from tests.operating.reconciling.letters import facts

rules = st.builds(
    Rules,
    horizon=st.floats(7 * DAY, 60 * DAY),
    most=st.none() | st.integers(1, 5),
    discarded=st.booleans(),
)


@given(facts, rules)
def test_what_is_replayed_is_all_that_should_be(known: Facts, by: Rules) -> None:
    is_held = known.is_told and known.state is not None
    is_safe = known.age is not None and known.age + MARGIN <= by.horizon
    is_allowed = by.most is None or (known.rounds < by.most and known.tries < MOST_TRIES)
    is_wanted = not (
        known.is_test or known.is_erased or known.is_replayed or (known.was_discarded and not by.discarded)
    )
    assert (judge(known, by) in TO_REPLAY) == (not is_held and is_safe and is_allowed and is_wanted)


@given(facts, rules)
def test_what_is_left_for_people_is_what_a_replay_does_not_mend_and_somebody_lacks(known: Facts, by: Rules) -> None:
    verdict = judge(known, by)
    if verdict in FOR_PEOPLE:
        assert not known.is_test
        assert not known.is_replayed
        assert verdict is Verdict.PARKED or not (known.is_told and known.state is not None)
    is_parked = known.is_told and known.state is EventState.PARKED
    is_nobodys = known.is_test or known.is_erased or known.is_replayed
    assert (verdict is Verdict.PARKED) == (is_parked and not is_nobodys)


@given(facts, rules)
def test_what_the_list_does_not_tell_is_never_judged_by_the_inbox(known: Facts, by: Rules) -> None:
    untold = known._replace(is_told=False)
    assert judge(untold, by) == judge(untold._replace(state=None), by)


@pytest.mark.parametrize(
    ("known", "verdict"),
    [
        (Facts(), Verdict.MISSING),
        (Facts(is_told=False), Verdict.UNTELLABLE),
        (Facts(is_test=True), Verdict.TEST),
        (Facts(is_replayed=True, state=EventState.PARKED), Verdict.REPLAYED),
        (Facts(state=EventState.DONE), Verdict.HELD),
        (Facts(state=EventState.WAITING, age=None), Verdict.HELD),
        (Facts(state=EventState.RUNNING), Verdict.HELD),
        (Facts(state=EventState.UNHANDLED), Verdict.HELD),
        (Facts(state=EventState.SKIPPED), Verdict.HELD),
        (Facts(state=EventState.PARKED, rounds=9), Verdict.PARKED),
        (Facts(was_discarded=True), Verdict.DISCARDED),
        (Facts(age=None), Verdict.TOO_OLD),
        (Facts(age=30.4 * DAY), Verdict.MISSING),
        (Facts(age=30.5 * DAY), Verdict.TOO_OLD),
        (Facts(age=31 * DAY, is_told=False), Verdict.TOO_OLD),
        (Facts(rounds=2), Verdict.MISSING),
        (Facts(rounds=3), Verdict.GIVEN_UP),
        (Facts(rounds=1, tries=9), Verdict.MISSING),
        (Facts(rounds=1, tries=10), Verdict.GIVEN_UP),
    ],
)
def test_by_the_usual_rules(known: Facts, verdict: Verdict) -> None:
    assert judge(known, Rules()) is verdict


def test_a_replay_ends_within_the_margin() -> None:
    delays = [delay_before(attempt, 0.999_999) for attempt in range(1, 9)]
    assert sum(delay or 0 for delay in delays) + 8 * 10 <= MARGIN + 1


def test_each_verdict_has_one_rule_and_the_last_one_always_holds() -> None:
    assert [rule.verdict for rule in RULES] == list(Verdict)
    assert all(rule.about for rule in RULES)
    assert RULES[-1].verdict is Verdict.MISSING
