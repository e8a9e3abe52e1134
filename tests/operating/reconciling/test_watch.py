"""A watch replays all that is missing once the endpoint is healthy, and until then next to nothing: within its budget,
no event more often than allowed, no two tries of a sick endpoint in quick succession; people hear of a trouble once.

Played in a model of the provider (`provider`), in which days pass in milliseconds.
"""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.client.errors import Unauthenticated, Unreachable, refusal
from kirimhook.operating.reconciling.states import Pace, State
from kirimhook.operating.reconciling.verdicts import MOST_ROUNDS, MOST_TRIES, Verdict
from kirimhook.operating.reconciling.watch import Terms, Watch, until_stopped
from tests.operating.reconciling.provider import HOUR, Played, Provider

DAY = 24 * HOUR
SLOW = Pace(every=900.0)


def played(provider: Provider, time: Played, budget: int = 1000, pace: Pace = Pace()) -> Watch:  # noqa: B008  # frozen
    watch = Watch(provider, time, Terms(budget, pace))
    asyncio.run(watch.run())
    return watch


def told(time: Played) -> list[State | None]:
    return [news.trouble for news in time.news if news.trouble]


def test_an_outage_heals_by_itself() -> None:
    time = Played(DAY)
    healthy_at = time.now + 3 * HOUR
    provider = Provider(time.clock, lambda at: at >= healthy_at)
    provider.die(*range(500))
    played(provider, time)
    assert provider.held == set(range(500))
    assert provider.letters == {}
    tried_in_vain = [at for at, was_taken in provider.probes if not was_taken]
    assert len(tried_in_vain) < 20
    assert len(provider.replays) == 500
    last = max(at for at, _ in provider.replays)
    assert last < healthy_at + 1000
    assert told(time) == [State.UNHEALTHY]


def test_a_budget_is_kept_and_all_is_replayed_in_the_end() -> None:
    time = Played(DAY)
    provider = Provider(time.clock, lambda _: True)
    provider.die(*range(450))
    played(provider, time, budget=100)
    assert provider.held == set(range(450))
    assert told(time) == [State.OUT_OF_BUDGET]
    for at, _ in provider.replays:
        assert sum(at - HOUR < other <= at for other, _ in provider.replays) <= 100


def test_an_event_that_is_refused_for_ever_stands_in_nobodys_way_and_is_given_up() -> None:
    time = Played(3 * DAY)
    provider = Provider(time.clock, lambda _: True, poison=frozenset({0, 7}))
    provider.die(*range(50))
    watch = played(provider, time)
    assert provider.held == set(range(50)) - {0, 7}
    assert [sum(number == one for _, number in provider.replays) for one in (0, 7)] == [MOST_ROUNDS] * 2
    assert watch.told.left == {Verdict.GIVEN_UP: 2}
    assert [news.left for news in time.news if news.left][-1] == {Verdict.GIVEN_UP: 2}


def test_a_deployment_that_refuses_everything_for_hours_gives_no_event_up() -> None:
    """Each canary is dead at once (404), and none of it is the events' fault."""
    time = Played(DAY)
    mended_at = time.now + 8 * HOUR
    provider = Provider(time.clock, lambda _: True, refuses_all=lambda at: at < mended_at)
    provider.die(*range(20))
    watch = played(provider, time)
    assert provider.held == set(range(20))
    assert max(at for at, _ in provider.replays) < mended_at + 1000
    assert watch.told.left == {}


def test_a_lone_event_that_nothing_tells_the_endpoint_from_is_given_up_in_the_end() -> None:
    time = Played(7 * DAY)
    provider = Provider(time.clock, lambda _: True, poison=frozenset({1}), says_why=False)
    provider.die(1)
    watch = played(provider, time)
    assert len(provider.replays) == MOST_TRIES
    assert watch.told.left == {Verdict.GIVEN_UP: 1}


def test_a_disabled_subscription_is_reported_once_and_nothing_is_replayed_before_it_is_enabled() -> None:
    time = Played(DAY)
    enabled_at = time.now + 5 * HOUR
    provider = Provider(time.clock, lambda _: True, is_enabled=lambda at: at >= enabled_at)
    provider.die(1, 2, 3)
    played(provider, time)
    assert told(time) == [State.DISABLED]
    assert min(at for at, _ in provider.replays) >= enabled_at
    assert provider.held == {1, 2, 3}


def test_an_endpoint_of_another_inbox_ends_the_watch_after_three_tries() -> None:
    time = Played(DAY)
    provider = Provider(time.clock, lambda _: True, is_misplaced=True)
    provider.die(*range(100))
    watch = played(provider, time)
    assert watch.course.state is State.MISPLACED
    assert len(provider.replays) == 3
    assert told(time) == [State.MISPLACED]


@pytest.mark.parametrize(
    "away",
    [
        Unreachable("no route"),
        refusal(503, b"", None, 1.0),
        refusal(404, b"<html>nothing is deployed here</html>", None, None),
        refusal(403, b"", None, None),
    ],
    ids=str,
)
def test_a_provider_that_is_away_is_asked_ever_more_rarely_and_told_of_when_it_lasts(away: Exception) -> None:
    """Also where a proxy in front of it answers in its own words."""
    time = Played(DAY)
    back_at = time.now + 6 * HOUR
    provider = Provider(time.clock, lambda _: True, is_away=lambda at: at < back_at, away=away)
    provider.die(*range(10))
    played(provider, time)
    assert told(time) == [State.BLIND]
    assert sum(news.state is State.BLIND for news in time.news) < 40
    assert provider.held == set(range(10))


def test_a_refusal_of_the_api_itself_ends_the_watch() -> None:
    time = Played(DAY)
    body = b'{"error": {"type": "authentication_error", "code": "revoked_api_key", "message": "revoked"}}'
    provider = Provider(time.clock, lambda _: True, is_away=lambda _: True, away=refusal(401, body, None, None))
    provider.die(1)
    with pytest.raises(Unauthenticated, match="revoked"):
        played(provider, time)


def test_letters_that_come_while_it_rests_are_found() -> None:
    time = Played(DAY)
    provider = Provider(time.clock, lambda _: True)
    time.due = [(time.now + hour * HOUR, lambda hour=hour: provider.die(hour)) for hour in range(1, 20)]  # type: ignore[misc]  # a default binds it
    played(provider, time)
    assert provider.held == set(range(1, 20))
    assert told(time) == []


outages = st.lists(st.tuples(st.floats(0, 3 * DAY), st.floats(60, DAY)), max_size=4)
arrivals = st.lists(st.tuples(st.floats(0, 3 * DAY), st.integers(0, 200)), max_size=30)


@given(outages, outages, arrivals, st.sets(st.integers(0, 200), max_size=3), st.integers(5, 100))
def test_any_weather(
    down: list[tuple[float, float]],
    away: list[tuple[float, float]],
    dying: list[tuple[float, int]],
    poison: set[int],
    budget: int,
) -> None:
    time = Played(7 * DAY)
    start = time.now

    def within(spells: list[tuple[float, float]], at: float) -> bool:
        return any(begin <= at - start < begin + length for begin, length in spells)

    provider = Provider(
        time.clock, lambda at: not within(down, at), frozenset(poison), is_away=lambda at: within(away, at)
    )
    first = {number: at for at, number in sorted(dying, reverse=True)}
    time.due = [(start + at, lambda number=number: provider.die(number)) for number, at in first.items()]  # type: ignore[misc]  # a default binds it
    played(provider, time, budget, SLOW)

    for number in first:
        assert len(set(provider.rounds[number])) <= MOST_ROUNDS
        assert sum(number == one for _, one in provider.replays) <= MOST_ROUNDS * MOST_TRIES
    for at, _ in provider.replays:
        assert sum(at - HOUR < other <= at for other, _ in provider.replays) <= budget
    in_vain = [at for (at, was_taken), (_, then) in pairwise(provider.probes) if not was_taken and not then]
    assert all(later - at >= SLOW.first * 0.79 for at, later in pairwise(in_vain))
    lost = {number for number in first if number not in provider.held and number not in poison}
    assert all(len(set(provider.rounds[number])) == MOST_ROUNDS or number in provider._open for number in lost)


@pytest.mark.parametrize("drain", [0.01, 10.0])
def test_what_was_begun_may_end_when_it_is_told_to_stop_and_is_broken_off_when_it_takes_too_long(drain: float) -> None:
    async def main() -> tuple[State, bool]:
        stop, may_end = asyncio.Event(), asyncio.Event()
        ended = False

        async def work() -> State:
            nonlocal ended
            stop.set()
            if drain > 1:
                may_end.set()
            await may_end.wait()
            ended = True
            return State.STOPPED

        return await until_stopped(work(), stop, drain), ended

    assert asyncio.run(main()) == (State.STOPPED, drain > 1)
