"""A record whose answer was lost is found by its id, or sent again: true once, and whoever wished it learns so."""

from __future__ import annotations

import asyncio

import pytest

from kirimhook.backends.jetstream.inbox import JetStreamInbox
from kirimhook.receiver.inbox import Filter, InboxUnavailable
from kirimhook.receiver.model import EventState, Lease, Parked, Receipt, Settlement
from kirimhook.testing.nats import NatsCluster
from tests.backends.jetstream.handles import LosingLink, done, drain, events, handles, link_of

UNTIL_IT_GIVES_UP = [False] * 1000


async def leased(inbox: JetStreamInbox) -> list[Lease]:
    """As soon as there is something."""
    async with asyncio.timeout(10):
        while not (leases := await inbox.lease(10, 30)):
            await inbox.wait(1)
    return leases


@pytest.mark.parametrize("stored", [True, False])
def test_an_answer_that_is_lost_costs_nothing(node: NatsCluster, stored: bool) -> None:
    async def play() -> None:
        async with handles(node, partitions=1) as there:
            inbox = await there.open(LosingLink)
            await inbox.put(events("a", "b", key="k"))
            link_of(inbox).stores = [stored, stored]
            (lease,) = await inbox.lease(10, 30)
            assert [(one.event.event_id, one.attempt) for one in lease.run] == [("a", 1), ("b", 1)]
            link_of(inbox).stores = [stored]
            assert await inbox.settle(done(lease)) == [True, True]
            assert (await inbox.stats()).counts[EventState.DONE] == 2

    asyncio.run(play())


def test_settlements_that_held_hold_when_they_come_again(node: NatsCluster) -> None:
    """The worker was told that the inbox is away, keeps its results, and brings them again."""

    async def play() -> None:
        async with handles(node, partitions=1) as there:
            inbox = await there.open(LosingLink, patience=0.2)
            await inbox.put(events("a", "b", key="k"))
            (lease,) = await inbox.lease(10, 30)
            link_of(inbox).stores = [True, *UNTIL_IT_GIVES_UP]
            with pytest.raises(InboxUnavailable):
                await inbox.settle(done(lease))
            link_of(inbox).stores = []
            assert await inbox.settle(done(lease)) == [True, True]
            assert await inbox.settle(done(lease)) == [False, False]

    asyncio.run(play())


def test_leases_that_nobody_heard_of_are_released(node: NatsCluster) -> None:
    """At once, and that was no attempt."""

    async def play() -> None:
        async with handles(node, partitions=1) as there:
            inbox = await there.open(LosingLink, patience=0.2)
            await inbox.put(events("a", "b", key="k"))
            link_of(inbox).stores = [True, *UNTIL_IT_GIVES_UP]
            with pytest.raises(InboxUnavailable):
                await inbox.lease(10, 30)
            link_of(inbox).stores = []
            (lease,) = await leased(inbox)
            assert [(one.event.event_id, one.attempt) for one in lease.run] == [("a", 1), ("b", 1)]

    asyncio.run(play())


def test_settlements_of_one_call_are_told_as_one(node: NatsCluster) -> None:
    """One partition is away, the others are not: what held there holds when the call is made again."""

    async def play() -> None:
        async with handles(node, partitions=8) as there:
            inbox = await there.open(LosingLink, patience=0.2)
            await inbox.put(events(*(f"{index}" for index in range(40))))
            leases = await inbox.lease(40, 30)
            settlements = [one for lease in leases for one in done(lease)]
            link_of(inbox).only, link_of(inbox).stores = ".jr.3", list(UNTIL_IT_GIVES_UP)
            with pytest.raises(InboxUnavailable):
                await inbox.settle(settlements)
            assert 0 < (await inbox.stats()).counts[EventState.DONE] < 40
            link_of(inbox).stores = []
            assert await inbox.settle(settlements) == [True] * 40

    asyncio.run(play())


def test_a_parked_event_is_told_to_its_duplicates_as_soon_as_it_is_settled(node: NatsCluster) -> None:
    async def play() -> None:
        async with handles(node) as there:
            inbox, other = await there.open(), await there.open()
            for name in ("a", "b", "c"):
                await inbox.put(events(name))
                (lease,) = await inbox.lease(1, 30)
                await inbox.settle([Settlement(lease.token, lease.run[0].number, Parked("no"))])
                assert await other.put(events(name)) == [Receipt.DUPLICATE_PARKED]
                assert await other.put_back(Filter(event_id=name)) == 1
                assert await inbox.put(events(name)) == [Receipt.DUPLICATE]
                assert await drain(other) == [name]
                assert await other.put(events(name)) == [Receipt.DUPLICATE]

    asyncio.run(play())
