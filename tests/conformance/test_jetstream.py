"""The JetStream inbox keeps every promise of the port but those that it says it does not, on real servers: the whole
suite on three nodes that keep a copy each, a part of it and random histories on one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from kirimhook.backends.jetstream.link import Link
from kirimhook.backends.jetstream.names import Names
from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.receiver.inbox import Capabilities
from kirimhook.testing.conformance import InboxConformance
from kirimhook.testing.conformance.copying import Copying
from kirimhook.testing.conformance.crowding import Crowding
from kirimhook.testing.conformance.fencing import Fencing
from kirimhook.testing.conformance.machine import check
from kirimhook.testing.conformance.sharing import Sharing
from kirimhook.testing.nats import NatsCluster, nats_cluster
from tests.conformance.storages import NUMBERS, Migrated, histories


@pytest.fixture(scope="module")
def cluster() -> Iterator[NatsCluster]:
    with nats_cluster(nodes=3) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def node() -> Iterator[NatsCluster]:
    with nats_cluster(nodes=1) as node:
        yield node


class Streams(Migrated):
    """The streams of one inbox. The servers say on their monitoring ports that they sync every write."""

    def __init__(self, cluster: NatsCluster, partitions: int = 3) -> None:
        monitor = ",".join(node.monitor for node in cluster.nodes)
        super().__init__(cluster.url(f"conformance_{next(NUMBERS)}", monitor=monitor, partitions=partitions))

    async def clean(self) -> None:
        settings = JetStreamSettings.from_url(self.url)
        names, link = Names(settings.name), Link(settings)
        await link.connect()
        try:
            streams = (names.events, names.journal, names.aside)
            await asyncio.gather(*(link.api(f"STREAM.DELETE.{stream}", {}) for stream in streams))
        finally:
            await link.close()


class TestThreeNodes(InboxConformance):
    capabilities = Capabilities(
        transactions=False, durable=True, payload_retention=False, completion_details=False, oldest_first=False
    )

    @pytest.fixture
    def storage(self, cluster: NatsCluster) -> Streams:
        return Streams(cluster)


class TestOneNode(Copying, Sharing, Crowding, Fencing):
    """Where no other server has a copy, an inbox reads otherwise: what could count on that."""

    capabilities = TestThreeNodes.capabilities

    @pytest.fixture
    def storage(self, node: NatsCluster) -> Streams:
        return Streams(node)


@pytest.mark.timeout(600)  # a failure takes some minutes to be made short
def test_it_shows_what_the_model_shows(node: NatsCluster) -> None:
    check(lambda: Streams(node), histories(15))
