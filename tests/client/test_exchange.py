"""A call ends in its result or in one error, after at most so many retries, and no wait undercuts what the API asked.

Whatever comes back, in any order: no I/O here, a test says what each Send comes to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.client import calls, deliveries, subscriptions
from kirimhook.client.answers import Answer
from kirimhook.client.budget import Budget
from kirimhook.client.calls import Call
from kirimhook.client.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    RateLimited,
    Refused,
    ServiceFailed,
    UnexpectedAnswer,
    Unreachable,
)
from kirimhook.client.exchange import Lost, Patience, Send, Surroundings, Told, Wait, exchange

NOW = 1_800_000_000.0
OK = Answer(204, {}, b"")
BROKEN = Lost("broke off", was_sent=True, may_pass=True)
REFUSED = Lost("refused", was_sent=False, may_pass=True)


def answer(status: int, code: str = "some_code", **headers: str) -> Answer:
    body = b'{"error": {"code": "%b", "message": "no"}}' % code.encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


class Played(NamedTuple):
    result: Any
    waits: list[float]
    sent: list[Call[Any]]


def play(
    call: Call[Any], told: Iterable[Told], retries: int = 4, longest_wait: float = 60.0, draw: float = 0.5
) -> Played:
    """What a call comes to when its Sends come to these, the last one for ever."""
    clock = [NOW]
    around = Surroundings(Patience(retries, longest_wait), Budget(), lambda: clock[0], lambda: draw)
    steps, waits, sent = exchange(call, around), list[float](), list[Call[Any]]()
    coming = iter(told)
    back: Told = None
    last: Told = None
    try:
        while True:
            step = steps.send(back)
            back = None
            if isinstance(step, Wait):
                waits.append(step.seconds)
                clock[0] += step.seconds
            else:
                assert isinstance(step, Send)
                sent.append(step.call)
                back = last = next(coming, last)
    except StopIteration as end:
        return Played(end.value, waits, sent)
    except (Refused, Unreachable, UnexpectedAnswer) as error:
        return Played(error, waits, sent)


DELETE = subscriptions.delete("wbs_1")
GET = calls.get("/webhook_deliveries", lambda _: "read")
POST = deliveries.replay("wbd_1")


@pytest.mark.parametrize("passing", [BROKEN, REFUSED, *(answer(status) for status in (408, 429, 500, 502, 503, 504))])
def test_what_may_pass_is_tried_again(passing: Told) -> None:
    played = play(GET, [passing, passing, OK])
    assert (played.result, len(played.sent)) == ("read", 3)
    assert play(GET, [passing], retries=2).sent == [GET] * 3
    assert isinstance(play(GET, [passing], retries=0).result, (Refused, Unreachable))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 501])
def test_what_stays_is_not(status: int) -> None:
    played = play(GET, [answer(status)])
    assert isinstance(played.result, Refused)
    assert (played.result.status, played.waits, len(played.sent)) == (status, [], 1)


def test_a_certificate_that_nobody_trusts_is_not_tried_again() -> None:
    played = play(GET, [Lost("not trusted", was_sent=False, may_pass=False)])
    assert isinstance(played.result, Unreachable)
    assert len(played.sent) == 1


def test_a_call_under_way_is_awaited_longer_than_the_lease_of_one_that_died() -> None:
    """The API answers after 5 s each time, and forgets a call that died after 30 s (contract section 5)."""
    under_way = answer(409, "idempotency_in_progress")
    played = play(POST, [under_way])
    assert isinstance(played.result, Conflict)
    assert sum(played.waits) + 5 * len(played.sent) > 30
    assert isinstance(play(POST, [under_way, OK]).result, UnexpectedAnswer)  # 204 is no receipt: but it was sent again
    assert isinstance(play(POST, [answer(409, "last_active_secret")]).result, Conflict)


@pytest.mark.parametrize("before", [BROKEN, answer(500), answer(503)])
def test_a_delete_that_may_have_been_done_and_then_finds_nothing_is_done(before: Told) -> None:
    assert play(DELETE, [before, answer(404)]).result is None
    assert isinstance(play(GET, [before, answer(404)]).result, NotFound)


@pytest.mark.parametrize("before", [REFUSED, answer(429), answer(408)])
def test_a_delete_that_was_certainly_not_done_is_not_found(before: Told) -> None:
    assert isinstance(play(DELETE, [answer(404)]).result, NotFound)
    assert isinstance(play(DELETE, [before, answer(404)]).result, NotFound)


def test_every_try_of_a_post_is_the_same_request_under_one_key() -> None:
    one, other = (subscriptions.create(url="https://a", events=["a.b"]) for _ in range(2))
    assert play(one, [BROKEN, answer(500), answer(502)]).sent == [one] * 5
    assert len(one.headers["Idempotency-Key"]) == 32
    assert one.headers["Idempotency-Key"] != other.headers["Idempotency-Key"]


@given(st.floats(0, 0.999), st.integers(1, 8))
def test_backoff_doubles_within_its_jitter_up_to_eight_seconds(draw: float, retries: int) -> None:
    waits = play(GET, [BROKEN], retries=retries, draw=draw).waits
    assert len(waits) == retries
    for number, wait in enumerate(waits):
        step = min(0.25 * 2**number, 8.0)
        assert 0.8 * step <= wait <= 1.2 * step


@given(st.floats(0, 100), st.sampled_from([429, 503, 408, 500]))
def test_retry_after_is_never_undercut_and_never_outwaits_the_bound(asked: float, status: int) -> None:
    played = play(GET, [answer(status, retry_after=f"{asked:.3f}"), OK])
    said = float(f"{asked:.3f}")
    if said > 60:
        assert isinstance(played.result, RateLimited if status == 429 else Refused)
        assert played.result.retry_after == said
        assert played.waits == []
    else:
        assert played.result == "read"
        assert sum(played.waits) >= said - 1e-6


def test_a_date_to_wait_for_is_obeyed_too() -> None:
    at = "Fri, 15 Jan 2027 08:00:30 GMT"  # NOW is 08:00:00
    assert play(GET, [answer(503, retry_after=at), OK]).waits == [30.0]


TOLD = st.one_of(
    st.just(BROKEN),
    st.just(REFUSED),
    st.builds(
        answer,
        st.integers(100, 599),
        st.sampled_from(["idempotency_in_progress", "x"]),
        retry_after=st.sampled_from(["", "0", "5", "61", "soon", "1e9", "-1"]),
        x_ratelimit_remaining=st.sampled_from(["", "0", "1", "x"]),
        x_ratelimit_reset=st.sampled_from(["", "0", f"{NOW + 7:.0f}", f"{NOW + 999:.0f}", "9" * 40, "x"]),
        date=st.sampled_from(["", "x", "Fri, 15 Jan 2027 08:00:02 GMT"]),
    ),
)


@given(st.lists(TOLD, min_size=1, max_size=7), st.sampled_from([GET, POST, DELETE]), st.integers(0, 5))
def test_whatever_comes_back_it_ends_within_its_bounds(told: list[Told], call: Call[Any], retries: int) -> None:
    played = play(call, told, retries=retries)
    assert 1 <= len(played.sent) <= retries + 1
    assert all(0 < wait <= 60 for wait in played.waits)
    assert len(played.waits) <= 2 * retries
    if isinstance(played.result, Exception) and len(played.sent) <= retries:
        final = told[min(len(played.sent), len(told)) - 1]
        asked = getattr(played.result, "retry_after", None) or 0.0
        assert isinstance(final, Answer)  # a lost one is tried until the last
        assert asked > 60 or final.status not in {408, 429, 500, 502, 503, 504}


@pytest.mark.parametrize("status", [100, 199, 300, 301, 302, 304, 307, 308, 399])
def test_what_is_neither_success_nor_refusal_is_unexpected(status: int) -> None:
    played = play(GET, [Answer(status, {"location": "https://elsewhere.example.com", "x-request-id": "req_1"}, b"")])
    assert isinstance(played.result, UnexpectedAnswer)
    assert (played.result.status, played.result.request_id) == (status, "req_1")
    assert len(played.sent) == 1


def test_what_was_refused_says_all_that_the_api_said() -> None:
    body = (
        b'{"error": {"type": "invalid_request_error", "code": "invalid_field_value", "message": "no", "param": "url"}}'
    )
    error = play(POST, [Answer(400, {"x-request-id": "req_2"}, body)]).result
    assert isinstance(error, InvalidRequest)
    said = (error.code, error.message, error.param, error.request_id, error.status, error.retry_after)
    assert said == ("invalid_field_value", "no", "url", "req_2", 400, None)
    assert isinstance(play(GET, [Answer(500, {}, b"<html>")], retries=0).result, ServiceFailed)


def test_patience_that_makes_no_sense_is_refused() -> None:
    for retries, longest_wait in [(-1, 60.0), (4, -1.0), (4, float("nan"))]:
        with pytest.raises(ValueError):
            Patience(retries, longest_wait)
