"""A journal stays short, and whoever reads it, from wherever, comes to the same state."""

from __future__ import annotations

import asyncio

import pytest

from kirimhook.backends.jetstream import journal
from kirimhook.backends.jetstream.aside import AsideStream, decode
from kirimhook.backends.jetstream.desks import Desks
from kirimhook.backends.jetstream.inbox import JetStreamInbox
from kirimhook.backends.jetstream.names import Names
from kirimhook.backends.jetstream.partition.entry import Aside
from kirimhook.backends.jetstream.partition.record import Ended
from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.receiver.inbox import Filter, InboxUnavailable
from kirimhook.receiver.model import EventState
from kirimhook.testing.nats import NatsCluster
from tests.backends.jetstream.handles import DyingLink, drain, events, handles, link_of
from tests.backends.jetstream.rig import fresh_name, linked


def desks_of(inbox: JetStreamInbox) -> Desks:
    assert inbox._session is not None
    assert inbox._session._floor is not None
    return inbox._session._floor.desks


async def messages(inbox: JetStreamInbox) -> int:
    """In its journal."""
    session = inbox._session
    assert session is not None
    info = session._link.info(Names(session.settings.name).journal)
    return int((await session.home.run(info))["state"]["messages"])


async def work(inbox: JetStreamInbox, turns: range) -> None:
    for turn in turns:
        await inbox.put(events(f"{turn}", f"{turn}+", key=f"k{turn % 5}"))
        assert await drain(inbox) == [f"{turn}", f"{turn}+"]


@pytest.mark.parametrize("part", [journal.PART, 40])
def test_snapshots_keep_it_short(node: NatsCluster, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    """A handle that slept, and one that is new, see what the one that worked sees."""
    monkeypatch.setattr(journal, "ENOUGH_RECORDS", 5)
    monkeypatch.setattr(journal, "PART", part)

    async def play() -> None:
        async with handles(node, partitions=2) as there:
            inbox, asleep = await there.open(), await there.open()
            await inbox.put(events("held", key="k"))
            (held,) = await inbox.lease(1, 10_000)
            await work(inbox, range(40))
            assert await messages(inbox) < 40  # of more than 80 records
            new = await there.open()
            for other in (asleep, new):
                assert await other.list(Filter(), 100) == await inbox.list(Filter(), 100)
                states = [desk.state for desk in desks_of(other).all]
                assert states == [desk.state for desk in desks_of(inbox).all]
            assert (await asleep.stats()).counts[EventState.DONE] == 80
            assert await new.renew([(held.token, held.run[0].number)], 30) == [True]

    asyncio.run(play())


def test_a_snapshot_that_was_not_finished_is_passed_over(node: NatsCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "ENOUGH_RECORDS", 7)
    monkeypatch.setattr(journal, "PART", 40)

    async def play(writes: int) -> None:
        async with handles(node, partitions=1) as there:
            inbox = await there.open(DyingLink, patience=0.5)
            link_of(inbox).left = writes
            with pytest.raises(InboxUnavailable):
                await work(inbox, range(100))
            monkeypatch.setattr(journal, "ENOUGH_RECORDS", 10_000)
            second = await there.open()
            there.clock.advance(60)
            await drain(second)
            monkeypatch.setattr(journal, "ENOUGH_RECORDS", 7)
            await work(second, range(100, 120))
            counts = (await second.stats()).counts
            assert counts[EventState.DONE] == sum(counts.values()) >= 40

    async def some() -> None:
        for writes in range(20, 32):
            await play(writes)

    asyncio.run(some())


def test_what_is_aside_never_goes_back(node: NatsCluster) -> None:
    """Who was stopped between the journal and this, and goes on much later, changes nothing."""

    async def play() -> None:
        url = node.url(fresh_name())
        async with linked(url) as link:
            names = Names(JetStreamSettings.from_url(url).name)
            aside = AsideStream(link, names)
            parked = Ended(7, EventState.PARKED, 1, 3, "no")
            await aside.write(0, {7: Aside(20, parked), 8: Aside(20, parked._replace(number=8))})
            await aside.write(0, {7: Aside(30, None)})
            await aside.write(0, {7: Aside(20, parked), 8: Aside(20, None)})
            assert await aside.of(0, [7, 8, 9]) == {7: Aside(30, None), 8: Aside(20, parked._replace(number=8))}
            await asyncio.gather(*(aside.write(0, {9: Aside(as_of, None)}) for as_of in range(40, 80)))
            assert (await aside.of(0, [9]))[9].as_of == 79
            await aside.remove(0, [7, 8, 9])
            assert await aside.of(0, [7, 8, 9]) == {}

    asyncio.run(play())


def test_what_is_no_note_is_refused() -> None:
    for data in (b"", b"[]", b"{}", b'{"as_of":1,"state":"else"}'):
        with pytest.raises(ValueError, match="not what was written aside"):
            decode(1, data)
