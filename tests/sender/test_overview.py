"""The overview: of one organisation alone, its window and its counts bounded, what waits as the queue has it, and
forgotten after two days.

`minutes` gets its rows here as engines write them (`tests/sender/test_minutes.py` holds those to the attempts).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from kirimhook.contract.errors import ApiError
from kirimhook.sender.latencies import bucket
from kirimhook.sender.service import Traffic, overview
from kirimhook.sender.store import backlog, minutes
from kirimhook.sender.store.minutes import MINUTE, Sum
from tests.sender.databases import Databases
from tests.sender.explained import rows_read
from tests.sender.stage import FAIL, START, SUCCEED, Stage, at, staged

THIS = int(START) // 60
Row = tuple[int, str, int, int, int]
"""Minutes ago, subscription ("": all), succeeded, failed, dead."""


async def written(stage: Stage, rows: Sequence[Row], writer: str = "one", organisation: str = "") -> None:
    who, times = organisation or stage.organisation, minutes.packed({bucket(40): 1})
    sums = [Sum(who, THIS - row[0], row[1], writer, *row[2:], times) for row in rows]
    await stage.database.write(partial(minutes.replace, sums=sums))


def counts_of(traffic: Traffic) -> tuple[int, int, int]:
    return traffic.succeeded, traffic.failed, traffic.dead


def test_what_engines_wrote_is_added_up(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await written(stage, [(59, "", 4, 0, 0), (3, "", 5, 2, 1), (60, "", 100, 0, 0), (0, "", 1, 0, 0)])
            await written(stage, [(3, "", 1, 0, 1)], "other")
            await written(stage, [(3, "", 1, 2, 3)], "other")  # in place of the last
            seen = await stage.tenant.overview()
            assert (seen.now, seen.step_minutes, len(seen.steps)) == (at(0), 1, 60)
            assert [step.at.timestamp() for step in seen.steps] == [(THIS - ago) * 60 for ago in range(59, -1, -1)]
            busy = {59 - n: counts_of(step.traffic) for n, step in enumerate(seen.steps) if step.traffic.attempts}
            assert busy == {59: (4, 0, 0), 3: (6, 4, 4), 0: (1, 0, 0)}
            assert counts_of(seen.total) == (11, 4, 4)
            assert seen.total.success_rate == pytest.approx(11 / 19)
            assert seen.total.delivered_rate == pytest.approx(11 / 15)
            assert seen.total.p50_ms == pytest.approx(40, rel=0.08)

    asyncio.run(main())


@pytest.mark.parametrize(("window", "step"), [(2, 1), (60, 1), (72, 1), (73, 5), (360, 5), (1440, 20), (2880, 60)])
def test_a_window_is_shown_in_few_steps(databases: Databases, window: int, step: int) -> None:
    """Which begin at whole multiples, and have all of the window."""

    async def main() -> None:
        async with staged(databases) as stage:
            stage.clock.now += 7 * 60
            await written(stage, [(window - 8, "", 1, 0, 0), (-7, "", 0, 1, 0)])
            seen = await stage.tenant.overview(window)
            assert seen.step_minutes == step
            assert len(seen.steps) <= overview.MOST_STEPS + 1
            assert all(shown.at.timestamp() % (60 * step) == 0 for shown in seen.steps)
            first, last = seen.steps[0].traffic, seen.steps[-1].traffic
            assert (first.succeeded, last.failed) == (1, 1)
            assert counts_of(seen.total) == (1, 1, 0)

    asyncio.run(main())


@pytest.mark.parametrize("window", [0, -1, 2881])
def test_a_window_has_bounds(databases: Databases, window: int) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            with pytest.raises(ValueError, match="2880"):
                await stage.tenant.overview(window)

    asyncio.run(main())


def test_of_nothing_there_is_no_rate(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            seen = await stage.tenant.overview()
            assert seen.total == Traffic()
            assert (seen.total.success_rate, seen.total.delivered_rate, seen.total.p99_ms) == (None, None, None)
            assert seen.waiting == overview.Waiting(0, 0, 0, None)
            assert (seen.busiest, seen.has_subscription) == ([], False)
            await stage.subscribe()
            assert (await stage.tenant.overview()).has_subscription

    asyncio.run(main())


def test_organisations_do_not_see_each_other(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            mine = await stage.subscribe()
            await written(stage, [(1, "", 5, 0, 0), (1, mine, 5, 0, 0)])
            await stage.publish(3)
            other = stage.sender.tenant(await stage.another("other"))
            seen = await other.overview()
            assert (seen.total, seen.waiting, seen.busiest) == (Traffic(), overview.Waiting(0, 0, 0, None), [])
            assert not seen.has_subscription
            for unknown in (mine, "wbs_01JVYQ4X8N6T3F0R2M5K7H9C1B", "", "wbs_nonsense", "\0"):
                with pytest.raises(ApiError, match="no such subscription"):
                    await other.overview(subscription_id=unknown)

    asyncio.run(main())


def test_the_busiest_subscriptions_come_first(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleted ones too, with what they are by now; and no more than were asked for."""
    monkeypatch.setattr(overview, "BUSIEST", 3)

    async def main() -> None:
        async with staged(databases) as stage:
            subscriptions = [await stage.subscribe() for _ in range(5)]
            traffic = [(2, 0, 0), (7, 1, 2), (0, 4, 0), (100, 0, 0), (0, 0, 8)]
            rows: list[Row] = [(9, who, *counts) for who, counts in zip(subscriptions, traffic, strict=True)]
            await written(stage, [*rows, (61, subscriptions[0], 999, 0, 0), (9, "", 109, 5, 10)])
            await written(stage, [(9, subscriptions[4], 0, 0, 3)], "other")
            await stage.tenant.delete_subscription(subscriptions[1])
            seen = await stage.tenant.overview(2880)
            assert [busy.id for busy in seen.busiest] == [subscriptions[n] for n in (3, 4, 1)]
            assert [counts_of(busy.traffic) for busy in seen.busiest] == [(100, 0, 0), (0, 0, 11), (7, 1, 2)]
            assert [busy.status for busy in seen.busiest] == ["active", "active", "deleted"]
            assert seen.busiest_since == at((THIS - 59) * 60 - START)
            (alone,) = (await stage.tenant.overview(subscription_id=subscriptions[0])).busiest
            assert (alone.id, counts_of(alone.traffic)) == (subscriptions[0], (2, 0, 0))

    asyncio.run(main())


def test_the_look_for_the_busiest_is_bounded(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among too many rows, it is made among the newest; and it is said since when."""
    monkeypatch.setattr(minutes, "WALK", 4)

    async def main() -> None:
        async with staged(databases) as stage:
            early, late = [await stage.subscribe() for _ in range(2)]
            await written(stage, [(30, early, 1000, 0, 0), *[(ago, late, 1, 0, 0) for ago in range(6)]])
            seen = await stage.tenant.overview()
            assert [busy.id for busy in seen.busiest] == [late]
            assert seen.busiest[0].traffic.attempts == 4
            assert seen.busiest_since == at((THIS - 3) * 60 - START)

    asyncio.run(main())


def test_what_waits_is_what_the_queue_has(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """Due, due later, held; counted no further than it is shown, and the oldest is the one due longest."""

    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await stage.publish(3)
            stage.clock.now += 50
            await stage.publish(4)
            failed, done, *_ = await stage.ids()
            await stage.settled(FAIL, failed)
            await stage.settled(SUCCEED, done)
            waiting = (await stage.tenant.overview()).waiting
            assert waiting == overview.Waiting(5, 1, 0, at(0))
            monkeypatch.setattr(overview, "MOST_COUNTED", 2)
            assert (await stage.tenant.overview()).waiting[:2] == (2, 1)
            monkeypatch.undo()
            stage.clock.now += 60
            assert (await stage.tenant.overview()).waiting == overview.Waiting(6, 0, 0, at(0))
            await stage.run("UPDATE queue SET rank = 1")
            assert (await stage.tenant.overview()).waiting == overview.Waiting(6, 0, 0, at(0))
            await stage.run("UPDATE subscriptions SET status = 'disabled', held = 6")
            assert (await stage.tenant.overview()).waiting == overview.Waiting(0, 0, 6, None)

    asyncio.run(main())


def test_it_reads_no_more_of_a_large_table(databases: Databases) -> None:
    """A day of a hundred other subscriptions, and a long backlog, cost the organisation's own figures nothing."""

    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe()
            await written(stage, [(ago, who, 1, 0, 0) for ago in range(60) for who in ("", "a")])

            def figures(connection: Any) -> None:
                window = range(THIS - 59, THIS + 1)
                minutes.by_minute(connection, stage.organisation, window)
                backlog.backlog(connection, stage.organisation, int(START * 1000), 5)

            few = await rows_read(stage.database, figures)
            crowd: list[Row] = [(ago, f"wbs_{n}", 1, 0, 0) for ago in range(60) for n in range(100)]
            await written(stage, crowd)
            await written(stage, crowd, "two", "another")
            await stage.publish(300)
            await stage.run("ANALYZE")
            assert await rows_read(stage.database, figures) <= few + 60

    asyncio.run(main())


def test_it_is_forgotten_after_two_days(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases, keep_batch=2) as stage:
            await written(stage, [(ago, who, 1, 0, 0) for ago in (2878, 2879, 2880, 3000) for who in ("", "a")])
            kept = await stage.sender.keep()
            assert (kept.minutes, kept.more) == (2, True)
            await stage.keep()
            left = await stage.rows("SELECT DISTINCT minute FROM minutes")
            assert sorted(THIS - minute for (minute,) in left) == [2878, 2879]
            assert (await stage.tenant.overview(2880)).total.succeeded == 2
            stage.clock.now += 10 * MINUTE / 1000
            await stage.keep()
            assert await stage.rows("SELECT * FROM minutes") == []

    asyncio.run(main())
