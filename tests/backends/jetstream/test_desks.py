"""What a handle does at its desks: little while idle, no more ahead than it may, and in the company of others."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from kirimhook.backends.jetstream import ahead
from kirimhook.backends.jetstream.inbox import JetStreamInbox
from kirimhook.backends.jetstream.link import Link, Message
from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.receiver.model import EventState, InboundEvent, RetryAt, Settlement
from kirimhook.testing.clock import Clock
from kirimhook.testing.nats import NatsCluster
from tests.backends.jetstream.handles import done, drain, events, handles, link_of
from tests.backends.jetstream.rig import NOW, event
from tests.backends.jetstream.test_journal import desks_of


class CountingLink(Link):
    """Counts what it asks."""

    asked = 0

    async def api(self, name: str, request: dict[str, Any] | None, *, first: float | None = None) -> dict[str, Any]:
        self.asked += 1
        return await super().api(name, request, first=first)

    async def read(self, stream: str, subject: str, seq: int, most: int, most_bytes: int) -> list[Message]:
        self.asked += 1
        return await super().read(stream, subject, seq, most, most_bytes)


class SlowLink(Link):
    """Holds back the answer of an append to a journal, once it was told to."""

    def __init__(self, settings: JetStreamSettings) -> None:
        super().__init__(settings)
        self.holds = False
        self.stored, self.looked = threading.Event(), threading.Event()
        self.go_on = asyncio.Event()

    async def publish(self, subject: str, payload: bytes, *, expected: int | None = None, over: str = "") -> int:
        sequence = await super().publish(subject, payload, expected=expected, over=over)
        if self.holds and ".jr." in subject:
            self.stored.set()
            await self.go_on.wait()
        return sequence

    async def info(self, stream: str) -> dict[str, Any]:
        found = await super().info(stream)
        if self.stored.is_set() and stream.endswith("_journal"):
            self.looked.set()
            await asyncio.sleep(0)
            self.go_on.set()
        return found


def test_what_another_wrote_is_seen_however_late_our_own_answers_are(node: NatsCluster) -> None:
    """A record of ours was counted in the stream before its answer came; the next one there is not ours."""

    async def play() -> None:
        async with handles(node, partitions=1) as there:
            inbox, other = await there.open(SlowLink), await there.open()
            await inbox.put(events("a"))
            link_of(inbox).holds = True
            leasing = asyncio.create_task(inbox.lease(1, 30))
            assert await asyncio.to_thread(link_of(inbox).stored.wait, 10)
            assert (await inbox.stats()).counts[EventState.RUNNING] == 1
            assert len(await leasing) == 1
            assert link_of(inbox).looked.is_set()
            link_of(inbox).holds = False
            await other.pause()
            assert (await inbox.stats()).paused

    asyncio.run(play())


class LateLink(Link):
    """An append to a journal takes longer than the lease that it grants, by the inbox's clock."""

    clock: Clock | None = None

    async def publish(self, subject: str, payload: bytes, *, expected: int | None = None, over: str = "") -> int:
        sequence = await super().publish(subject, payload, expected=expected, over=over)
        if self.clock is not None and ".jr." in subject:
            self.clock.advance(10)
        return sequence


def test_a_lease_that_ran_out_while_it_was_granted_is_not_granted_twice_at_once(node: NatsCluster) -> None:
    """Else a worker that renews it handles its run beside itself."""

    async def play() -> None:
        async with handles(node) as there:
            inbox = await there.open(LateLink)
            await inbox.put(events("a", "b"))
            link_of(inbox).clock = there.clock
            heads = [lease.run[0].number for lease in await inbox.lease(3, 3)]
            assert sorted(heads) == sorted(set(heads))

    asyncio.run(play())


def test_an_idle_worker_asks_little(node: NatsCluster) -> None:
    """Twice in 100 ms, and once more for what is new."""

    async def play() -> None:
        async with handles(node) as there:
            inbox = await there.open(CountingLink)
            await inbox.put(events("held"))
            await inbox.lease(1, 10_000)
            await inbox.wait(0.1)
            link_of(inbox).asked = 0
            await inbox.wait(1.0)
            assert link_of(inbox).asked <= 24

    asyncio.run(play())


async def put_many(inbox: JetStreamInbox, many: list[InboundEvent]) -> None:
    for start in range(0, len(many), 1000):
        await inbox.put(many[start : start + 1000])


def test_events_are_read_ahead_within_bounds(node: NatsCluster) -> None:
    async def play() -> None:
        async with handles(node, partitions=1) as there:
            inbox = await there.open()
            await put_many(inbox, events(*(f"{index}" for index in range(4_000))))
            assert len(await inbox.lease(10, 30)) == 10
            await inbox.wait(1)
            for desk in desks_of(inbox).all:
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(desk.rest(), desk._loop))
                assert len(desk.ahead.fresh) <= ahead.MOST + ahead.PAGE
            large = b"x" * 1_000_000
            await put_many(inbox, [event(f"large {index}", body=large) for index in range(40)])
            assert len(await drain(inbox)) == 3_990 + 40
            assert all(desk.ahead._bytes <= ahead.MOST_BYTES + 2_000_000 for desk in desks_of(inbox).all)

    asyncio.run(play())


def test_thousands_behind_a_head_in_backoff_hold_up_nobody(node: NatsCluster) -> None:
    async def play() -> None:
        async with handles(node, partitions=1, max_waiting=10_000) as there:
            inbox = await there.open()
            await inbox.put(events("head", key="hot"))
            (lease,) = await inbox.lease(1, 30)
            await inbox.settle([Settlement(lease.token, lease.run[0].number, RetryAt(NOW + 60_000, "later"))])
            await put_many(inbox, events(*(f"{index}" for index in range(3_000)), key="hot"))
            await inbox.put(events("healthy", key="cold"))
            (lease,) = await inbox.lease(5, 30)
            assert [one.event.event_id for one in lease.run] == ["healthy"]
            assert await inbox.settle(done(lease)) == [True]
            there.clock.advance(60)
            assert await drain(inbox) == ["head", *(f"{index}" for index in range(3_000))]

    asyncio.run(play())


def test_two_at_one_partition_share_it(node: NatsCluster) -> None:
    """Each event is handled once, those of a key in order, and both get some."""
    handled: list[str] = []

    async def some(inbox: JetStreamInbox) -> int:
        count = 0
        while leases := await inbox.lease(3, 30):
            for lease in leases:
                handled.extend(one.event.event_id for one in lease.run)
                assert all(await inbox.settle(done(lease)))
                count += len(lease.run)
        return count

    async def play() -> None:
        async with handles(node, partitions=1) as there:
            inboxes = [await there.open(), await there.open()]
            for index in range(300):
                await inboxes[0].put([event(f"{index:03}", f"k{index % 40}" if index % 3 else None)])
            counts = await asyncio.gather(*map(some, inboxes))
            assert min(counts) > 0
            assert sorted(handled) == [f"{index:03}" for index in range(300)]
            for key in range(40):
                of_key = [name for name in handled if int(name) % 40 == key and int(name) % 3]
                assert of_key == sorted(of_key)

    asyncio.run(play())


def test_what_is_adopted_is_noted_behind_more_than_is_read_ahead(node: NatsCluster) -> None:
    """Nothing is leased meanwhile that would note the rest."""

    async def play() -> None:
        async with handles(node, partitions=1) as there, handles(node) as elsewhere:
            source, inbox = await elsewhere.open(), await there.open()
            await source.put(events("done"))
            assert await drain(source) == ["done"]
            await inbox.pause()
            for start in range(0, ahead.MOST + 500, 500):
                await inbox.put(events(*(f"e{index}" for index in range(start, start + 500))))
            async with asyncio.timeout(30):
                assert await inbox.adopt(await source.read(0, 1)) == 1
            assert (await inbox.stats()).counts[EventState.DONE] == 1

    asyncio.run(play())
