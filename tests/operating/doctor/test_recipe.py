"""The guide's own recipe: the doctor finds that it throws two of three statuses away, and that its limit is too small
for what Meta sends. What the doctor says of it is what it really does: the table behind it shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kirimhook.operating.doctor.finding import Verdict
from tests.operating.doctor.recipe import cooked
from tests.operating.doctor.test_faults import complaints, examined, verdicts


@pytest.mark.parametrize(("express", "more"), [(4, set()), (5, {"content_type"})])
def test_its_faults_are_found(express: int, more: set[str], tmp_path: Path) -> None:
    with cooked(tmp_path, express) as (standing, recipe):
        report = examined(standing)
    assert complaints(report) == {"statuses", "large_body", "too_large_body", *more}
    saw = {row.check.id: row.finding.saw for row in report.examined}
    assert saw["statuses"].startswith("delivered and read of a message are answered as duplicates")
    assert len([row for row in recipe.raw_events if row[1] == "message.status"]) == 1
    assert not report.is_healthy


def test_without_probe_events_nothing_a_live_handler_would_act_on_is_sent(tmp_path: Path) -> None:
    with cooked(tmp_path, 4) as (standing, recipe):
        report = examined(standing, probe_events=False)
    assert {check for check, verdict in verdicts(report).items() if verdict is Verdict.LEFT_OUT} == {
        "statuses",
        "not_json",
        "ready",
        "loaded",
    }
    assert {row[1] for row in recipe.raw_events} == {"contact.created", "doctor.examined"}
    assert all(b'"livemode":false' in row[3] for row in recipe.raw_events)
    assert {row[0] for row in recipe.raw_events} <= set(report.events)
