"""Three servers, of which some go: a leader or a server costs time, a quorum is an outage, and nothing is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from kirimhook.backends.jetstream.link import Link, Message, OutcomeUnknown
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.receiver.model import Receipt
from kirimhook.testing.nats import NatsCluster, NatsNode
from tests.backends.jetstream.rig import Putter, event, linked, putting

LONGEST = 60.0
"""Seconds that a cluster may take to be whole again."""
PATIENT = {"commit_bound": 60.0, "patience": 60.0, "max_waiting": 100_000}


async def put_while(putter: Putter, happens: Callable[[], None], *, after: int = 200, more: int = 200) -> int:
    """Put events one after the other, in several tasks, while something happens; how many."""
    put = 0
    enough, happened = asyncio.Event(), asyncio.Event()

    async def go_on(worker: int) -> None:
        nonlocal put
        left, number = more, 0
        while left:
            left -= happened.is_set()
            number += 1
            assert await putter.put(event(f"w{worker}.{number}", f"lane{worker}")) == [Receipt.FRESH]
            put += 1
            if put == after:
                enough.set()

    workers = [asyncio.create_task(go_on(worker)) for worker in range(8)]
    await enough.wait()
    await asyncio.to_thread(happens)
    happened.set()
    await asyncio.gather(*workers)
    return put


@pytest.mark.parametrize("how", [NatsNode.kill, NatsNode.stop, NatsNode.freeze])
def test_a_leader_that_goes_costs_time_only(three: NatsCluster, how: Callable[[NatsNode], None]) -> None:
    """Every put is told fresh, though some were sent twice; each is stored once."""

    async def play() -> None:
        async with putting(three.url("box"), **PATIENT) as putter:
            leader = three.leader(putter.names.events)
            assert leader is not None
            put = await put_while(putter, lambda: how(leader))
            assert await putter.stored() == put
            assert await putter.put(*(event(f"w{worker}.1") for worker in range(8))) == [Receipt.DUPLICATE] * 8

    asyncio.run(play())


def test_a_server_that_is_not_the_leader_may_go_and_come(three: NatsCluster) -> None:
    """Also the one that the handle is connected to; it finds another by itself."""

    async def play() -> None:
        async with putting(three.url("box"), **PATIENT) as putter:
            for node in three.nodes:
                put = await putter.stored()
                if node is not three.leader(putter.names.events):
                    await asyncio.to_thread(node.kill)
                    assert await putter.put(event(f"while {node.name} is away")) == [Receipt.FRESH]
                    await asyncio.to_thread(node.start)
                    await asyncio.to_thread(three.ready)
                    assert await putter.stored() == put + 1

    asyncio.run(play())


def test_a_lost_quorum_is_an_outage_and_never_a_duplicate(three: NatsCluster) -> None:
    """Puts of new events and of known ones fail within their bound; afterwards all of them can be sent again."""

    async def play() -> None:
        bounds = {"commit_bound": 2.0, "patience": 2.0, "timeout": 0.5}
        async with putting(three.url("box"), **bounds) as putter:
            assert await putter.put(event("known")) == [Receipt.FRESH]
            leader = three.leader(putter.names.events)
            others = [node for node in three.nodes if node is not leader]
            for node in others:
                await asyncio.to_thread(node.kill)
            for _ in range(2):
                names = [event(f"new{number}") for number in range(5)]
                found = await asyncio.gather(*(putter.put(one) for one in names), return_exceptions=True)
                assert all(isinstance(one, InboxUnavailable) for one in found)
            with pytest.raises(InboxUnavailable):
                await putter.link.publish(putter.names.records(1), b"", expected=0)
            for node in others:
                await asyncio.to_thread(node.start)
            await asyncio.to_thread(three.ready)
            await until_it_stores(putter.link, f"{putter.names.name}.jr.7")
            receipts = await putter.put(*(event(f"new{number}") for number in range(5)), event("known"))
            assert receipts[-1] is Receipt.DUPLICATE
            assert await putter.stored() == 6

    asyncio.run(play())


def test_who_appends_with_an_expectation_learns_what_became_of_it(three: NatsCluster) -> None:
    """A journal that is written while its leader goes: no record twice, none in another's place."""

    async def play() -> None:
        async with linked(three.url("box"), patience=60.0) as link:
            subject, stream = "box.jr.1", "box_journal"
            leader = three.leader(stream)
            assert leader is not None
            last, done = 0, 0
            killed: asyncio.Task[None] | None = None
            while killed is None or not killed.done() or done < 100:
                if done == 50 and killed is None:
                    killed = asyncio.create_task(asyncio.to_thread(leader.kill))
                try:
                    last = await link.publish(subject, b"%d" % done, expected=last)
                except OutcomeUnknown:
                    found = await link.last(stream, subject)
                    if found is None or found.sequence == last:
                        continue
                    assert found.payload == b"%d" % done
                    last = found.sequence
                done += 1
            records: list[Message] = []
            while not records or records[-1].sequence < last:  # a server that lags behind says less
                records = await link.read(stream, subject, 1, 10_000, 1 << 24)
            assert [record.payload for record in records] == [b"%d" % number for number in range(done)]

    asyncio.run(play())


def test_a_frozen_server_that_is_asked_now_and_then_costs_little(three: NatsCluster) -> None:
    """A part of all reads goes to it, for as long as the others have not noticed. No read waits a whole timeout."""

    async def play() -> None:
        async with linked(three.url("box"), timeout=30.0, patience=60.0) as link:
            for _ in range(10):
                await link.publish("box.jr.1", b"a")
            await until_all_have(three, "box_journal", 10)
            leader = three.leader("box_journal")
            frozen = next(node for node in three.nodes if node is not leader)
            frozen.freeze()
            began = time.monotonic()
            for _ in range(30):
                assert len(await link.read("box_journal", "box.jr.1", 1, 100, 1 << 20)) == 10
                assert await link.get("box_journal", 3)
            assert time.monotonic() - began < 30

    asyncio.run(play())


async def until_all_have(cluster: NatsCluster, stream: str, messages: int) -> None:
    def states() -> list[int]:
        return [
            found["state"]["messages"] for node in cluster.nodes for found in node.streams() if found["name"] == stream
        ]

    async with asyncio.timeout(LONGEST):
        while await asyncio.to_thread(states) != [messages] * len(cluster.nodes):
            pass


async def until_it_stores(link: Link, subject: str) -> None:
    async with asyncio.timeout(LONGEST):
        while True:
            try:
                await link.publish(subject, b"")
            except InboxUnavailable:
                continue
            return
