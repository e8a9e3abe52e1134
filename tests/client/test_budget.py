"""Where the API says that no call is left, the next one of that kind waits until it says that there is room; no other
call does, and no answer makes one wait for ever.
"""

from __future__ import annotations

import pytest

from kirimhook.client import calls, deliveries, events, subscriptions
from kirimhook.client.answers import Answer
from kirimhook.client.budget import Budget
from kirimhook.client.calls import Use
from kirimhook.client.exchange import Patience, Send, Surroundings, Wait, exchange

NOW = 1_800_000_000.0


def said(status: int = 200, **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"{}")


def waits(answer: Answer, now: float = NOW) -> float:
    budget = Budget()
    budget.note(Use.READ, answer, now)
    return budget.wait(Use.READ, now)


def test_none_left_means_waiting_until_the_reset() -> None:
    assert waits(said(x_ratelimit_remaining="0", x_ratelimit_reset=f"{NOW + 42:.0f}")) == 42
    assert waits(said(x_ratelimit_remaining="1", x_ratelimit_reset=f"{NOW + 42:.0f}")) == 0
    assert waits(said(x_ratelimit_reset=f"{NOW + 42:.0f}")) == 0


def test_the_reset_is_by_the_clock_of_the_api() -> None:
    """NOW is Fri, 15 Jan 2027 08:00:00 GMT; theirs is a minute ahead."""
    ahead = said(x_ratelimit_remaining="0", x_ratelimit_reset=f"{NOW + 70:.0f}", date="Fri, 15 Jan 2027 08:01:00 GMT")
    assert waits(ahead) == 10


@pytest.mark.parametrize("reset", ["", "x", "-5", "0", "9" * 30, "1.5"])
def test_a_reset_that_says_nothing_is_not_waited_for(reset: str) -> None:
    assert waits(said(x_ratelimit_remaining="0", x_ratelimit_reset=reset)) == 0


def test_what_retry_after_says_goes_before_the_reset() -> None:
    """The reset is when all calls are there again; the next one is there sooner."""
    both = said(429, x_ratelimit_remaining="0", x_ratelimit_reset=f"{NOW + 60:.0f}", retry_after="2")
    assert waits(both) == 2
    assert waits(said(429, x_ratelimit_reset=f"{NOW + 60:.0f}")) == 60
    assert waits(said(429)) == 0


def test_each_kind_of_call_has_a_room_of_its_own() -> None:
    budget = Budget()
    budget.note(Use.WRITE, said(x_ratelimit_remaining="0", x_ratelimit_reset=f"{NOW + 5:.0f}"), NOW)
    assert {use: budget.wait(use, NOW) for use in Use} == {Use.READ: 0, Use.WRITE: 5, Use.EVENTS: 0}
    budget.note(Use.WRITE, said(x_ratelimit_remaining="7"), NOW)
    assert budget.wait(Use.WRITE, NOW) == 0
    assert calls.get("/x", str).use is Use.READ
    assert deliveries.replay("wbd_1").use is subscriptions.delete("wbs_1").use is Use.WRITE
    assert events.publish(type="a.b", data={}).use is Use.EVENTS


def test_a_call_waits_for_its_room_yet_never_longer_than_it_was_told() -> None:
    budget = Budget({Use.READ: NOW + 500})
    steps = exchange(calls.get("/x", str), Surroundings(Patience(4, 60.0), budget, lambda: NOW, lambda: 0.5))
    first = next(steps)
    assert isinstance(first, Wait)
    assert first.seconds == 60.0
    assert isinstance(steps.send(None), Send)
