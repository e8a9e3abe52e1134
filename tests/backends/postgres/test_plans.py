"""Plans made for empty tables stay good when the tables are not: work grows with the events, and with nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from kirimhook.backends.postgres.functions.leasing import PASSES, WINDOW
from kirimhook.backends.postgres.inbox import PostgresInbox
from kirimhook.receiver.model import EventState, RetryAt, Settlement
from tests.backends.postgres.places import PATIENCE, START, Place, done, event

EVENTS = 4_000
TOUCHES = 25
"""Index entries read for an event at most, by all of put, lease and settle. A plan that is wrong reads thousands."""


async def idle(inbox: PostgresInbox) -> None:
    """Long enough for every statement to have its plan kept, which PostgreSQL does after five."""
    for _ in range(12):
        await inbox.wait(0.01)
        assert await inbox.lease(64, 30) == []
        assert await inbox.settle([Settlement(1, 1, RetryAt(1, ""), 2)]) == [False]
        assert await inbox.renew([(1, 1)], 30) == [False]


async def put(inbox: PostgresInbox, names: Sequence[str], keys: int) -> None:
    """In batches, of so many ordering keys in turn, or without one."""
    events = [event(name, f"k{number % keys}" if keys else None) for number, name in enumerate(names)]
    for start in range(0, len(events), 500):
        await inbox.put(events[start : start + 500])


async def drain(inbox: PostgresInbox) -> int:
    ended = 0
    leases = await inbox.lease(64, 30)
    while leases:
        held, more = await asyncio.gather(inbox.settle(done(leases)), inbox.lease(64, 30))
        assert all(held)
        ended += len(held)
        leases = more or await inbox.lease(64, 30)
    return ended


async def reads(place: Place) -> tuple[int, int]:
    """Rows read by scans of whole tables, and index entries read, since the server keeps count."""
    async with place.outside() as outside:
        await outside.execute("SELECT pg_stat_clear_snapshot()")
        scanned: int = await outside.fetchval(
            "SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE schemaname = $1 "
            "AND relname IN ('events', 'payloads', 'queue', 'finished')", place.schema,
        )  # fmt: skip
        touched: int = await outside.fetchval(
            "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = $1", place.schema
        )
        return scanned, touched


async def told(inbox: PostgresInbox) -> None:
    """The server counts what a session read when that ends, at the latest."""
    await inbox.close()


def test_a_burst_after_idle_polling_of_empty_tables(place: Place) -> None:
    """Vacuumed and analysed while empty, which is when every wrong plan is as cheap as the right one."""

    async def play() -> None:
        async with place.opened() as inbox:
            async with place.outside() as outside:
                for table in ("events", "payloads", "queue", "finished"):
                    await outside.execute(f"VACUUM ANALYZE {place.schema}.{table}")
                    await outside.execute(f"ALTER TABLE {place.schema}.{table} SET (autovacuum_enabled = off)")
            await idle(inbox)
            await put(inbox, [f"{number}" for number in range(EVENTS)], keys=500)
            assert await drain(inbox) == EVENTS
            await told(inbox)
        scanned, touched = await reads(place)
        assert scanned == 0
        assert touched < TOUCHES * EVENTS

    asyncio.run(play())


def test_a_hot_key_that_waits_costs_the_others_nothing(place: Place) -> None:
    """All that is behind a head in backoff is looked at once, and not again with every lease."""

    async def play() -> None:
        async with place.opened() as inbox:
            await idle(inbox)
            await inbox.put([event("head", "hot")])
            (lease,) = await inbox.lease(64, 30)
            later = RetryAt(int(START * 1000) + 60_000, "later")
            await inbox.settle([Settlement(lease.token, lease.run[0].number, later)])
            for number in range(EVENTS):  # a batch of its own each: a batch has one head of a key at most
                if number % 100 == 0:
                    await asyncio.gather(*(one_of_hot(inbox, number + each) for each in range(100)))
            await put(inbox, [f"cold {number}" for number in range(EVENTS)], keys=0)
            assert await drain(inbox) == EVENTS
            await told(inbox)
        scanned, touched = await reads(place)
        assert scanned == 0
        assert touched < TOUCHES * 2 * EVENTS

    asyncio.run(play())


def test_after_a_long_time_without_a_worker_a_lease_is_bounded(place: Place) -> None:
    """Far more are due behind a head in backoff than one lease looks at: each goes a step on, and says so."""

    async def play() -> None:
        async with place.opened() as inbox, place.outside() as outside:
            await inbox.put([event("head", "hot")])
            (lease,) = await inbox.lease(64, 30)
            later = int(START * 1000) + 60_000
            await inbox.settle([Settlement(lease.token, lease.run[0].number, RetryAt(later, "later"))])
            queue, numbers = f"{place.schema}.queue", f"nextval('{place.schema}.numbers')"
            await outside.execute(
                f"INSERT INTO {queue} (number, lane, visible_at) SELECT {numbers}, lane, visible_at - 60000 "
                f"FROM {queue}, generate_series(1, {PASSES * WINDOW * 2})"
            )
            await inbox.put([event("cold")])
            looks = 0
            while not (leases := await inbox.lease(64, 30)):
                looks += 1
                async with asyncio.timeout(PATIENCE):
                    await inbox.wait(2 * PATIENCE)
            assert [one.event.event_id for one in leases[0].run] == ["cold"]
            assert looks == 2
            due = await outside.fetchval(f"SELECT count(*) FROM {place.schema}.queue WHERE visible_at IS NOT NULL")
            assert due == 2

    asyncio.run(play())


async def one_of_hot(inbox: PostgresInbox, number: int) -> None:
    await inbox.put([event(f"hot {number}", "hot")])


def test_a_large_past_costs_nothing(place: Place) -> None:
    """Finished events are in no table that leasing reads, but by their numbers."""

    async def play() -> None:
        async with place.opened() as inbox:
            await put(inbox, [f"old {number}" for number in range(EVENTS)], keys=0)
            assert await drain(inbox) == EVENTS
        _, before = await reads(place)
        async with place.opened() as inbox:
            await idle(inbox)
            await put(inbox, [f"{number}" for number in range(500)], keys=50)
            assert await drain(inbox) == 500
        scanned, touched = await reads(place)
        assert scanned == 0
        assert touched - before < TOUCHES * 500

    asyncio.run(play())


def test_what_is_known_and_erased_is_looked_up(place: Place) -> None:
    """At the cost of a look at an index for each, also by a plan that was made when there was nothing."""

    async def play() -> None:
        async with place.opened() as inbox:
            for _ in range(12):
                assert await inbox.known([b"nothing"]) == [None]
                assert await inbox.erase([1]) == 0
            await put(inbox, [f"{number}" for number in range(EVENTS)], keys=0)
            assert await drain(inbox) == EVENTS
        scanned, before = await reads(place)
        async with place.opened() as inbox:
            keys = [event(f"{number}").dedupe_key for number in range(100)]
            assert await inbox.known(keys) == [EventState.DONE] * 100
            assert await inbox.erase(range(1, 101)) == 100
        after, touched = await reads(place)
        assert after == scanned == 0
        assert touched - before < TOUCHES * 200

    asyncio.run(play())
