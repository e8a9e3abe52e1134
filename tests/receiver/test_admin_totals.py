"""Whatever processes come, count, fall silent and end, in whatever order: no total ever goes back, and nothing
that was reported is lost or counted twice.
"""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from kirimhook.receiver.admin.report import ProcessReport, SecretUse, Totals
from tests.receiver.fleets import fleet, report

Step = tuple[str, int, int]

steps = st.lists(
    st.tuples(st.sampled_from(["count", "end"]), st.integers(0, 3), st.integers(0, 50)), min_size=1, max_size=30
)


@given(steps)
def test_totals_are_the_sum_of_all_that_was_counted_and_never_go_back(taken: list[Step]) -> None:
    ended, live, expected, before = Totals(), dict.fromkeys(range(4), 0), 0, 0
    for what, place, acks in taken:
        if what == "count":
            live[place] += acks
            expected += acks
        else:
            ended = ended.plus_ended(report(place, acks=live[place]))
            live[place] = 0
        totals = fleet(*(report(pid, acks=count) for pid, count in live.items()), ended=ended).totals
        counted = totals.snapshot["counters"]["kirimhook_requests_total"]["fresh"]
        assert counted == expected >= before
        assert sum(totals.snapshot["histograms"]["kirimhook_ack_seconds"]["counts"]) == expected
        assert totals.secrets["aaaaaaaaaaaa"].matches == expected
        before = counted


def test_the_last_match_of_several_processes_is_the_latest() -> None:
    uses = [report(secrets=(SecretUse("a", at, 1),)) for at in (5.0, None, 9.0)]
    assert Totals().plus(uses).secrets["a"].last_matched_at == 9
    assert Totals().plus(reversed(uses)).secrets["a"].last_matched_at == 9
    assert Totals().plus([uses[1]]).secrets["a"].last_matched_at is None


def test_a_report_survives_the_way_through_json() -> None:
    for sent in (report(5, acks=3), report(6, inbox=None, secrets=(), clock_offset=-2.5)):
        assert ProcessReport.from_json(json.loads(json.dumps(sent.to_json()))) == sent
