"""What each answer comes to, row by row of contract section 4; and over all answers and moments: never early, never
past the last attempt, `Retry-After` never undercut and never longer than a day.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kirimhook.sender.engine.decide import Answer, Course, decide

SCHEDULE = (0, 10, 30, 120, 600, 3600, 21_600, 86_400)
COURSE = Course(8, SCHEDULE)
NOW = 1_780_000_000.25
DAY = 86_400


@pytest.mark.parametrize(
    ("status", "ends", "reason"),
    [
        *[(status, "succeeded", None) for status in (200, 201, 202, 204, 226, 299)],
        *[(status, "failed", None) for status in (301, 302, 303, 307, 308, 304, 500, 502, 503, 504, 599, 408, 429)],
        *[(status, "dead", "rejected") for status in (400, 401, 403, 404, 405, 409, 411, 413, 415, 422, 451, 499)],
        (410, "dead", "gone"),
        (None, "failed", None),
    ],
)
def test_every_row_of_the_table(status: int | None, ends: str, reason: str | None) -> None:
    decision = decide(Answer(1, status, None, NOW), COURSE, 0.5)
    assert (decision.status, decision.reason) == (ends, reason)
    assert (decision.due_at is not None) == (ends == "failed")
    if decision.due_at is not None:
        assert 0 <= decision.due_at - (NOW + 10) * 1000 < 1 + 1e-6


@pytest.mark.parametrize("status", [408, 429, 503])
def test_both_forms_of_retry_after(status: int) -> None:
    moment = format_datetime(datetime.fromtimestamp(int(NOW) + 500, UTC), usegmt=True)
    for value, at in (("500", NOW + 500), (moment, int(NOW) + 500)):
        due = decide(Answer(1, status, value, NOW), COURSE, 0.5).due_at
        assert due is not None
        assert 0 <= due - at * 1000 < 1 + 1e-6


def test_retry_after_counts_only_where_it_is_promised() -> None:
    due = decide(Answer(1, 500, "500", NOW), COURSE, 0.5).due_at
    assert due is not None
    assert due <= (NOW + 10) * 1000 + 1


def test_the_last_attempt() -> None:
    decision = decide(Answer(8, 503, "5", NOW), COURSE, 0.5)
    assert (decision.status, decision.reason, decision.due_at) == ("dead", "attempts_exhausted", None)
    assert decide(Answer(8, 200, None, NOW), COURSE, 0.5).status == "succeeded"


def test_why_says_when_and_because_of_what() -> None:
    assert decide(Answer(1, 503, "500", NOW), COURSE, 0.5).why == (
        "503: attempt 2 of 8 comes 500 s later (Retry-After)."
    )
    assert decide(Answer(2, None, None, NOW), COURSE, 0.5).why == "No answer: attempt 3 of 8 comes 30 s later."


@given(
    number=st.integers(1, 8),
    status=st.one_of(st.none(), st.integers(200, 599)),
    asked=st.one_of(st.none(), st.integers(0, 10**7).map(str), st.text(max_size=30)),
    draw=st.floats(0, 1, exclude_max=True),
    at=st.floats(0, 4e9),
)
@example(number=1, status=503, asked="9" * 400, draw=0.0, at=NOW)
def test_over_all_answers(number: int, status: int | None, asked: str | None, draw: float, at: float) -> None:
    decision = decide(Answer(number, status, asked, at), COURSE, draw)
    assert decision.status in {"succeeded", "failed", "dead"}
    assert (decision.reason is not None) == (decision.status == "dead")
    assert decision.why
    if decision.due_at is None:
        return
    assert number < 8
    wait = SCHEDULE[number]
    later = decision.due_at / 1000 - at
    assert 0.8 * wait - 1e-6 <= later <= max(1.2 * wait, DAY) + 0.01
    if asked is not None and asked.isascii() and asked.isdigit() and status in {408, 429, 503}:
        assert later >= min(float(asked), DAY) - 1e-6


@given(st.integers(1, 12), st.integers(1, 12), st.lists(st.floats(0, 1000), min_size=1, max_size=12))
def test_a_schedule_that_was_changed_meanwhile(number: int, most: int, schedule: list[float]) -> None:
    decision = decide(Answer(number, 500, None, NOW), Course(most, schedule), 0.5)
    assert (decision.status == "dead") == (number >= most)
