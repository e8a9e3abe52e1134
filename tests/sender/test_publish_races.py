"""Publishers among themselves, and against whoever changes which subscriptions match. Nothing is lost or doubled."""

from __future__ import annotations

import asyncio
from collections import Counter

from kirimhook.contract.resources import SubscriptionStatus
from kirimhook.sender.service import Changes, KirimEvent, Sender
from tests.sender.databases import Databases
from tests.sender.outbox import asyncpg_engine
from tests.sender.stage import Stage, staged

CREATED, UPDATED = "contact.created", "contact.updated"


def batch(start: int, count: int) -> list[KirimEvent]:
    return [KirimEvent(CREATED, {"n": n}, f"evt_{n}") for n in range(start, start + count)]


async def another(stage: Stage, databases: Databases, *, publishes: int, backwards: bool) -> list[int]:
    """The numbers of the events that this publisher, with connections of its own, was told are new."""
    new: list[int] = []
    async with databases.opened() as database:
        sender = Sender(database, stage.settings, stage.sender.context.sealer, clock=stage.clock)
        for number in range(publishes):
            events = batch(number * 50, 50)[:: -1 if backwards else 1]
            receipts = await sender.publish(stage.organisation, events)
            new += [int(receipt.id.removeprefix("evt_")) for receipt in receipts if not receipt.duplicate]
    return new


def test_two_who_publish_the_same_in_opposite_order_both_succeed(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage:
            await stage.subscribe(CREATED)
            publishers = [another(stage, databases, publishes=20, backwards=n % 2 == 1) for n in range(4)]
            new = Counter(number for numbers in await asyncio.gather(*publishers) for number in numbers)
            assert new == Counter(range(1000))
            assert await stage.one("SELECT count(*) FROM deliveries") == 1000
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_nor_do_they_deadlock_in_transactions_that_nobody_repeats(postgres_url: str) -> None:
    """In the callers' own transactions a deadlock would come out."""

    async def publisher(stage: Stage, *, backwards: bool) -> None:
        engine = asyncpg_engine(postgres_url)
        try:
            for number in range(30):
                events = batch(number * 50, 50)[:: -1 if backwards else 1]
                async with engine.begin() as connection:
                    await stage.sender.publish(stage.organisation, events, connection=connection)
        finally:
            await engine.dispose()

    async def main() -> None:
        async with staged(Databases(postgres_url)) as stage:
            await stage.subscribe(CREATED)
            await asyncio.gather(*[publisher(stage, backwards=n % 2 == 1) for n in range(4)])
            assert await stage.one("SELECT count(*) FROM deliveries") == 1500

    asyncio.run(main())


def test_no_delivery_joins_a_deleted_subscription(databases: Databases) -> None:
    """One publishes as fast as it can, one makes and deletes subscriptions: what is open belongs to the living."""

    async def main() -> None:
        async with staged(databases) as stage, databases.opened() as database:
            other = Sender(database, stage.settings, stage.sender.context.sealer, clock=stage.clock)
            tenant, ended = other.tenant(stage.organisation), asyncio.Event()
            orphans = (
                "SELECT count(*) FROM queue q JOIN subscriptions s ON s.id = q.subscription_id"
                " WHERE s.deleted_at IS NOT NULL"
            )

            async def publish() -> int:
                number = 0
                while not ended.is_set():
                    await stage.tenant.publish(batch(number, 20))
                    number += 20
                return number

            async def change() -> None:
                for _ in range(20):
                    made = await tenant.create_subscription("https://example.com/", [CREATED])
                    await tenant.update_subscription(made.id, Changes(events=[CREATED, UPDATED]))
                    await tenant.delete_subscription(made.id)
                    assert await stage.one(orphans) == 0
                ended.set()

            published, _ = await asyncio.gather(publish(), change())
            assert published > 0
            assert await stage.one(orphans) == 0
            assert await stage.one("SELECT sum(matches) FROM events") == await stage.one(
                "SELECT count(*) FROM deliveries"
            )
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_a_change_of_types_waits_for_the_publishes_under_way(postgres_url: str) -> None:
    """So what was published by the old types is committed before the change is answered, not after it."""
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

    async def main() -> None:
        engine = asyncpg_engine(postgres_url)
        async with staged(Databases(postgres_url)) as stage, engine.connect() as connection:
            subscription = await stage.subscribe(CREATED)
            for changes in (Changes(events=[UPDATED]), Changes(status=SubscriptionStatus.DISABLED)):
                await stage.sender.publish(stage.organisation, batch(0, 1), connection=connection)
                change = asyncio.create_task(stage.tenant.update_subscription(subscription, changes))
                while not change.done() and not await stage.one(waiting):
                    pass
                assert not change.done()
                await connection.commit()
                await change
        await engine.dispose()

    asyncio.run(main())


def test_what_is_published_after_a_change_obeys_it(databases: Databases) -> None:
    """The change of types waits for the publishes under way; those that begin after it see it."""

    async def main() -> None:
        async with staged(databases) as stage, databases.opened() as database:
            other = Sender(database, stage.settings, stage.sender.context.sealer, clock=stage.clock)
            subscription = await stage.subscribe(CREATED)

            async def change() -> None:
                changes = Changes(events=[UPDATED])
                await other.tenant(stage.organisation).update_subscription(subscription, changes)

            async def publish(start: int) -> list[int]:
                receipts = await stage.tenant.publish(batch(start, 10))
                return [receipt.deliveries for receipt in receipts]

            made = await asyncio.gather(publish(0), publish(100), change(), publish(200), publish(300))
            assert all(len(set(counts)) == 1 for counts in made if counts)  # a batch is before the change or after it
            assert await publish(400) == [0] * 10
            assert await stage.wrong() == set()

    asyncio.run(main())
