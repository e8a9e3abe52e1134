"""What is parked is told once for each time it is parked, whatever the order in which it is seen, as long as it is seen
within two minutes; and what is kept of that fits in a bookmark, however much is parked.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kirimhook.receiver.model import EventState, InboundEvent, StoredEvent
from kirimhook.receiver.telling.look import MOST_GROUPS, OTHERS, SETTLING, Look, short
from kirimhook.receiver.telling.progress import LATE, MOST_MARKS, Progress, UnknownProgress, read, written
from kirimhook.telling import document

NOW = 1_780_000_000_000
BOOKMARK = 4096


def parked(number: int, at: int | None, reason: str | None = "no", kind: str = "contact.created") -> StoredEvent:
    event = InboundEvent(b"", f"evt_{number}", kind, "kirim", None, True, None, "wbd", 1, b"")
    return StoredEvent(number, event, EventState.PARKED, 1, None, at, reason, True)


def look(progress: Progress, now: int, *events: StoredEvent) -> Look:
    made = Look(progress, now)
    made.add(*events)
    return made


class Told:
    """Looks again and again, and counts what is told; each time from what the bookmark says."""

    def __init__(self) -> None:
        self.text: str | None = None
        self.counts: Counter[str] = Counter()

    def look(self, now: int, events: list[StoredEvent]) -> Look:
        made = look(read(self.text).trusted(now, 0), now, *events)
        for notice in made.notices:
            self.counts[notice.reason] += notice.count
        self.text = written(made.told())
        assert len(self.text) <= BOOKMARK
        return made


DAY = st.integers(0, 600_000)
LAG = st.integers(0, LATE - 2 * SETTLING)


@given(st.lists(st.tuples(DAY, LAG), max_size=80), st.lists(DAY, max_size=20))
@example([(0, 0), (0, 60_000)], [2000, 60_001])
def test_each_is_told_once_however_late_it_is_seen(transitions: list[tuple[int, int]], looks: list[int]) -> None:
    """Parked at a moment, visible so much later; the reason names it."""
    told, end = Told(), 600_000 + 2 * LATE
    for moment in [*sorted(looks), end]:
        seen = [
            parked(number, NOW + at, f"reason {number}")
            for number, (at, lag) in enumerate(transitions)
            if at + lag <= moment
        ]
        told.look(NOW + moment, seen)
    assert told.counts == {f"reason {number}": 1 for number in range(len(transitions))}


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 900)), max_size=8), st.lists(DAY, max_size=8))
def test_a_storm_is_told_once(storms: list[tuple[int, int]], looks: list[int]) -> None:
    """Far more than there are marks, in a few moments, seen at once."""
    told = Told()
    number, events = 0, []
    for at, count in storms:
        events += [parked(number + n, NOW + at, "no") for n in range(count)]
        number += count
    for moment in [*sorted(looks), 700_000]:
        told.look(NOW + moment, [event for event in events if (event.finished_at or 0) <= NOW + moment])
    assert told.counts["no"] == len(events)


@given(st.lists(st.integers(-3_600_000, 3_600_000), min_size=1, max_size=300), st.randoms())
def test_a_clock_that_is_wrong_hides_nothing(moments: list[int], random: Any) -> None:
    """Stamps an hour ahead or behind: what is parked from then on, by a right clock, is told."""
    told = Told()
    events = [parked(number, NOW + at, "odd") for number, at in enumerate(moments)]
    random.shuffle(events)
    told.look(NOW, events)
    right = parked(1000, NOW + 10, "right")
    told.look(NOW + 10 + SETTLING, [*events, right])
    assert told.counts["right"] == 1
    assert told.counts["odd"] >= len(events) - sum(abs(at) < SETTLING for at in moments)


def test_parked_again_is_told_again() -> None:
    told = Told()
    told.look(NOW, [parked(1, NOW - 5000)])
    told.look(NOW + 10_000, [])  # put back
    told.look(NOW + 20_000, [parked(1, NOW + 15_000)])
    told.look(NOW + 30_000, [parked(1, NOW + 15_000)])
    assert told.counts == {"no": 2}


def test_what_was_parked_just_now_waits_for_the_next_look() -> None:
    events = [parked(1, NOW - SETTLING), parked(2, NOW - SETTLING + 1)]
    first = look(Progress(), NOW, *events)
    assert (first.parked, first.fresh, first.unsettled) == (2, 1, 1)
    assert first.told().parked == 1, "so that a count shows that one was not told"
    assert look(first.told(), NOW + SETTLING, *events).fresh == 1


def test_without_a_moment_it_is_told_with_the_first_look() -> None:
    told = Told()
    told.look(NOW, [parked(1, None)])
    told.look(NOW + 1000, [parked(1, None)])
    assert told.counts == {"no": 1}


def test_a_bookmark_of_a_wrong_clock_is_not_believed() -> None:
    ahead = NOW + 10 * LATE
    wrong = Progress(until=ahead, looked_at=ahead, next_at=ahead + 60_000)
    assert wrong.trusted(ahead + LATE, 60_000) == wrong
    assert wrong.trusted(NOW, 60_000) == Progress(until=NOW - LATE, looked_at=0, next_at=0)


def test_groups_are_few_whatever_the_reasons_are() -> None:
    many = look(Progress(), NOW, *[parked(n, NOW - 5000 - n, f"order {n}", f"t{n % 3}.x") for n in range(3000)])
    notices = many.notices
    assert len(notices) == MOST_GROUPS + 1
    assert sum(notice.count for notice in notices) == many.fresh == 3000
    assert {notice.count for notice in notices if notice.reason == OTHERS} == {3000 - MOST_GROUPS}
    told = document("receiver", notices, NOW / 1000, many.names)
    assert (told["count"], len(told["notices"])) == (3000, 20)
    assert told["others"] == 3000 - sum(notice["count"] for notice in told["notices"])


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (None, "no reason is kept"),
        (" \n", "no reason is kept"),
        ("the handler asked for it", "the handler asked for it"),
        ("first\nsecond", "first"),
        (
            "gave up after attempt 3: Traceback (most recent call last):\n  File x\nValueError: boom\n",
            "gave up after attempt 3: ValueError: boom",
        ),
        ("Traceback (most recent call last):\n  …\nKeyError: 'a'", "KeyError: 'a'"),
    ],
)
def test_a_reason_on_one_line(reason: str | None, said: str) -> None:
    assert short(reason) == said


@given(
    st.builds(
        Progress,
        until=st.integers(-1, 2**53),
        marks=st.frozensets(st.text("abc-_XYZ019", min_size=8, max_size=8), max_size=MOST_MARKS),
        looked_at=st.integers(0, 2**53),
        parked=st.integers(0, 2**53),
        next_at=st.integers(0, 2**53),
        failures=st.integers(0, 10**9),
        holder=st.text("0123456789abcdef", max_size=16),
    )
)
def test_what_is_written_is_read_again(progress: Progress) -> None:
    text = written(progress)
    assert len(text) <= BOOKMARK
    assert read(text) == progress


@pytest.mark.parametrize("text", ["", "{}", "[]", "no", '{"v":2}', '{"v":1}', '{"v":1,"marks":7}'])
def test_what_this_version_did_not_write_is_refused(text: str) -> None:
    with pytest.raises(UnknownProgress):
        read(text)
