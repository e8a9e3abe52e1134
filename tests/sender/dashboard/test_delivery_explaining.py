"""The two sentences about a delivery are true, whatever its history: why it is so, and what comes next and when.

Histories are made by what decides in earnest (`engine.decide`), so its words and these cannot drift apart.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract.ids import DeliveryId
from kirimhook.contract.resources import (
    Attempt,
    Delivery,
    DeliveryKind,
    DeliveryStatus,
    SubscriptionStatus,
    Timing,
)
from kirimhook.contract.retry import SCHEDULE
from kirimhook.sender.dashboard.explaining import Sentence, following, why
from kirimhook.sender.engine.decide import Answer, Course, Decision, decide
from kirimhook.sender.model import OPEN, DeadReason, DisabledReason
from kirimhook.sender.service import Looked, Place, Target

START = datetime(2026, 5, 23, 10, tzinfo=UTC)
MOST = 8
REFUSED = "answered 404"
ACTIVE = Target("https://example.com/hook", SubscriptionStatus.ACTIVE, None, False)
TARGETS = [
    ACTIVE,
    *[ACTIVE._replace(status=SubscriptionStatus.DISABLED, disabled_reason=reason.value) for reason in DisabledReason],
    ACTIVE._replace(is_deleted=True),
]


class History(NamedTuple):
    looked: Looked
    last: Decision | None
    """Of the last attempt."""
    now: datetime


def words(sentence: Sentence) -> str:
    return "".join(f"<{part:%H:%M:%S}>" if isinstance(part, datetime) else part for part in sentence)


def delivery(**said: Any) -> Delivery:
    values: dict[str, Any] = {
        "id": DeliveryId("wbd_1"), "subscription_id": "wbs_1", "event_id": "evt_1", "event_type": "contact.created",
        "source": "kirim", "kind": DeliveryKind.ORIGINAL, "status": DeliveryStatus.PENDING, "dead_reason": None,
        "attempt_count": 0, "max_attempts": MOST, "next_attempt_at": START, "last_attempt_at": None,
        "response_status": None, "last_error": None, "created_at": START, "finished_at": None, "replayed_from": None,
        "replayed_by": None, "attempts": (),
    }  # fmt: skip
    return Delivery(**(values | said))


def attempt(answer: Answer, decision: Decision) -> Attempt:
    at = datetime.fromtimestamp(answer.at, UTC)
    due = None if decision.due_at is None else datetime.fromtimestamp(decision.due_at / 1000, UTC)
    nothing = Timing(None, None, None, None)
    return Attempt(answer.number, at, 1.0, nothing, None, {}, answer.status, {}, None, None, due, decision.why)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Attempts until one ends it or none follows yet; then a subscription, a place in the queue and a moment."""
    clock = START.timestamp()
    made = delivery()
    last = None
    for number in range(1, draw(st.integers(0, MOST)) + 1):
        status = draw(st.sampled_from([None, 200, 204, 301, 404, 408, 410, 429, 500, 503]))
        answer = Answer(number, status, draw(st.sampled_from([None, "0", "7", "90000", "soon"])), clock)
        last = decide(answer, Course(MOST, SCHEDULE), draw(st.floats(0, 1, exclude_max=True)))
        error = f"answered {status}" if status else "connection refused"
        record = attempt(answer, last)
        made = delivery(
            status=last.status, dead_reason=last.reason, attempt_count=number, next_attempt_at=record.next_attempt_at,
            response_status=status, last_error=error, attempts=(*(made.attempts or ()), record),
        )  # fmt: skip
        if last.due_at is None:
            break
        clock = last.due_at / 1000
    target = draw(st.sampled_from(TARGETS))
    now = START + timedelta(seconds=draw(st.integers(0, 200_000)))
    place = None
    if made.status in OPEN:
        due = made.next_attempt_at or START
        is_taken = draw(st.booleans())
        late = timedelta(seconds=draw(st.sampled_from([0, 0, 30])))
        place = Place(now + timedelta(seconds=draw(st.integers(-60, 60))) if is_taken else due + late, is_taken, False)
    return History(Looked(made, target, place, False), last, now)


@pytest.mark.parametrize(
    ("target", "place", "expected"),
    [
        (ACTIVE._replace(is_deleted=True), None, "It becomes a dead letter soon, without another attempt."),
        (ACTIVE, None, "Its attempt has just ended."),
        (
            ACTIVE,
            Place(START, False, True),
            "Attempt 1 of 8 was due <10:00:00>: it waits for its turn behind live traffic.",
        ),
    ],
)
def test_what_comes_next_in_the_moments_between(target: Target, place: Place | None, expected: str) -> None:
    assert words(following(Looked(delivery(), target, place, False), SCHEDULE, START)) == expected


def test_one_that_could_not_be_signed_says_so() -> None:
    later = START + timedelta(minutes=1)
    looked = Looked(delivery(), ACTIVE, Place(later, False, False), False)
    said = words(following(looked, SCHEDULE, START))
    assert said == "Attempt 1 of 8 comes <10:01:00>: it was put off, since it could not be signed."


@given(histories())
def test_each_is_a_sentence(history: History) -> None:
    for sentence in (why(history.looked), following(history.looked, SCHEDULE, history.now)):
        text = words(sentence)
        assert text[0].isupper()
        assert text.endswith(".")
        assert "None" not in text
        assert "  " not in text
        assert not re.search(r"[{}]|\.\.|: \.|;\.", text)


@given(histories())
def test_what_comes_next_has_its_moment_and_nothing_else_has_one(history: History) -> None:
    looked, now = history.looked, history.now
    moments = [part for part in following(looked, SCHEDULE, now) if isinstance(part, datetime)]
    is_waiting = looked.place is not None and looked.target is ACTIVE
    is_under_way = looked.place is not None and looked.place.is_taken and looked.place.due_at > now
    assert moments == ([looked.place.due_at] if looked.place and is_waiting and not is_under_way else [])


@given(histories())
def test_the_reason_of_the_wait_is_the_one_that_decided(history: History) -> None:
    looked, last = history.looked, history.last
    text = words(following(looked, SCHEDULE, history.now))
    place, due = looked.place, looked.delivery.next_attempt_at
    waits = " comes <" in text
    if waits and last is not None and place is not None and place.due_at == due:
        asked = "(Retry-After)" in last.why
        assert ("the endpoint asked" in text) == asked
        assert ("the schedule has" in text) != asked
    elif waits:
        assert "put off" in text
    else:
        assert "the schedule" not in text
        assert "asked" not in text


@given(histories())
def test_held_ended_and_open_are_never_confused(history: History) -> None:
    looked = history.looked
    text = words(following(looked, SCHEDULE, history.now))
    is_open = looked.delivery.status in OPEN
    assert ("follows" in text or "Nothing" in text) == (not is_open)
    assert ("It is held" in text) == (is_open and looked.target.status is SubscriptionStatus.DISABLED)
    if is_open and looked.target is ACTIVE:
        assert f"Attempt {(looked.delivery.attempt_count or 0) + 1} of {MOST}" in text


@pytest.mark.parametrize("reason", list(DeadReason))
def test_every_reason_has_words_of_its_own(reason: DeadReason) -> None:
    def about(one: DeadReason) -> str:
        dead = delivery(status=DeliveryStatus.DEAD, dead_reason=one.value, attempt_count=3, last_error="answered 418")
        return words(why(Looked(dead, ACTIVE, None, False)))

    assert [one for one in DeadReason if about(one) == about(reason)] == [reason]


@pytest.mark.parametrize(
    ("changes", "target", "place", "now", "first", "second"),
    [
        (
            {},
            ACTIVE,
            Place(START, False, True),
            5,
            "There was no attempt yet.",
            "Attempt 1 of 8 was due <10:00:00>: it waits for its turn behind live traffic.",
        ),
        (
            {"status": DeliveryStatus.SUCCEEDED, "attempt_count": 2, "response_status": 204},
            ACTIVE,
            None,
            5,
            "The endpoint answered 204 to attempt 2 of 8.",
            "No attempt follows: it is done. A replay would send the same event once more.",
        ),
        (
            {"status": DeliveryStatus.FAILED, "attempt_count": 2, "last_error": "dns: gone"},
            TARGETS[2],
            Place(START, False, False),
            5,
            "Attempt 2 of 8 failed: dns: gone; and its subscription was disabled after too many dead letters in a row.",
            "It is held until its subscription is enabled: then it is delivered behind live traffic, or discarded.",
        ),
        (
            {
                "status": DeliveryStatus.DEAD,
                "dead_reason": "rejected",
                "attempt_count": 1,
                "last_error": "answered 404",
            },
            ACTIVE,
            None,
            5,
            "Attempt 1 was answered 404, and another attempt would be answered the same.",
            "No attempt follows, unless it is replayed.",
        ),
    ],
)
def test_how_it_reads(
    changes: dict[str, Any], target: Target, place: Place | None, now: int, first: str, second: str
) -> None:
    looked = Looked(delivery(**changes), target, place, False)
    assert words(why(looked)) == first
    assert words(following(looked, SCHEDULE, START + timedelta(seconds=now))) == second


def test_the_schedule_is_told_as_it_is() -> None:
    answer = Answer(3, 500, None, START.timestamp())
    decision = decide(answer, Course(MOST, SCHEDULE), 0.5)
    record = attempt(answer, decision)
    failed = delivery(
        status=DeliveryStatus.FAILED, attempt_count=3, last_error="answered 500",
        next_attempt_at=record.next_attempt_at, attempts=(record,),
    )  # fmt: skip
    assert record.next_attempt_at is not None
    looked = Looked(failed, ACTIVE, Place(record.next_attempt_at, False, False), False)
    said = words(following(looked, SCHEDULE, START))
    assert said == "Attempt 4 of 8 comes <10:02:00>: the schedule has 2\u00a0min before it, ±20 % at random."


def test_what_cannot_be_replayed_is_not_offered() -> None:
    dead = delivery(status=DeliveryStatus.DEAD, dead_reason="expired")
    for looked in (Looked(dead, ACTIVE, None, True), Looked(dead, TARGETS[-1], None, False)):
        assert words(following(looked, SCHEDULE, START)).startswith("Nothing: ")
    replayed = delivery(status=DeliveryStatus.DEAD, dead_reason="expired", replayed_by=DeliveryId("wbd_2"))
    assert words(following(Looked(replayed, ACTIVE, None, False), SCHEDULE, START)).endswith("it was replayed.")
