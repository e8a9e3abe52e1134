"""Health says what each subscription has waiting, holds and failed; it reads a bounded number of rows to say it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from kirimhook.contract.resources import SubscriptionStatus
from kirimhook.sender.latencies import quantile
from kirimhook.sender.schema import queue
from kirimhook.sender.service import Changes
from kirimhook.sender.service.health import Health
from kirimhook.sender.service.traffic import Traffic
from kirimhook.sender.store import health as store
from kirimhook.sender.store import minutes
from tests.sender.databases import Databases
from tests.sender.explained import rows_read
from tests.sender.stage import FAIL, REJECT, START, SUCCEED, Stage, at, staged

DISABLE = Changes(status=SubscriptionStatus.DISABLED)
BACKLOG = 8_000
QUIET = Traffic()


async def health_of(stage: Stage, subscription: str) -> Health:
    return (await stage.tenant.health([subscription]))[subscription]


def test_it_says_what_waits_since_when_and_what_is_held(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            assert await health_of(stage, subscription) == Health(0, 0, 0, False, None, QUIET)
            await stage.publish(2)
            stage.clock.advance(60)
            await stage.publish(2)
            assert await health_of(stage, subscription) == Health(0, 0, 4, False, at(0), QUIET)
            first, second, *_ = await stage.ids()
            await stage.settled(SUCCEED, first)
            await stage.settled(FAIL, second)
            assert await health_of(stage, subscription) == Health(
                0, 0, 3, False, at(60), QUIET
            )  # the retry is due later
            await stage.tenant.update_subscription(subscription, DISABLE)
            await stage.run("UPDATE subscriptions SET failures = 7")
            await stage.publish()
            assert await health_of(stage, subscription) == Health(
                7, 4, 4, False, None, QUIET
            )  # held: nothing is overdue

    asyncio.run(main())


def test_what_waits_behind_live_traffic_is_overdue_too(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            subscription = await stage.subscribe()
            await stage.publish()
            await stage.tenant.update_subscription(subscription, DISABLE)
            stage.clock.advance(5)
            await stage.tenant.update_subscription(subscription, Changes(status=SubscriptionStatus.ACTIVE))
            await stage.publish()
            assert await health_of(stage, subscription) == Health(0, 0, 2, False, at(0), QUIET)
            await stage.settle_open(REJECT)
            assert await health_of(stage, subscription) == Health(0, 0, 0, False, None, QUIET)

    asyncio.run(main())


def test_it_agrees_with_a_count_of_all_rows(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happened before, and where the bound is less than what waits."""
    monkeypatch.setattr(store, "MOST", 6)

    async def main() -> None:
        async with staged(databases) as stage:
            subscriptions = [await stage.subscribe(), await stage.subscribe("contact.created"), await stage.subscribe()]
            chance = random.Random(3)
            seen = set()
            for _ in range(25):
                stage.clock.advance(chance.random() * 20)
                await stage.publish(chance.randrange(5), chance.choice(["contact.created", "contact.updated"]))
                for delivery in [*await stage.ids("pending"), *await stage.ids("failed")]:
                    if chance.random() < 0.3:
                        await stage.settled(chance.choice([SUCCEED, FAIL, REJECT]), delivery)
                status = SubscriptionStatus(chance.choice(["active", "disabled"]))
                await stage.tenant.update_subscription(chance.choice(subscriptions), Changes(status=status))
                found = await stage.tenant.health(subscriptions)
                assert found == {one: await counted(stage, one) for one in subscriptions}
                seen |= {(one.has_more, one.held > 0, one.overdue_since is None) for one in found.values()}
            assert {(False, False, False), (False, True, True), (True, False, False), (True, True, True)} <= seen

    asyncio.run(main())


async def counted(stage: Stage, subscription: str) -> Health:
    """The same, from all rows."""
    is_active = await stage.one("SELECT status = 'active' FROM subscriptions WHERE id = :id", id=subscription)
    rows = await stage.rows("SELECT due_at FROM queue WHERE subscription_id = :id", id=subscription)
    due = [row[0] for row in rows if is_active and row[0] <= int(stage.clock() * 1000)]
    held = 0 if is_active else len(rows)
    overdue = at(min(due) / 1000 - START) if due else None
    return Health(0, held, min(len(rows), 6), len(rows) > 6, overdue, QUIET)


def test_it_says_what_came_of_the_last_hour(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            mine, quiet = await stage.subscribe(), await stage.subscribe()
            this = int(START) // 60
            sums = [
                minutes.Sum(stage.organisation, minute, mine, writer, 3, 2, 1, minutes.packed({5: 3}))
                for minute in (this - 60, this - 59, this)
                for writer in ("one", "two")
            ]
            await stage.database.write(lambda connection: minutes.replace(connection, sums))
            found = await stage.tenant.health([mine, quiet])
            assert found[mine].traffic == Traffic(12, 8, 4)  # of two writers; an hour ago is too long ago
            assert found[mine].traffic.success_rate == 0.5
            assert found[quiet].traffic == QUIET
            timed = (await stage.tenant.health([mine, quiet], with_times=True))[mine].traffic
            assert timed[:3] == (12, 8, 4)
            assert timed.p50_ms == timed.p99_ms == quantile(Counter({5: 1}), 0.5)

    asyncio.run(main())


def test_nothing_of_another_organisation_or_deleted(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            mine, deleted = await stage.subscribe(), await stage.subscribe()
            await stage.tenant.delete_subscription(deleted)
            other = stage.sender.tenant(await stage.another("other"))
            assert set(await stage.tenant.health([mine, deleted, "wbs_", "a\0b", "wbs_" + "0" * 26])) == {mine}
            assert await other.health([mine]) == {}
            assert await stage.tenant.health([]) == {}

    asyncio.run(main())


def backlog(subscription: str) -> Any:
    """Waiting, half of it behind live traffic."""
    rows = [
        {"delivery_id": f"{subscription}{n:06}", "subscription_id": subscription, "rank": n % 2, "due_at": n}
        for n in range(BACKLOG)
    ]

    def operation(connection: Connection) -> None:
        connection.execute(insert(queue), rows)

    return operation


def test_a_long_backlog_costs_no_more_than_the_bound(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST", 100)

    async def main() -> None:
        async with staged(databases) as stage:
            long = await stage.subscribe()
            short = await stage.subscribe()
            for subscription in (long, await stage.subscribe()):
                await stage.database.write(backlog(subscription))
            if stage.database.dialect == "postgresql":
                await stage.run("ANALYZE queue")
            read = partial(store.of, organisation_id=stage.organisation, subscription_ids=[short, long])
            assert await rows_read(stage.database, read) <= 2 * (101 + 1 + 2)  # counted, itself, and the first due
            found = await stage.tenant.health([short, long])
            assert [found[one].waiting for one in (short, long)] == [0, 100]
            assert [found[one].has_more for one in (short, long)] == [False, True]

    asyncio.run(main())
