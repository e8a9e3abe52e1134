"""A plan counts every letter once, keeps all that is to be replayed, and puts what failed behind what did not."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kirimhook.operating.reconciling.plan import EXAMPLES, Judged, Plan, canaries
from kirimhook.operating.reconciling.verdicts import FOR_PEOPLE, TO_REPLAY, Verdict
from tests.operating.reconciling.letters import NOW, dead

judged = st.builds(
    Judged,
    st.builds(
        dead,
        st.integers(0, 500),
        created_at=st.just(NOW),
        event_type=st.sampled_from(["contact.created", "message.status"]),
    ),
    st.sampled_from(Verdict),
    st.integers(0, 4),
)


def planned(found: list[Judged]) -> Plan:
    plan = Plan()
    for one in found:
        plan.add(one)
    return plan


@given(st.lists(judged, max_size=60))
def test_every_letter_is_counted_once_and_kept_where_it_is_wanted(found: list[Judged]) -> None:
    plan = planned(found)
    assert plan.looked_at == len(found) == sum(plan.to_json().values())
    assert plan.for_people == sum(one.verdict in FOR_PEOPLE for one in found)
    wanted = sorted(one.letter.id for one in found if one.verdict in TO_REPLAY)
    assert sorted(one.letter.id for one in plan.in_order()) == wanted


@given(st.lists(judged, max_size=60))
def test_what_failed_oftener_stands_behind(found: list[Judged]) -> None:
    ordered = planned(found).in_order()
    rounds = [one.rounds for one in ordered]
    assert rounds == sorted(rounds)
    assert all(
        one.letter.created_at <= other.letter.created_at
        for one, other in pairwise(ordered)
        if one.rounds == other.rounds
    )


@given(st.lists(judged, max_size=60), st.integers(0, 5))
def test_a_canary_is_one_that_failed_least_and_can_be_asked_for(found: list[Judged], most: int) -> None:
    wanted = planned(found).wanted
    chosen = canaries(wanted, most)
    assert len(chosen) == min(most, len(wanted))
    if chosen:
        fewest = min(one.rounds for one in wanted)
        assert chosen[0].rounds == fewest
        tellable = any(one.letter.key for one in wanted if one.rounds == fewest)
        assert (chosen[0].letter.key is not None) == tellable


def test_examples_are_few_however_many_there_are() -> None:
    plan = planned([Judged(dead(serial), Verdict.PARKED, 0) for serial in range(EXAMPLES * 3)])
    assert plan.to_json()["parked"] == EXAMPLES * 3
    assert [one["event_id"] for one in plan.shown()] == [f"evt_{serial}" for serial in range(EXAMPLES)]
