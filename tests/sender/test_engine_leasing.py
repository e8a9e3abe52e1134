"""A lease takes what is due, of active subscriptions, no more of each than there is room for, and takes turns. What it
costs depends neither on how much is due nor on how many subscriptions there are.
"""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import Any

import pytest
from sqlalchemy import insert, text

from kirimhook.contract import ids
from kirimhook.sender.model import Rank
from kirimhook.sender.schema import queue as queue_table
from kirimhook.sender.store import queue
from kirimhook.sender.store.batches import plan_by_index
from tests.sender.databases import Databases
from tests.sender.engines import NOW, Stage, stage

MS = int(NOW * 1000)
URL = "https://localhost:1/"


def order(**fields: Any) -> queue.Order:
    known = {
        "after": "", "room": 100, "small": 16_384, "most": (10, 4), "held": {}, "versions": {}, "now": MS,
        "until": MS + 30_000, "token": "t1",
    }  # fmt: skip
    return queue.Order(**{**known, **fields})


async def lease(stage: Stage, **fields: Any) -> queue.Haul:
    return await stage.database.write(partial(queue.lease, order=order(**fields)))


def of(haul: queue.Haul) -> dict[tuple[str, int], int]:
    """How many of each lane."""
    counts: dict[tuple[str, int], int] = {}
    for one in haul.leased:
        counts[one.subscription_id, one.rank] = counts.get((one.subscription_id, one.rank), 0) + 1
    return counts


def test_what_comes_with_a_lease(databases: Databases) -> None:
    async def main() -> None:
        async with stage(databases) as set_up:
            subscription = await set_up.subscribe(URL)
            (id_,) = await set_up.publish(subscription, body=b"small")
            (large,) = await set_up.publish(subscription, body=b"x" * 20_000)
            haul = await lease(set_up)
            leased = {one.delivery_id: one for one in haul.leased}
            assert leased[id_].body == b"small"
            assert (leased[large].size, leased[large].body) == (20_000, None)
            one = leased[id_]
            assert (one.subscription_id, one.organisation_id, one.rank, one.attempts) == (subscription, "org_1", 0, 0)
            assert (one.due_at, one.created_at, one.kind, one.max_attempts) == (MS, MS, "original", 8)
            assert (one.event_type, one.source, one.size) == ("contact.created", "kirim", 5)
            (endpoint,) = haul.endpoints
            assert (endpoint.id, endpoint.version, endpoint.url, endpoint.is_active) == (subscription, 1, URL, True)
            assert len(endpoint.secrets) == 1
            assert await set_up.rows("SELECT DISTINCT token, due_at FROM queue") == [("t1", MS + 30_000)]
            body = await set_up.database.read(partial(queue.body_of, event=leased[large].event))
            assert body == b"x" * 20_000

    asyncio.run(main())


def test_known_endpoints_do_not_come_again(databases: Databases) -> None:
    async def main() -> None:
        async with stage(databases) as set_up:
            subscription = await set_up.subscribe(URL)
            await set_up.publish(subscription, 3)
            assert (await lease(set_up, room=1, versions={subscription: 1})).endpoints == []
            await set_up.change("UPDATE subscriptions SET version = 2")
            (endpoint,) = (await lease(set_up, room=1, versions={subscription: 1})).endpoints
            assert endpoint.version == 2

    asyncio.run(main())


@pytest.mark.parametrize("state", ["status = 'disabled'", "deleted_at = 1"])
def test_nothing_of_a_subscription_that_is_not_active(databases: Databases, state: str) -> None:
    async def main() -> None:
        async with stage(databases) as set_up:
            await set_up.publish(await set_up.subscribe(URL), 3)
            await set_up.change(f"UPDATE subscriptions SET {state}")
            haul = await lease(set_up)
            assert (haul.leased, haul.next_due, haul.oldest) == ([], None, None)

    asyncio.run(main())


def test_bounds_of_each_subscription(databases: Databases) -> None:
    async def main() -> None:
        async with stage(databases) as set_up:
            one, other = await set_up.subscribe(URL), await set_up.subscribe(URL)
            for subscription in (one, other):
                await set_up.publish(subscription, 20)
                await set_up.publish(subscription, 20, rank=Rank.BACKGROUND)
            haul = await lease(set_up, held={one: (7, 1), other: (0, 4)})
            assert of(haul) == {(one, 0): 1, (one, 1): 1, (other, 0): 6}
            assert of(await lease(set_up, held={one: (10, 0), other: (2, 8)})) == {}
            await set_up.change("DELETE FROM queue WHERE rank = 0")
            assert of(await lease(set_up, held={one: (7, 1), other: (0, 4)})) == {(one, 1): 2}

    asyncio.run(main())


def test_not_before_it_is_due_and_the_first_first(databases: Databases) -> None:
    async def main() -> None:
        async with stage(databases) as set_up:
            made = await set_up.publish(await set_up.subscribe(URL), 4)
            for number, id_ in enumerate(made):
                await set_up.change("UPDATE queue SET due_at = :at WHERE delivery_id = :id", at=MS + 1 - number, id=id_)
            haul = await lease(set_up, room=2)
            assert [one.delivery_id for one in haul.leased] == [made[3], made[2]]
            haul = await lease(set_up)
            assert [one.delivery_id for one in haul.leased] == [made[1]]
            assert haul.next_due is None or haul.next_due > MS
            assert (await lease(set_up)).next_due == MS + 1
            assert (await lease(set_up, now=MS + 1)).leased[0].delivery_id == made[0]

    asyncio.run(main())


def test_they_take_turns_where_there_is_little_room(databases: Databases) -> None:
    async def main() -> None:
        async with stage(databases) as set_up:
            subscriptions = sorted([await set_up.subscribe(URL) for _ in range(4)])
            for subscription in subscriptions:
                await set_up.publish(subscription, 30)
            served: list[str] = []
            after = ""
            while len(served) < 8:
                haul = await lease(set_up, room=3, after=after)
                assert len(haul.leased) == 3
                served += sorted({one.subscription_id for one in haul.leased})
                after = haul.after
            assert served == [*subscriptions, *subscriptions]

    asyncio.run(main())


def test_two_engines_never_lease_the_same(databases: Databases) -> None:
    async def main() -> None:
        async with stage(databases) as set_up, databases.opened() as second:
            for _ in range(5):
                await set_up.publish(await set_up.subscribe(URL), 40)
            leases = [
                database.write(partial(queue.lease, order=order(room=25, token=f"t{number}")))
                for number, database in enumerate([set_up.database, second] * 6)
            ]
            hauls = await asyncio.gather(*leases)
            taken = [one.delivery_id for haul in hauls for one in haul.leased]
            assert len(taken) == len(set(taken))
            assert len(taken) >= 50

    asyncio.run(main())


def test_more_subscriptions_than_one_lease_looks_at(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "WINDOW", 3)

    async def main() -> None:
        async with stage(databases) as set_up:
            subscriptions = sorted([await set_up.subscribe(URL) for _ in range(7)])
            for subscription in subscriptions:
                await set_up.publish(subscription, 1)
            await set_up.change("UPDATE queue SET due_at = :at", at=MS + 5000)
            await set_up.publish(subscriptions[5], 1)
            seen, after = [], ""
            while True:
                haul = await lease(set_up, after=after)
                seen += [one.subscription_id for one in haul.leased]
                after = haul.after
                if not after:
                    break
            assert seen == [subscriptions[5]]

    asyncio.run(main())


MANY = 20_000


@pytest.mark.parametrize("backlog", ["in front", "beside", "leased"])
def test_a_lease_reads_few_rows_however_many_there_are(databases: Databases, backlog: str) -> None:
    """Counted by the database itself: rows read by PostgreSQL, instructions run by SQLite."""

    async def main() -> None:
        async with stage(databases) as set_up:
            front = await set_up.subscribe(URL, id="wbs_0" + "A" * 25) if backlog == "in front" else None
            subscription = await set_up.subscribe(URL)
            await set_up.publish(subscription, 5)
            alone = await cost(set_up, front)
            await set_up.change("ANALYZE")  # what a database knows of a table can be older than its rows
            await fill(set_up, front or subscription, MS + 1 if backlog != "leased" else MS + 20_000)
            if backlog == "beside":
                await set_up.publish(subscription, 5)
            assert await cost(set_up, front) < 2 * alone + 200

    async def cost(set_up: Stage, front: str | None) -> int:
        """Of a lease of 5, of which nothing is kept."""
        wanted = order(room=5, most=(5, 5), held={front: (5, 0)} if front else {}, now=MS + 1)

        def measured(connection: Any) -> int:
            before = work(connection)
            haul = queue.lease(connection, wanted)
            assert len(haul.leased) == 5
            queue.give_back(connection, {one.delivery_id: one.due_at for one in haul.leased})
            return work(connection) - before

        return await set_up.database.write(measured)

    async def fill(set_up: Stage, subscription: str, due_at: int) -> None:
        """Rows that are only looked at, so they need no delivery: due after those that are taken, never at once."""
        lone = {"subscription_id": subscription, "rank": 0, "due_at": due_at, "token": None}
        rows = [{**lone, "delivery_id": ids.make("wbd_", MS + 1, os.urandom(10))} for _ in range(MANY)]

        def write(connection: Any) -> None:
            connection.execute(insert(queue_table), rows)

        await set_up.database.write(write)

    asyncio.run(main())


def work(connection: Any) -> int:
    if connection.dialect.name == "sqlite":
        counting = connection.connection.driver_connection
        steps = STEPS.setdefault(id(counting), [0])
        counting.set_progress_handler(lambda: steps.__setitem__(0, steps[0] + 1), 10)
        return steps[0] * 10
    plan_by_index(connection)
    read = "SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0) FROM pg_stat_xact_user_tables"
    return int(connection.execute(text(read)).scalar())


STEPS: dict[int, list[int]] = {}
