"""Whatever is counted before, while and after sums are written, and however often writing fails, the database comes
to what was counted, once; and an engine goes on where it cannot be written at all.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirimhook.contract.resources import DeliveryStatus, Timing
from kirimhook.observe import Meter, Observer
from kirimhook.sender.database import Database
from kirimhook.sender.engine import minutes
from kirimhook.sender.engine.endpoints import Endpoint, Held
from kirimhook.sender.engine.minutes import Minutes
from kirimhook.sender.engine.results import Finished
from kirimhook.sender.engine.telemetry import Telemetry
from kirimhook.sender.latencies import bucket
from kirimhook.sender.store import minutes as store
from kirimhook.sender.store.minutes import MINUTE
from kirimhook.sender.store.queue import Leased
from kirimhook.sender.store.settling import Ended
from kirimhook.sender.transport.exchange import Exchange
from tests.sender.databases import Databases, done
from tests.sender.test_engine_telling import Lines, lines, observer

__all__ = ["lines", "observer"]

MINUTE_0 = 29_658_840
AWAY = "ALTER TABLE minutes RENAME TO away"
BACK = "ALTER TABLE away RENAME TO minutes"
OUTCOMES = {DeliveryStatus.SUCCEEDED: "succeeded", DeliveryStatus.FAILED: "failed", DeliveryStatus.DEAD: "dead"}

attempts = st.tuples(
    st.integers(1, 5),  # subscription
    st.integers(0, 3),  # minute
    st.sampled_from(list(OUTCOMES)),
    st.sampled_from(["original", "replay", "test"]),
    st.integers(0, 100_000),  # ms since the publish
)
Attempt = tuple[int, int, DeliveryStatus, str, int]


def finished(attempt: Attempt) -> Finished:
    """Subscriptions 1 and 2 are org_0's, 3 to 5 org_1's."""
    number, minute, status, kind, took = attempt
    subscription, organisation = f"sub_{number}", f"org_{int(number > 2)}"
    at = (MINUTE_0 + minute) * MINUTE + number
    leased = Leased("whd", subscription, 0, 0, 0, organisation, kind, "e", "t", "kirim", 8, at - took, "e", 1, None)
    ended = Ended("whd", "t", subscription, organisation, True, 1, status, None, None, at, at, 200, None, "{}")
    exchange = Exchange(0.0, 1.0, Timing(None, None, None, None), None, 200, None, {}, b"", None)
    return Finished(Held(leased, Endpoint(subscription), "t", 1.0), ended, exchange)


async def check_sums(database: Database, counted: list[Attempt]) -> None:
    """Of each organisation and subscription, by minute."""
    for organisation, numbers in (("org_0", (1, 2)), ("org_1", (3, 4, 5))):
        for subscription, mine in [("", numbers), *[(f"sub_{number}", (number,)) for number in numbers]]:
            expected: dict[int, Counter[str]] = {}
            times: dict[int, Counter[int]] = {}
            for number, minute, status, kind, took in counted:
                if number in mine:
                    expected.setdefault(MINUTE_0 + minute, Counter())[OUTCOMES[status]] += 1
                    taken = times.setdefault(MINUTE_0 + minute, Counter())
                    if status is DeliveryStatus.SUCCEEDED and kind == "original":
                        taken[bucket(took)] += 1
            found = await read(database, organisation, subscription)
            assert {at: counts_of(sums) for at, sums in found.items()} == expected
            assert {at: sums.latencies for at, sums in found.items()} == times


async def read(database: Database, organisation: str, subscription: str) -> dict[int, store.Sums]:
    window = range(MINUTE_0, MINUTE_0 + 10)
    return await database.read(lambda connection: store.by_minute(connection, organisation, window, subscription))


def counts_of(sums: store.Sums) -> Counter[str]:
    return +Counter({outcome: getattr(sums, outcome) for outcome in OUTCOMES.values()})


def summing(database: Database, name: str = "e", every: float = 60.0, observer: Observer | None = None) -> Minutes:
    return Minutes(database, Telemetry(observer or Observer(), Meter()), name, every)


def test_the_database_comes_to_what_was_counted(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two engines, in any order: attempts, writing with attempts meanwhile, writing that fails."""
    monkeypatch.setattr(minutes, "BATCH", 3)
    steps = st.one_of(
        st.tuples(st.just("count"), attempts),
        st.tuples(st.just("flush"), st.lists(attempts, max_size=4)),
        st.tuples(st.just("fail"), st.lists(attempts, max_size=4)),
    )

    @settings(max_examples=25)
    @given(st.lists(st.tuples(st.integers(0, 1), steps), max_size=20))
    def check(history: list[tuple[int, Any]]) -> None:
        asyncio.run(playing(history))

    async def playing(history: list[tuple[int, Any]]) -> None:
        async with databases.opened() as database:
            await database.write(done("DELETE FROM minutes"))
            engines, counted = [summing(database, "a"), summing(database, "b")], list[Attempt]()
            for who, (what, given) in history:
                if what == "count":
                    engines[who].count(finished(given))
                    counted.append(given)
                else:
                    await flush(database, engines[who], given, fails=what == "fail")
                    counted += given
            for engine in engines:
                await engine.flush()
            await check_sums(database, counted)

    async def flush(database: Database, engine: Minutes, meanwhile: list[Attempt], *, fails: bool) -> None:
        if fails:
            await database.write(done(AWAY))
        flushing = asyncio.create_task(engine.flush())
        for attempt in meanwhile:
            await asyncio.sleep(0)
            engine.count(finished(attempt))
        [failed] = await asyncio.gather(flushing, return_exceptions=True)
        if fails:
            await database.write(done(BACK))
            assert failed is None or "minutes" in str(failed)
        else:
            assert failed is None

    check()


def test_what_is_written_late_is_added(databases: Databases) -> None:
    """A sum that was written, and forgotten since, does not take its place."""

    async def main() -> None:
        early: Attempt = (1, 0, DeliveryStatus.DEAD, "original", 5)
        late: Attempt = (1, 3, DeliveryStatus.SUCCEEDED, "original", 5)
        async with databases.opened() as database:
            engine = summing(database)
            for attempt in (early, late, early, late):
                engine.count(finished(attempt))
                await engine.flush()
            await check_sums(database, [early, late, early, late])

    asyncio.run(main())


def test_memory_is_bounded(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is past the bound is left out, and there is room again when minutes have passed."""
    monkeypatch.setattr(minutes, "MOST", 3)

    async def main() -> None:
        first: list[Attempt] = [(number, 0, DeliveryStatus.DEAD, "original", 5) for number in (1, 2, 3)]
        later: Attempt = (3, 2, DeliveryStatus.DEAD, "original", 5)
        async with databases.opened() as database:
            engine = summing(database)
            for attempt in (*first, later):
                engine.count(finished(attempt))
            await engine.flush()
            await check_sums(database, first[:2])
            engine.count(finished(later))
            await engine.flush()
            await check_sums(database, [*first[:2], later])

    asyncio.run(main())


def test_an_outage_is_told_once_and_costs_nothing(databases: Databases, lines: Lines, observer: Observer) -> None:
    async def main() -> None:
        async with databases.opened() as database:
            engine = summing(database, every=0.01, observer=observer)
            await database.write(done(AWAY))
            running = asyncio.create_task(engine.run())
            made: list[Attempt] = [(1, 0, DeliveryStatus.DEAD, "original", 5), (4, 1, DeliveryStatus.FAILED, "test", 5)]
            async with asyncio.timeout(20):
                engine.count(finished(made[0]))
                await lines.told("minutes_not_written", 1)
                engine.count(finished(made[1]))
                await database.write(done(BACK))
                while not await read(database, "org_1", "sub_4"):  # noqa: ASYNC110  # the task under test writes it, and tells nobody
                    await asyncio.sleep(0.01)
                engine.stop()
                await running
            assert len(lines.named("minutes_not_written")) == 1
            await check_sums(database, made)

    asyncio.run(main())


def test_what_is_left_is_written_at_the_end(databases: Databases) -> None:
    async def main() -> None:
        made: Attempt = (1, 0, DeliveryStatus.DEAD, "original", 5)
        async with databases.opened() as database:
            engine = summing(database, every=3600.0)
            running = asyncio.create_task(engine.run())
            await asyncio.sleep(0)
            engine.count(finished(made))
            engine.stop()
            async with asyncio.timeout(20):
                await running
            await check_sums(database, [made])

    asyncio.run(main())
