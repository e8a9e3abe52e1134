"""G1, G3 and G5 on a JetStream cluster through its faults: killed clients, lost nodes, a lost quorum, a full disk.

Two receivers, two workers, each a process of its own, under load; every fault five times (or
KIRIMHOOK_CHAOS_ROUNDS). Every event is resent until its 200. In the end each was completed once; what was handled a
second time had the fault in between; nothing was overtaken within its key. One node less, killed or frozen, costs
latency only. Without a quorum, or without room, the answer is 503, and nothing is acknowledged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from functools import partial

import pytest

from kirimhook.backends import migrate_inbox
from kirimhook.testing.nats import NatsCluster, NatsNode, nats_cluster
from tests.crash.processes import Processes
from tests.crash.scene import Scene, kill_at_random, until
from tests.crash.small_disk import small_disk
from tests.crash.table import Report

DISK = 64
"""Megabytes."""
STREAMS = ("events", "journal")
"""What an inbox cannot do without."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[NatsCluster]:
    with nats_cluster() as cluster:
        yield cluster


def make_scene(
    cluster: NatsCluster, name: str, processes: Processes, report: Report, fault: str, commit_bound: float = 5
) -> Scene:
    """A new inbox of this name, and its crew. `commit_bound`: seconds until the answer is 503."""
    processes.inbox = cluster.url(name, commit_bound=commit_bound)
    migrate_inbox(processes.inbox)
    nodes = len(cluster.nodes)
    return Scene(processes, report, f"JetStream, {nodes} node{'s' if nodes > 1 else ''}", fault)


async def leader(cluster: NatsCluster, stream: str) -> NatsNode:
    """Wait until somebody leads it."""
    found: list[NatsNode] = []

    def look() -> bool:
        node = cluster.leader(stream)
        found.extend([node] if node is not None else [])
        return bool(found)

    await until(look, f"a leader of {stream}")
    return found[0]


def test_receivers_and_workers_are_killed(cluster: NatsCluster, processes: Processes, report: Report) -> None:
    scene = make_scene(cluster, "clients", processes, report, "SIGKILL of receivers and workers")
    asyncio.run(scene.play(partial(kill_at_random, scene)))
    scene.close()
    assert scene.load.cut > 0, "no kill met a request on its way: nothing was tried"


def test_each_node_in_turn_is_killed(cluster: NatsCluster, processes: Processes, report: Report) -> None:
    """While it is away, events are taken and handled; then it is started again, and catches up."""
    scene = make_scene(cluster, "nodes", processes, report, "SIGKILL of each node in turn")

    async def fault(number: int) -> None:
        node = cluster.nodes[number % len(cluster.nodes)]
        await scene.load.answered(scene.draw.randrange(1, 100))
        async with scene.outage():
            await asyncio.to_thread(node.kill)
            scene.kills += 1
            await scene.flows(time.monotonic())
            await asyncio.to_thread(node.start)
            await asyncio.to_thread(cluster.ready)

    asyncio.run(scene.play(fault))
    scene.close()


def test_a_leader_is_frozen_and_continued(cluster: NatsCluster, processes: Processes, report: Report) -> None:
    """SIGSTOP: its connections stay, and it says nothing. The others go on without it; later it has to learn so."""
    scene = make_scene(cluster, "frozen", processes, report, "SIGSTOP of a leader, then SIGCONT")

    async def fault(number: int) -> None:
        node = await leader(cluster, f"frozen_{STREAMS[number % len(STREAMS)]}")
        await scene.load.answered(scene.draw.randrange(1, 100))
        async with scene.outage():
            node.freeze()
            try:
                scene.kills += 1
                await scene.flows(time.monotonic())
            finally:
                node.thaw()
            await asyncio.to_thread(cluster.ready)

    asyncio.run(scene.play(fault))
    scene.close()


def test_a_leader_and_another_are_killed(cluster: NatsCluster, processes: Processes, report: Report) -> None:
    """Without a quorum nothing is acknowledged; with it, all goes on."""
    scene = make_scene(cluster, "quorum", processes, report, "a leader and another node killed", 2)

    async def fault(number: int) -> None:
        first = await leader(cluster, f"quorum_{STREAMS[number % len(STREAMS)]}")
        second = scene.draw.choice([node for node in cluster.nodes if node is not first])
        await scene.load.answered(scene.draw.randrange(1, 100))
        async with scene.outage():
            first.kill()
            second.kill()
            scene.kills += 2
            await _nothing_is_acked(scene)
            first.start()
            second.start()
        await asyncio.to_thread(cluster.ready)

    asyncio.run(scene.play(fault))
    scene.close()


@pytest.mark.needs("tmpfs")
def test_its_disk_is_full(processes: Processes, report: Report) -> None:
    """One node. After it has seen a full disk it stores nothing until it is started again, with room."""
    with small_disk(DISK) as disk, nats_cluster(1, disk.folder / "nats") as cluster:
        scene = make_scene(cluster, "full", processes, report, "full disk", 2)
        [node] = cluster.nodes

        async def fault(_: int) -> None:
            await scene.load.answered(scene.draw.randrange(1, 100))
            async with scene.outage():
                await asyncio.to_thread(disk.fill)
                await scene.load.refusals(time.monotonic())
                await _nothing_is_acked(scene)
                disk.make_room()
                await asyncio.to_thread(node.stop)
                scene.kills += 1
                await asyncio.to_thread(node.start)

        asyncio.run(scene.play(fault))
        scene.close()
        assert "no space left on device" in (node.folder / "log").read_text(errors="replace")


async def _nothing_is_acked(scene: Scene) -> None:
    """From now on, until the first answers of 503 to requests that began later."""
    since = time.monotonic()
    await scene.load.refusals(since, 3)
    assert scene.load.acked_between(since, time.monotonic()) == []
