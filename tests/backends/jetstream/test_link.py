"""Storing with an expectation, reading and removing, on a real server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from kirimhook.backends.jetstream.link import NO_STREAM, Link, Message, OutcomeUnknown, Refused, WrongLast
from kirimhook.backends.jetstream.names import Names
from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.testing.nats import NatsCluster, nats_cluster
from tests.backends.jetstream.rig import Relay, first_server, fresh_name, linked


@contextlib.asynccontextmanager
async def boxed(node: NatsCluster) -> AsyncIterator[tuple[Link, Names]]:
    name = fresh_name()
    async with linked(node.url(name)) as link:
        yield link, Names(name)


@pytest.fixture
def nobody() -> Iterator[str]:
    """The address of a port that answers nobody."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def test_a_message_is_stored_only_where_the_last_one_is_as_expected(node: NatsCluster) -> None:
    """Of its own subject, or of all that match a pattern; and who was wrong learns what the last one is."""

    async def play() -> None:
        async with boxed(node) as (link, names):
            subject = names.records(1)
            first = await link.publish(subject, b"a", expected=0)
            with pytest.raises(WrongLast) as wrong:
                await link.publish(subject, b"b", expected=0)
            assert wrong.value.last == first
            assert await link.publish(subject, b"b", expected=first) == first + 1
            assert await link.publish(subject, b"c") == first + 2
            await link.publish(names.event(1, b"k"), b"", expected=0, over=names.known("A" * 26))
            known = names.known(names.event(1, b"k").rpartition(".")[2])
            with pytest.raises(WrongLast):
                await link.publish(names.event(2, b"k"), b"", expected=0, over=known)

    asyncio.run(play())


def test_messages_come_in_order_from_where_one_asks(node: NatsCluster) -> None:
    """Bounded by number and by bytes, at least one if there is one; of the subjects asked for only."""

    async def play() -> None:
        async with boxed(node) as (link, names):
            for number in range(20):
                await link.publish(names.records(number % 2), b"%d" % number * 100)
            even = await link.read(names.journal, names.records(0), 0, 100, 1 << 20)
            assert [found.sequence for found in even] == list(range(1, 21, 2))
            assert [found.payload for found in even] == [b"%d" % number * 100 for number in range(0, 20, 2)]
            assert {found.subject for found in even} == {names.records(0)}
            assert [found.sequence for found in await link.read(names.journal, names.records(0), 6, 2, 1 << 20)] == [
                7,
                9,
            ]
            few = await link.read(names.journal, names.records(0), 1, 100, 300)
            assert 1 <= len(few) < 10
            assert len(await link.read(names.journal, names.records(0), 1, 100, 1)) == 1
            assert await link.read(names.journal, names.records(0), 21, 100, 1 << 20) == []
            assert await link.read(names.journal, names.records(7), 1, 100, 1 << 20) == []

    asyncio.run(play())


def test_one_message_is_found_by_place_or_subject(node: NatsCluster) -> None:
    """By the leader, and by whoever has it; what is not there is None, at once."""

    async def play() -> None:
        async with boxed(node) as (link, names):
            await link.publish(names.records(1), b"a")
            await link.publish(names.records(2), b"b")
            second = Message(2, names.records(2), b"b")
            assert await link.last(names.journal, f"{names.name}.jr.*") == second
            assert await link.last(names.journal, names.records(2), leader=False) == second
            assert await link.get(names.journal, 2) == second
            assert await link.next(names.journal, names.records(2), 1) == second
            assert await link.last_of(names.journal, [names.records(2), names.records(1), names.records(3)]) == [
                Message(1, names.records(1), b"a"),
                second,
            ]
            began = time.monotonic()
            assert await link.last(names.journal, names.records(5)) is None
            assert await link.last(names.journal, names.records(5), leader=False) is None
            assert await link.next(names.journal, names.records(2), 3) is None
            assert await link.get(names.journal, 3) is None
            assert await link.last_of(names.journal, []) == []
            assert await link.last_of(names.journal, [names.records(5)]) == []
            assert time.monotonic() - began < link._settings.patience / 2

    asyncio.run(play())


def test_messages_are_removed_by_place_or_below_one(node: NatsCluster) -> None:
    async def play() -> None:
        async with boxed(node) as (link, names):
            for _ in range(5):
                await link.publish(names.records(1), b"a")
                await link.publish(names.records(2), b"b")
            assert await link.purge(names.journal, names.records(1), 6) == 3
            assert await link.delete(names.journal, 2)
            assert not await link.delete(names.journal, 2)
            left = await link.read(names.journal, f"{names.name}.jr.*", 1, 100, 1 << 20)
            assert [found.sequence for found in left] == [4, 6, 7, 8, 9, 10]

    asyncio.run(play())


def test_what_cannot_be_is_refused_at_once(node: NatsCluster) -> None:
    """A message larger than the server takes, and a stream that is not there: both are certain."""

    async def play() -> None:
        async with boxed(node) as (link, names):
            began = time.monotonic()
            with pytest.raises(Refused) as large:
                await link.publish(names.records(1), bytes(link.max_payload + 1))
            assert large.value.reason == "too_large"
            assert "max_payload" in large.value.detail
            with pytest.raises(Refused) as missing:
                await link.info("no_such_stream")
            assert missing.value.code == NO_STREAM
            assert time.monotonic() - began < link._settings.patience / 2
            assert await link.publish(names.records(1), bytes(link.max_payload - 1000)) == 1

    asyncio.run(play())


def test_handles_tell_each_other_that_something_came(node: NatsCluster) -> None:
    async def play() -> None:
        name = fresh_name()
        async with linked(node.url(name)) as one, linked(node.url(name)) as other:
            told = asyncio.Event()
            other.on_hint(told.set)
            with pytest.raises(Refused):  # answered behind the subscription, which the server so has
                await other.info("nobody")
            assert not told.is_set()
            one.hint()
            async with asyncio.timeout(30):
                assert await told.wait()

    asyncio.run(play())


def test_nobody_there_is_an_outage_within_the_bound(nobody: str) -> None:
    async def play() -> None:
        link = Link(JetStreamSettings.from_url(f"nats://{nobody}/x", commit_bound=0.3, patience=0.3))
        with pytest.raises(InboxUnavailable) as closed:
            await link.info("x")
        assert closed.value.reason == "closed"
        with pytest.raises(InboxUnavailable) as away:
            await link.connect()
        assert away.value.reason == "storage_unavailable"
        for ask in (link.info("x"), link.publish("x", b""), link.read("x", "x", 1, 1, 1), link.last("x", "x")):
            with pytest.raises(InboxUnavailable):
                await ask
        with pytest.raises(InboxUnavailable):
            link.post("x", b"", lambda _: None)
        link.hint()
        await link.close()
        await link.close()

    asyncio.run(play())


def test_a_link_that_was_opened_during_an_outage_serves_when_it_is_over() -> None:
    """Without being opened again; what was asked meanwhile is answered then."""

    async def play(cluster: NatsCluster) -> None:
        url = cluster.url("x")
        cluster.nodes[0].stop()
        link = Link(JetStreamSettings.from_url(url, commit_bound=0.2, patience=30))
        with pytest.raises(InboxUnavailable):
            await link.connect()
        asked = asyncio.create_task(link.api("INFO", None))
        cluster.nodes[0].start()
        assert (await asked)["streams"] == 0
        await link.close()

    with nats_cluster(1) as cluster:
        asyncio.run(play(cluster))


def test_an_answer_that_was_lost_leaves_a_write_unknown_and_a_read_repeated(node: NatsCluster) -> None:
    """A write is not sent again: it may be stored. A read is, once the connection is back."""

    async def play() -> None:
        name, relay = fresh_name(), Relay(first_server(node))
        async with relay.running(node.url(name)) as url, linked(url) as link:
            relay.swallows = True
            write = asyncio.create_task(link.publish(f"{name}.jr.1", b"a", expected=0))
            await relay.swallowed.wait()
            relay.cut()
            with pytest.raises(OutcomeUnknown):
                await write
            assert await link.last(f"{name}_journal", f"{name}.jr.1") == Message(1, f"{name}.jr.1", b"a")
            relay.swallowed.clear()
            relay.swallows = True
            read = asyncio.create_task(link.read(f"{name}_journal", f"{name}.jr.1", 1, 9, 1 << 20))
            await relay.swallowed.wait()
            relay.cut()
            assert [found.sequence for found in await read] == [1]

    asyncio.run(play())


def test_a_server_that_says_nothing_any_more_is_left(node: NatsCluster) -> None:
    """Its pings go unanswered, though the connection stands; the next connection is a new one."""

    async def play() -> None:
        name, relay = fresh_name(), Relay(first_server(node))
        async with relay.running(node.url(name)) as url, linked(url, timeout=1.0, patience=30) as link:
            relay.swallows = True
            asked = asyncio.create_task(link.info(f"{name}_journal"))
            await relay.left.wait()
            relay.swallows = False
            assert (await asked)["config"]["name"] == f"{name}_journal"

    asyncio.run(play())


def test_closing_answers_whoever_waits(node: NatsCluster) -> None:
    async def play() -> None:
        name, relay = fresh_name(), Relay(first_server(node))
        async with relay.running(node.url(name)) as url, linked(url) as link:
            relay.swallows = True
            waiting = [
                asyncio.create_task(link.publish(f"{name}.jr.1", b"a")),
                asyncio.create_task(link.read(f"{name}_journal", f"{name}.jr.1", 1, 9, 1 << 20)),
                asyncio.create_task(link.last(f"{name}_journal", f"{name}.jr.1")),
            ]
            await relay.swallowed.wait()
            await link.close()
            for found in await asyncio.gather(*waiting, return_exceptions=True):
                assert isinstance(found, InboxUnavailable)

    asyncio.run(play())


def test_a_password_is_not_sent_to_a_server_without_tls(node: NatsCluster) -> None:
    """tls:// means it: a server, or somebody before it, that offers none is left."""

    async def play() -> None:
        url = node.url("x").replace("nats://", "tls://user:password@")
        link = Link(JetStreamSettings.from_url(url, commit_bound=0.3))
        with pytest.raises(InboxUnavailable) as refused:
            await link.connect()
        assert refused.value.reason == "refused"
        await link.close()

    asyncio.run(play())
