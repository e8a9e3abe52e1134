"""What the overview draws agrees with a count of its own of every history of counters; a clock that goes back, and
processes that were replaced, make nothing negative; it keeps an hour and no more.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kirimhook.observe import Meter
from kirimhook.receiver.admin.report import Fleet, SecretUse
from kirimhook.receiver.pages.rates import EVERY, KEPT, MOST_SECRETS, REFUSED, SERIES, Rates
from kirimhook.testing.clock import Clock
from tests.receiver.fleets import NOW, fleet, report
from tests.receiver.working import soon

START = 1_800_000_000.0
STEPS = st.lists(
    st.tuples(st.floats(0.5, 90), st.integers(0, 40), st.integers(0, 9), st.integers(0, 30), st.integers(0, 5)),
    max_size=60,
)


async def never() -> Fleet:
    raise AssertionError("asked")


def counted(fresh: int, no_match: int, done: int, parked: int) -> Fleet:
    meter = Meter()
    meter.counter("kirimhook_requests_total").update(fresh=fresh, no_match=no_match)
    meter.counter("kirimhook_handled_total").update(done=done, parked=parked)
    return fleet(report(snapshot=meter.snapshot()))


@given(STEPS)
@settings(max_examples=60)
def test_every_minute_and_the_last_one_agree_with_a_count_apart(steps: list[tuple[float, int, int, int, int]]) -> None:
    clock = Clock(START + 17)
    rates = Rates(never, clock=clock)
    sums, seen = [0, 0, 0, 0], list[tuple[float, tuple[int, ...]]]()
    rates.note(counted(*sums))
    for pause, *more in steps:
        clock.advance(pause)
        sums = [old + new for old, new in zip(sums, more, strict=True)]
        rates.note(counted(*sums))
        seen.append((clock.now, tuple(more)))
    kept = [(at, more) for at, more in seen if at > clock.now - KEPT]
    minutes = rates.minutes()
    assert len(minutes) <= 60
    assert minutes[-1].began <= clock.now < minutes[-1].began + 60
    for minute in minutes[1:]:  # of the first one, what came before the oldest sample is not known any more
        there = [more for at, more in kept if minute.began <= at < minute.began + 60]
        expected = [sum(column) for column in zip(*there, strict=True)] or [0, 0, 0, 0]
        counts = minute.counts
        assert [counts["received"], counts[REFUSED], counts["done"], counts["parked"]] == expected
    assert all(count >= 0 for minute in minutes for count in minute.counts.values())


def test_before_it_began_there_is_no_minute() -> None:
    clock = Clock(START)
    rates = Rates(never, clock=clock)
    assert [minute.began for minute in rates.minutes()] == [START]
    assert set(rates.recent()) == {*SERIES, REFUSED}
    clock.advance(150)
    assert [minute.began for minute in rates.minutes()] == [START, START + 60, START + 120]
    clock.advance(7200)
    assert len(rates.minutes()) == 60


def test_the_last_minute_counts_what_came_in_it() -> None:
    clock = Clock(START)
    rates = Rates(never, clock=clock)
    for fresh in range(41):
        rates.note(counted(fresh, 0, 0, 0))
        clock.advance(EVERY)
    assert rates.recent()["received"] == 12  # one in every five seconds


def test_an_hour_is_kept_and_no_more() -> None:
    clock = Clock(START)
    rates = Rates(never, clock=clock)
    for fresh in range(2000):
        rates.note(counted(fresh, 0, 0, 0))
        clock.advance(EVERY)
    assert len(rates._samples) <= KEPT / EVERY + 1


def test_counters_that_go_back_and_a_clock_that_does_count_nothing() -> None:
    clock = Clock(START)
    rates = Rates(never, clock=clock)
    rates.note(counted(100, 0, 0, 0))
    clock.advance(5)
    rates.note(counted(40, 0, 0, 0))
    assert rates.recent()["received"] == 0
    clock.now = START - 1000
    rates.note(counted(50, 0, 0, 0))
    assert rates.recent()["received"] == 0
    assert all(minute.counts["received"] == 0 for minute in rates.minutes())


def test_secrets_that_were_dropped_are_remembered_and_not_without_end() -> None:
    clock = Clock(START)
    rates = Rates(never, clock=clock)
    for name in ("old", "new"):
        clock.advance(5)
        rates.note(fleet(report(secrets=(SecretUse(name, NOW, 3),))))
    assert [use.fingerprint for use in rates.known_secrets()] == ["old", "new"]
    for number in range(2 * MOST_SECRETS):
        clock.advance(5)
        rates.note(fleet(report(secrets=(SecretUse(str(number), None, 0),))))
    assert len(rates.known_secrets()) == MOST_SECRETS


def test_it_samples_from_when_it_is_started_until_it_is_stopped() -> None:
    async def main() -> None:
        asked: asyncio.Queue[Any] = asyncio.Queue()

        async def give() -> Fleet:
            asked.put_nowait(None)
            return counted(1, 0, 0, 0)

        rates = Rates(give, every=0.001)
        rates.start()
        rates.start()
        for _ in range(3):
            await soon(asked.get())
        sampling = rates._sampling
        rates.stop()
        assert sampling is not None
        await asyncio.wait({sampling})
        assert sampling.cancelled()

    asyncio.run(main())
