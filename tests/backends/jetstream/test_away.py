"""While the servers are away every verb says so in time, however many ask; when they are back, all goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from kirimhook.backends.jetstream.inbox import JetStreamInbox
from kirimhook.receiver.inbox import Filter, InboxUnavailable
from kirimhook.receiver.model import Receipt
from kirimhook.testing.nats import NatsCluster, nats_cluster
from tests.backends.jetstream.handles import done, events, handles
from tests.backends.jetstream.rig import linked

BOUNDS = {"patience": 1.0, "timeout": 0.5, "commit_bound": 1.0}


@pytest.fixture
def own() -> Iterator[NatsCluster]:
    """One server, of this test alone."""
    with nats_cluster(1) as cluster:
        yield cluster


async def until_it_serves(inbox: JetStreamInbox) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await inbox.renew([], 30)
                return
            except InboxUnavailable:
                await asyncio.sleep(0.05)


def test_verbs_are_refused_in_time_and_leases_outlive_it(own: NatsCluster) -> None:
    async def play() -> None:
        async with handles(own) as there:
            inbox = await there.open(**BOUNDS)
            await inbox.put(events("a", "b", key="k") + events("c"))
            leases = await inbox.lease(10, 30)
            own.nodes[0].kill()
            async with asyncio.timeout(8):
                refused = await asyncio.gather(
                    inbox.put(events("d")),
                    inbox.wait(60),
                    *(inbox.lease(10, 30) for _ in range(5)),
                    *(inbox.settle(done(lease)) for lease in leases),
                    inbox.renew([], 30),
                    *(inbox.stats() for _ in range(5)),
                    inbox.list(Filter()),
                    return_exceptions=True,
                )
            assert {type(one) for one in refused} <= {InboxUnavailable, *InboxUnavailable.__subclasses__()}
            own.nodes[0].start()
            own.ready()
            await until_it_serves(inbox)
            for lease in leases:
                assert all(await inbox.settle(done(lease)))
            assert (await inbox.put(events("d")))[0] in (Receipt.FRESH, Receipt.DUPLICATE)

    asyncio.run(play())


def test_an_inbox_opened_too_early_serves_when_the_servers_do(own: NatsCluster) -> None:
    async def play() -> None:
        async with handles(own) as there:
            own.nodes[0].kill()
            inbox = JetStreamInbox(there.settings(**BOUNDS), there.clock)
            try:
                with pytest.raises(InboxUnavailable):
                    await inbox.open()
                with pytest.raises(InboxUnavailable):
                    await inbox.put(events("a"))
                own.nodes[0].start()
                own.ready()
                await until_it_serves(inbox)
                await inbox.open()
                assert await inbox.put(events("b")) == [Receipt.FRESH]
            finally:
                await inbox.close()

    asyncio.run(play())


def test_without_streams_it_says_what_to_do(own: NatsCluster) -> None:
    async def play() -> None:
        async with handles(own) as there:
            inbox = JetStreamInbox(there.settings(name="other"), there.clock)
            with pytest.raises(InboxUnavailable) as refused:
                await inbox.open()
            assert refused.value.reason == "not_migrated"
            await inbox.close()

    asyncio.run(play())


@pytest.mark.parametrize("subject", ["jr.0", "ev.0.ABC"])
def test_what_a_newer_version_wrote_is_named(node: NatsCluster, subject: str) -> None:
    async def play() -> None:
        async with handles(node, partitions=1) as there:
            name = there.settings().name
            async with linked(there.url) as link:
                payload = b'0\n{"v":99}' if subject == "jr.0" else b'[99,1,"c","00"]\nbody'
                await link.publish(f"{name}.{subject}", payload)
            inbox = JetStreamInbox(there.settings(), there.clock)
            with pytest.raises(InboxUnavailable) as refused:
                await inbox.open()
            assert refused.value.reason == "newer_schema"
            await inbox.close()

    asyncio.run(play())
