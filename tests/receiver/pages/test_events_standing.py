"""Of every stored event it is said where it stands and what happens next, whatever its fields hold.

The words agree with the table of states: put back can be what the table lets be put back, and has a body.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kirimhook.receiver.model import TRANSITIONS, EventState, InboundEvent, Move, StoredEvent
from kirimhook.receiver.pages.standing import NO_BODY, PAUSED, last_line, standing

NOW = 1_790_000_000_000
FIRST_WORDS = {
    EventState.WAITING: "Waiting",
    EventState.RUNNING: "Leased",
    EventState.DONE: "Handled",
    EventState.PARKED: "Parked",
    EventState.UNHANDLED: "Not handled",
    EventState.SKIPPED: "Skipped",
}
TIMES = st.none() | st.integers(NOW - 10**10, NOW + 10**10)
TEXTS = st.none() | st.text(max_size=30)
EVENTS = st.builds(
    InboundEvent,
    st.binary(min_size=16, max_size=16), st.text(max_size=20), st.text(max_size=20), st.text(max_size=9), TEXTS,
    st.booleans(), TEXTS, st.text(max_size=9), st.integers(0, NOW), st.binary(max_size=9),
)  # fmt: skip
STORED = st.builds(
    StoredEvent, st.integers(1, 10**12), EVENTS, st.sampled_from(EventState), st.integers(0, 1000), TIMES, TIMES,
    TEXTS, st.booleans(),
)  # fmt: skip


@given(STORED, st.booleans(), st.booleans())
def test_every_event_stands_somewhere_and_something_or_nothing_comes_next(
    stored: StoredEvent, paused: bool, details: bool
) -> None:
    said = standing(stored, NOW, paused=paused, details=details)
    assert said.is_now.startswith(FIRST_WORDS[stored.state])
    for sentence in (said.is_now, said.then):
        assert sentence.endswith(".")
        assert "None" not in sentence.replace(stored.event.type, "")
    assert said.can_be_put_back == ((stored.state, Move.PUT_BACK) in TRANSITIONS and stored.has_payload)
    assert said.then.endswith(NO_BODY) == ((stored.state, Move.PUT_BACK) in TRANSITIONS and not stored.has_payload)


@given(STORED)
def test_what_is_paused_waits_for_resume_and_finished_ones_for_an_operator(stored: StoredEvent) -> None:
    then = standing(stored, NOW, paused=True, details=True).then
    assert (then == PAUSED) == (stored.state is EventState.WAITING)
    if stored.state not in (EventState.WAITING, EventState.RUNNING):
        assert then.startswith("Nothing")


@given(STORED)
def test_a_time_to_come_is_told_only_of_what_has_one(stored: StoredEvent) -> None:
    then = standing(stored, NOW, paused=False, details=True).then
    told = "is due in" in then
    is_later = stored.state is EventState.WAITING and stored.due_at is not None and stored.due_at > NOW
    assert told == is_later


def test_of_a_traceback_the_last_line_says_most() -> None:
    assert last_line("Traceback (most recent call last):\n  File x\nValueError: no such order\n") == (
        "ValueError: no such order"
    )
    assert last_line(None) == last_line("  \n") == ""
