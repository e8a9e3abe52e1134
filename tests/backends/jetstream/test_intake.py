"""Puts on a real server: every event once, a duplicate only for certain."""

from __future__ import annotations

import asyncio
import time

import pytest

from kirimhook.backends.jetstream.codec import decode
from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.receiver.model import EventState, Receipt, StoredEvent
from kirimhook.testing.nats import NatsCluster, nats_cluster
from tests.backends.jetstream.rig import NOW, PARKED, Putter, Relay, event, first_server, fresh_name, putting

FRESH, DUPLICATE, DUPLICATE_PARKED = Receipt.FRESH, Receipt.DUPLICATE, Receipt.DUPLICATE_PARKED


def test_an_event_is_stored_once_whoever_brings_it(node: NatsCluster) -> None:
    """In one call, in another, by another handle, at once or later, under another ordering key."""

    async def play() -> None:
        name = fresh_name()
        async with putting(node.url(name)) as one, putting(node.url(name)) as other:
            assert await one.put(event("a"), event("b"), event("a")) == [FRESH, FRESH, DUPLICATE]
            assert await other.put(event("b"), event("c")) == [DUPLICATE, FRESH]
            assert await other.put(event("a", "628123"), event("a", "628124")) == [DUPLICATE, DUPLICATE]
            assert await one.put() == []
            both = await asyncio.gather(*(who.put(event(f"x{n}")) for n in range(50) for who in (one, other)))
            assert sorted(both) == [[DUPLICATE]] * 50 + [[FRESH]] * 50
            assert await one.stored() == 53

    asyncio.run(play())


def test_what_is_stored_can_be_read_as_it_came(node: NatsCluster) -> None:
    """In the partition of its key, in the order of the puts."""

    async def play() -> None:
        name = fresh_name()
        async with putting(node.url(name, partitions=2)) as putter:
            events = [event(f"e{n}", "628123", b"%d" % n) for n in range(30)]
            await asyncio.gather(*(putter.put(one) for one in events))
            found = await putter.link.read(putter.names.events, putter.names.all_events(), 1, 100, 1 << 20)
            stored = [decode(message.payload) for message in found]
            assert [one.event for one in stored] == events
            assert {one.at for one in stored} == {NOW}
            assert len({putter.names.partition_in(message.subject) for message in found}) == 1

    asyncio.run(play())


def test_a_duplicate_of_a_parked_event_is_told_as_one(node: NatsCluster) -> None:
    async def play() -> None:
        async with putting(node.url(fresh_name())) as putter:
            await putter.put(event("a"), event("b"), event("c"))
            await putter.link.publish(putter.names.aside_of(1, 1), PARKED)
            await putter.link.publish(putter.names.aside_of(1, 2), b"put back")
            receipts = await putter.put(event("a"), event("b"), event("c"))
            assert receipts == [DUPLICATE_PARKED, DUPLICATE, DUPLICATE]

    asyncio.run(play())


def test_an_event_that_is_too_large_fails_alone(node: NatsCluster) -> None:
    """And at once, with a reason; the others of the same turn are stored."""

    async def play() -> None:
        async with putting(node.url(fresh_name())) as putter:
            began = time.monotonic()
            large = event("large", body=bytes(putter.link.max_payload))
            found = await asyncio.gather(
                putter.put(event("a")), putter.put(large), putter.put(event("b")), return_exceptions=True
            )
            assert found[0] == found[2] == [FRESH]
            assert isinstance(found[1], InboxUnavailable)
            assert found[1].reason == "too_large"
            assert time.monotonic() - began < putter.settings.commit_bound / 2

    asyncio.run(play())


def test_a_full_stream_takes_nothing_and_loses_nothing(node: NatsCluster) -> None:
    """A duplicate stays a duplicate; with room again, it goes on."""

    async def play() -> None:
        async with putting(node.url(fresh_name())) as putter:
            await putter.put(event("a"), event("b"))
            config = (await putter.link.info(putter.names.events))["config"]
            await putter.link.api(f"STREAM.UPDATE.{putter.names.events}", {**config, "max_msgs": 2})
            with pytest.raises(InboxUnavailable) as full:
                await putter.put(event("c"))
            assert full.value.reason == "storage_full"
            assert await putter.put(event("a")) == [DUPLICATE]
            assert await putter.stored() == 2
            await putter.link.api(f"STREAM.UPDATE.{putter.names.events}", {**config, "max_bytes": 1000})
            with pytest.raises(InboxUnavailable) as full:
                await putter.put(event("d", body=bytes(2000)))
            assert full.value.reason == "storage_full"
            await putter.link.api(f"STREAM.UPDATE.{putter.names.events}", config)
            assert await putter.put(event("c"), event("d")) == [FRESH, FRESH]

    asyncio.run(play())


@pytest.mark.parametrize("other_was_first", [False, True])
def test_an_event_whose_answer_was_lost_is_told_for_what_it_is(node: NatsCluster, *, other_was_first: bool) -> None:
    """The server has it, and says so to the second try: fresh if the first try stored it, else a duplicate."""

    async def play() -> None:
        name, relay = fresh_name(), Relay(first_server(node))
        async with (
            putting(node.url(name)) as other,
            relay.running(node.url(name)) as url,
            putting(url, commit_bound=30.0) as putter,
        ):
            if other_was_first:
                assert await other.put(event("a")) == [FRESH]
            relay.swallows = True
            putting_a = asyncio.create_task(putter.put(event("a")))
            await relay.swallowed.wait()
            relay.cut()
            assert await putting_a == [DUPLICATE if other_was_first else FRESH]
            assert await other.stored() == 1
            assert await putter.put(event("a")) == [DUPLICATE]

    asyncio.run(play())


def test_before_the_streams_are_found_nothing_is_taken(node: NatsCluster) -> None:
    async def play() -> None:
        putter = Putter(JetStreamSettings.from_url(node.url(fresh_name())))
        with pytest.raises(InboxUnavailable) as early:
            await putter.put(event("a"))
        assert early.value.reason == "storage_unavailable"
        with pytest.raises(InboxUnavailable):
            await putter.intake.adopt([stored("a", EventState.DONE)])

    asyncio.run(play())


def test_puts_during_an_outage_fail_within_their_bound_and_go_on_after_it() -> None:
    """503 meanwhile, nothing that hangs; what failed can be sent again."""

    async def play(cluster: NatsCluster) -> None:
        async with putting(cluster.url("x"), commit_bound=1.5) as putter:
            assert await putter.put(event("a")) == [FRESH]
            cluster.nodes[0].kill()
            began = time.monotonic()
            found = await asyncio.gather(*(putter.put(event(f"e{n}")) for n in range(20)), return_exceptions=True)
            assert all(isinstance(one, InboxUnavailable) for one in found)
            assert len({id(one) for one in found}) == 20
            assert time.monotonic() - began < 10
            cluster.nodes[0].start()
            cluster.ready()
            await putter.link.connect()
            receipts = await putter.put(*(event(f"e{n}") for n in range(20)), event("a"))
            assert receipts == [FRESH] * 20 + [DUPLICATE]

    with nats_cluster(1) as cluster:
        asyncio.run(play(cluster))


def test_closing_stores_what_waits(node: NatsCluster) -> None:
    async def play() -> None:
        async with putting(node.url(fresh_name()), commit_bound=60.0) as putter:
            waiting = [asyncio.create_task(putter.put(event(f"e{n}"))) for n in range(3000)]
            await asyncio.sleep(0)
            putter.arrivals.close()
            await putter.intake.end()
            assert await asyncio.gather(*waiting) == [[FRESH]] * 3000
            assert await putter.stored() == 3000

    asyncio.run(play())


def test_a_put_tells_all_handles(node: NatsCluster) -> None:
    async def play() -> None:
        name = fresh_name()
        async with putting(node.url(name)) as one, putting(node.url(name)) as other:
            told = asyncio.Event()
            other.link.on_hint(told.set)
            await other.link.info(other.names.events)  # its subscription is known by now
            assert not told.is_set()
            assert await one.put(event("a")) == [FRESH]
            async with asyncio.timeout(30):
                assert await told.wait()

    asyncio.run(play())


def stored(key: str, state: EventState, ordering_key: str | None = None, due: int | None = None) -> StoredEvent:
    finished = state not in (EventState.WAITING, EventState.RUNNING)
    return StoredEvent(7, event(key, ordering_key), state, 3, due, NOW if finished else None, "why", has_payload=True)


def test_events_of_another_inbox_are_stored_as_they_stood_there(node: NatsCluster) -> None:
    """In order, once; one that was running there waits here, due at once."""

    async def play() -> None:
        async with putting(node.url(fresh_name())) as putter:
            await putter.put(event("known"))
            events = [
                stored("known", EventState.PARKED),
                stored("done", EventState.DONE, "628123"),
                stored("later", EventState.WAITING, "628123", NOW + 5000),
                stored("running", EventState.RUNNING, "628123", NOW + 9000),
                stored("parked", EventState.PARKED, "628123"),
            ]
            assert await putter.intake.adopt(events) == 4
            assert await putter.intake.adopt(events) == 0
            found = await putter.link.read(putter.names.events, putter.names.all_events(), 2, 100, 1 << 20)
            read = [decode(message.payload) for message in found]
            assert [one.event.event_id for one in read] == ["done", "later", "running", "parked"]
            adopted = [one.adopted for one in read if one.adopted]
            assert [one.state for one in adopted] == [
                EventState.DONE,
                EventState.WAITING,
                EventState.WAITING,
                EventState.PARKED,
            ]
            assert [one.due for one in adopted] == [None, NOW + 5000, None, None]
            assert [one.finished_at for one in adopted] == [NOW, None, None, NOW]
            assert {(one.attempts, one.reason) for one in adopted} == {(3, "why")}
            many = [stored(f"m{n}", EventState.WAITING, f"62812{n % 3}") for n in range(300)]
            assert await putter.intake.adopt(many) == 300
            order = await putter.link.read(putter.names.events, putter.names.all_events(), 6, 1000, 1 << 22)
            assert [decode(message.payload).event.event_id for message in order] == [f"m{n}" for n in range(300)]

    asyncio.run(play())
