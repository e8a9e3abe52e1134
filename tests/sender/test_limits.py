"""A bucket lets at most `limit` calls through at once, and as many in every minute thereafter; what it says of itself
is true; nothing is kept of one that is full; a clock that goes back shuts nobody out for more than a minute.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kirimhook.sender.limits import Bucket, Limits, Use
from kirimhook.settings import SenderSettings

START = 1_800_000_000.0
steps = st.lists(st.floats(0, 20), min_size=1, max_size=120)


class Tokens:
    """The textbook's bucket: tokens that drip in."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.tokens = float(limit)
        self.at = START

    def take(self, now: float) -> bool:
        self.tokens = min(self.limit, self.tokens + (now - self.at) * self.limit / 60)
        self.at = now
        if self.tokens < 1 - 1e-6:
            return False
        self.tokens -= 1
        return True


@given(st.integers(1, 30), steps)
def test_it_lets_through_what_the_textbooks_bucket_does(limit: int, pauses: list[float]) -> None:
    bucket, tokens, now = Bucket(limit), Tokens(limit), START
    for pause in pauses:
        now += pause
        verdict = bucket.take("org", now)
        before = tokens.tokens
        admitted = tokens.take(now)
        if abs(before - 1) > 1e-3:  # at the very edge, rounding may go either way
            assert verdict.admitted == admitted
        if verdict.admitted != admitted:
            tokens.tokens += -1 if verdict.admitted else 1
        assert abs(verdict.remaining - max(0, tokens.tokens)) <= 1 + 1e-3
        assert verdict.limit == limit


@given(st.integers(1, 30), steps)
def test_after_the_wait_that_it_names_a_call_is_let_through(limit: int, pauses: list[float]) -> None:
    bucket, now = Bucket(limit), START
    for pause in pauses:
        now += pause
        verdict = bucket.take("org", now)
        if not verdict.admitted:
            assert 1 <= verdict.wait <= 60
            assert bucket.take("org", now + verdict.wait).admitted
            now += verdict.wait


def test_all_are_there_again_when_it_says() -> None:
    bucket = Bucket(10)
    verdicts = [bucket.take("org", START) for _ in range(11)]
    assert [verdict.remaining for verdict in verdicts] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0]
    assert [verdict.admitted for verdict in verdicts] == [True] * 10 + [False]
    assert verdicts[-1].reset == START + 60
    assert bucket.take("org", START + 60).remaining == 9


def test_organisations_and_kinds_of_call_do_not_count_for_each_other() -> None:
    limits = Limits(SenderSettings(reads_per_minute=1, writes_per_minute=1))
    taken = [limits.take(use, org, START) for use in (Use.READ, Use.WRITE) for org in ("a", "b")]
    assert all(verdict and verdict.admitted for verdict in taken)
    again = limits.take(Use.READ, "a", START)
    assert again is not None
    assert not again.admitted


def test_a_limit_of_nought_is_none() -> None:
    limits = Limits(SenderSettings(reads_per_minute=0))
    assert limits.take(Use.READ, "a", START) is None
    assert limits.take(Use.EVENTS, "a", START) is None
    assert limits.take(Use.WRITE, "a", START) is not None


def test_a_clock_that_goes_back_shuts_nobody_out_for_more_than_a_minute() -> None:
    bucket = Bucket(5)
    for _ in range(5):
        assert bucket.take("org", START).admitted
    back = START - 86_400
    assert not bucket.take("org", back).admitted
    assert bucket.take("org", back + 60).admitted


def test_nothing_is_kept_of_a_bucket_that_is_full() -> None:
    bucket = Bucket(600)
    for number in range(10_000):
        bucket.take(f"org_{number}", START + number)
    assert len(bucket._full_at) < 2100
