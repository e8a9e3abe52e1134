"""The schedule, its jitter, `Retry-After` and what an answer comes to, against the vectors; no value raises."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract import retry
from kirimhook.contract.retry import Dead, Gone, RetryLater, Succeeded, Verdict
from tests.contract.table import cases, file

DRAWS = st.floats(0, 1, exclude_max=True)


def verdict_of(expect: dict[str, Any]) -> Verdict:
    plain: dict[str, Verdict] = {"succeeded": Succeeded(), "dead": Dead(), "gone": Gone()}
    return plain[expect["verdict"]] if expect["verdict"] in plain else RetryLater(expect["at_least"])


def test_the_schedule_is_the_contracts() -> None:
    assert list(retry.SCHEDULE) == file("schedule")["schedule"]
    assert retry.MAX_ATTEMPTS == 8


@pytest.mark.parametrize("case", file("schedule")["jitter"], ids=lambda case: f"{case['delay']} s, {case['draw']}")
def test_jitter_vector(case: dict[str, Any]) -> None:
    assert retry.jittered(case["delay"], case["draw"]) == pytest.approx(case["expect"])


@given(st.floats(0, 1e6), DRAWS)
def test_jitter_stays_within_a_fifth(delay: float, draw: float) -> None:
    assert delay * 0.8 <= retry.jittered(delay, draw) <= delay * 1.2


@pytest.mark.parametrize("case", cases("schedule", "delays"))
def test_delay_vector(case: dict[str, Any]) -> None:
    delay = retry.delay_before(case["attempt"], case["draw"], case["at_least"])
    assert delay == (None if case["expect"] is None else pytest.approx(case["expect"]))


@given(st.integers(1, 8), DRAWS, st.floats(0, 86400))
def test_what_the_endpoint_asks_for_is_never_undercut(attempt: int, draw: float, at_least: float) -> None:
    delay = retry.delay_before(attempt, draw, at_least)
    assert delay is not None
    assert delay >= at_least


@pytest.mark.parametrize("attempt", [0, -1])
def test_attempts_are_counted_from_one(attempt: int) -> None:
    with pytest.raises(ValueError):
        retry.delay_before(attempt, 0.5)


@pytest.mark.parametrize("case", cases("schedule", "answers"))
def test_answer_vector(case: dict[str, Any]) -> None:
    assert retry.classify(case["status"], case["retry_after"], case["now"]) == verdict_of(case["expect"])


@pytest.mark.parametrize("case", cases("retry_after"))
def test_retry_after_vector(case: dict[str, Any]) -> None:
    now = case.get("now", file("retry_after")["now"])
    assert retry.retry_after(case["value"], now) == case["expect"]


DATES = st.one_of([st.from_regex(date, fullmatch=True) for date in retry._DATES])


@given(st.text() | DATES, st.floats(0, 4e9))
def test_retry_after_never_raises_and_never_asks_for_more_than_a_day(value: str, now: float) -> None:
    seconds = retry.retry_after(value, now)
    assert seconds is None or 0 <= seconds <= 86400


@given(st.integers(0, 4_000_000_000), st.integers(0, 86400))
def test_every_date_of_today_and_tomorrow_is_read(now: int, ahead: int) -> None:
    assert retry.retry_after(formatdate(now + ahead, usegmt=True), now) == ahead


@given(st.one_of(st.none(), st.integers(0, 999)), st.text(max_size=10))
def test_every_status_has_a_verdict(status: int | None, value: str) -> None:
    assert isinstance(retry.classify(status, value, 0), Succeeded | RetryLater | Dead | Gone)
