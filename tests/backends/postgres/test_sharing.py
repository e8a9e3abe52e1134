"""Several processes on one database: no deadlock, no number that comes late, nothing overtaken."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kirimhook.backends.postgres.inbox import PostgresInbox
from kirimhook.backends.postgres.link import TRIES, Connection
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.receiver.model import Receipt
from tests.backends.postgres.places import Place, done, event

ROUNDS = 60


def test_two_receivers_with_the_same_events_in_opposite_orders(place: Place) -> None:
    """Each of a pair of batches is answered, every event is fresh once, and no deadlock was ever broken up."""

    async def play() -> None:
        async with place.opened() as one, place.opened() as other, place.outside() as outside:
            for turn in range(ROUNDS):
                batch = [event(f"{turn} {number}", f"k{number % 3}") for number in range(50)]
                here, there = await asyncio.gather(one.put(batch), other.put(batch[::-1]))
                for mine, theirs in zip(here, there[::-1], strict=True):
                    assert {mine, theirs} == {Receipt.FRESH, Receipt.DUPLICATE}
            deadlocks = await outside.fetchval(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            )
            assert deadlocks == 0

    asyncio.run(play())


def test_whoever_reads_in_order_misses_nothing(place: Place) -> None:
    """A number that can be seen has no lower one that comes later, however many put at once."""

    async def put(inbox: PostgresInbox, name: str) -> None:
        for number in range(ROUNDS):
            await inbox.put([event(f"{name} {number} {each}") for each in range(5)])

    async def play() -> None:
        async with place.opened() as one, place.opened() as two, place.opened() as three, place.opened() as reader:
            putting = asyncio.gather(put(one, "one"), put(two, "two"), put(three, "three"))
            seen: list[int] = []
            while len(seen) < 3 * 5 * ROUNDS:
                over = putting.done()
                found = await reader.read(seen[-1] if seen else 0, 1_000)
                seen += [stored.number for stored in found]
                if over:
                    break
            await putting
            assert len(seen) == 3 * 5 * ROUNDS
            assert seen == sorted(seen)

    asyncio.run(play())


def test_two_workers_take_nothing_twice_and_overtake_nothing(place: Place) -> None:
    """Both lease while both put: each event once, each key in order of commit, by one holder at a time."""
    handled: list[tuple[int, str | None]] = []
    busy: set[str | None] = set()

    async def work(inbox: PostgresInbox, putting: asyncio.Future[Any]) -> None:
        while True:
            over = putting.done()
            leases = await inbox.lease(5, 30)
            if over and not leases:
                return
            for lease in leases:
                key = lease.run[0].event.ordering_key
                assert key not in busy
                busy.add(key)
                handled.extend((one.number, one.event.ordering_key) for one in lease.run)
            await asyncio.sleep(0)
            for lease in leases:
                busy.discard(lease.run[0].event.ordering_key)
            assert all(await inbox.settle(done(leases)))

    async def put(inbox: PostgresInbox, name: str) -> None:
        for number in range(ROUNDS * 4):
            await inbox.put([event(f"{name} {number}", f"k{number % 7}")])

    async def play() -> None:
        async with place.opened() as one, place.opened() as two:
            putting = asyncio.gather(put(one, "one"), put(two, "two"))
            await asyncio.gather(work(one, putting), work(two, putting))

    asyncio.run(play())
    assert len(handled) == len(set(handled)) == ROUNDS * 8
    for key in {key for _, key in handled}:
        numbers = [number for number, mine in handled if mine == key]
        assert numbers == sorted(numbers)


def test_a_lease_never_waits_for_a_handler_s_transaction(place: Place) -> None:
    """Its lease runs out meanwhile, another worker takes the event, and the handler's effects are undone."""

    async def play() -> None:
        async with place.opened() as one, place.opened() as other, place.outside() as outside:
            await outside.execute(f"CREATE TABLE {place.schema}_orders (name text)")
            await one.put([event("a", "k")])
            (settlement,) = done(await one.lease(1, 30))
            inside, go_on = asyncio.Event(), asyncio.Event()
            loop = asyncio.get_running_loop()

            def work(transaction: object) -> None:
                transaction.execute(f"INSERT INTO {place.schema}_orders VALUES ('slow')")  # type: ignore[attr-defined]  # a transaction, as the worker gives it
                loop.call_soon_threadsafe(inside.set)
                asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()

            slow = asyncio.create_task(one.transact(settlement, work))
            await inside.wait()
            place.clock.advance(31)
            async with asyncio.timeout(5):
                taken = await other.lease(1, 30)
                assert [lease.run[0].attempt for lease in taken] == [2]
                assert await other.settle(done(taken)) == [True]
            go_on.set()
            assert await slow is False
            assert await outside.fetchval(f"SELECT count(*) FROM {place.schema}_orders") == 0

    asyncio.run(play())


@pytest.mark.parametrize(("conflicts", "reason"), [(0, None), (TRIES - 1, None), (TRIES, "conflict")])
def test_what_another_s_transaction_undid_is_run_again(place: Place, conflicts: int, reason: str | None) -> None:
    """A few times; then it is an outage like any other, and the connection is as good as before."""

    async def play() -> None:
        async with place.opened() as inbox:
            session = inbox._session
            assert session is not None
            left = conflicts

            async def work(connection: Connection) -> int:
                nonlocal left
                left -= 1
                if left >= 0:
                    await connection.execute("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40P01'; END $$")
                process: int = await connection.fetchval("SELECT pg_backend_pid()")
                return process

            link = session._operating
            if reason is None:
                first = await session.home.run(link.run(work))
                assert await session.home.run(link.run(work)) == first
            else:
                with pytest.raises(InboxUnavailable) as raised:
                    await session.home.run(link.run(work))
                assert raised.value.reason == reason

    asyncio.run(play())
