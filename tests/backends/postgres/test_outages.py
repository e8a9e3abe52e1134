"""Whatever happens to the server: refused at once or in time, never a hang, and served again by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kirimhook.receiver.inbox import Filter, InboxUnavailable
from kirimhook.receiver.model import Receipt
from kirimhook.testing.postgres import PostgresServer, postgres_server
from tests.backends.postgres.places import Place, done, event, serves


@pytest.fixture
def own() -> Iterator[PostgresServer]:
    """A server that a test may stop."""
    with postgres_server() as server:
        yield server


def test_through_an_immediate_shutdown_and_a_restart(own: PostgresServer) -> None:
    """Every verb is refused while the server is away; afterwards what was acknowledged is there, and a lease too."""

    async def play() -> None:
        place = Place(own)
        async with place.opened() as inbox:
            assert await inbox.put([event("a"), event("b", "k")]) == [Receipt.FRESH] * 2
            leases = await inbox.lease(1, 30)
            waiting = asyncio.create_task(inbox.wait(60))
            await asyncio.to_thread(own.stop, immediately=True)
            begun = time.monotonic()
            for verb in (
                lambda: inbox.put([event("c")]),
                lambda: inbox.lease(10, 30),
                lambda: inbox.settle(done(leases)),
                lambda: inbox.renew([(1, 1)], 30),
                lambda: inbox.transact(done(leases)[0], lambda transaction: None),
                lambda: inbox.list(Filter()),
                lambda: inbox.put_back(Filter(event_id="a")),
                lambda: inbox.purge(10),
                inbox.stats,
                inbox.pause,
                inbox.open,
            ):
                with pytest.raises(InboxUnavailable) as raised:
                    await verb()
                assert raised.value.reason == "storage_unavailable"
            assert time.monotonic() - begun < 5
            await asyncio.gather(waiting, return_exceptions=True)
            await asyncio.to_thread(own.start)
            assert await serves(lambda: inbox.settle(done(leases))) == [True]
            assert await serves(lambda: inbox.put([event("a"), event("c")])) == [Receipt.DUPLICATE, Receipt.FRESH]
            assert len(await serves(lambda: inbox.lease(10, 30))) == 2
            assert (await serves(lambda: inbox.list(Filter()))).next_cursor is None

    asyncio.run(play())


def test_puts_under_way_are_told(own: PostgresServer) -> None:
    """What waits while the server goes is answered, and what was acknowledged is stored."""

    async def play() -> None:
        place = Place(own)
        async with place.opened() as inbox:
            puts = [asyncio.create_task(inbox.put([event(f"{number}")])) for number in range(2_000)]
            await puts[0]
            await asyncio.to_thread(own.stop, immediately=True)
            async with asyncio.timeout(10):
                told = await asyncio.gather(*puts, return_exceptions=True)
            await asyncio.to_thread(own.start)
            acked = [number for number, receipts in enumerate(told) if receipts == [Receipt.FRESH]]
            assert all(isinstance(one, InboxUnavailable) for one in told if one != [Receipt.FRESH])
            again = await serves(lambda: inbox.put([event(f"{number}") for number in acked]))
            assert again == [Receipt.DUPLICATE] * len(acked)

    asyncio.run(play())


def test_a_server_that_says_nothing_is_not_waited_for(own: PostgresServer) -> None:
    """Stopped by SIGSTOP: its connections are open, and no answer comes."""

    async def play() -> None:
        place = Place(own)
        async with place.opened(timeout=1.0, read_timeout=1.0, connect_timeout=0.5, commit_bound=0.5) as inbox:
            await inbox.put([event("a")])
            processes = own.processes()
            for process in processes:
                os.kill(process, signal.SIGSTOP)
            try:
                async with asyncio.timeout(10):
                    for _ in range(2):  # on the connections it has, and on new ones
                        verbs = (inbox.put([event("b")]), inbox.lease(10, 30), inbox.stats(), inbox.wait(5))
                        told = await asyncio.gather(*verbs, return_exceptions=True)
                        assert all(isinstance(one, InboxUnavailable) for one in told), told
            finally:
                for process in processes:
                    os.kill(process, signal.SIGCONT)
            await serves(lambda: inbox.put([event("b")]))
            assert len(await serves(lambda: inbox.lease(10, 30))) == 2

    asyncio.run(play())


def test_opened_without_a_server_it_serves_once_there_is_one(own: PostgresServer) -> None:
    async def play() -> None:
        place = Place(own)
        async with place.opened():
            pass
        await asyncio.to_thread(own.stop)
        inbox = place.inbox()
        with pytest.raises(InboxUnavailable):
            await inbox.open()
        await asyncio.to_thread(own.start)
        assert await serves(lambda: inbox.put([event("a")])) == [Receipt.FRESH]
        await inbox.close()

    asyncio.run(play())


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_would_lose_what_it_took_is_refused(tmp_path: Path, setting: str) -> None:
    async def play(server: PostgresServer) -> None:
        place = Place(server)
        with pytest.raises(InboxUnavailable) as raised:
            async with place.opened():
                pass
        assert (raised.value.reason, setting in raised.value.detail) == ("not_durable", True)

    with postgres_server(settings={setting: "off"}) as server:
        asyncio.run(play(server))


def test_a_commit_is_on_the_disk_whatever_the_server_does_by_default(tmp_path: Path) -> None:
    """A server, or a role, with synchronous_commit=off acknowledges what a crash then takes away."""

    async def play(server: PostgresServer, *, poll_only: bool) -> None:
        place = Place(server, poll_only=poll_only)
        async with place.outside() as outside:
            assert await outside.fetchval("SHOW synchronous_commit") == "off"
        async with place.opened() as inbox:
            session = inbox._session
            assert session is not None
            for link in (session._putting, session._working, session._operating):
                asked = session.home.run(link.run(lambda connection: connection.fetchval("SHOW synchronous_commit")))
                assert await asked == "on"
            await inbox.put([event("a")])
            seen: list[object] = []
            (settlement,) = done(await inbox.lease(1, 30))
            show = "SHOW synchronous_commit"
            assert await inbox.transact(settlement, lambda transaction: seen.extend(transaction.execute(show)))
            assert seen == [("on",)]

    with postgres_server(settings={"synchronous_commit": "off"}) as server:
        asyncio.run(play(server, poll_only=False))
        asyncio.run(play(server, poll_only=True))


def test_not_migrated_and_migrated_meanwhile(own: PostgresServer) -> None:
    async def play() -> None:
        place = Place(own)
        inbox = place.inbox()
        with pytest.raises(InboxUnavailable) as raised:
            await inbox.open()
        assert (raised.value.reason, raised.value.detail) == (
            "not_migrated",
            "run kirimhook migrate --inbox URL first",
        )
        async with place.opened():
            assert await serves(lambda: inbox.put([event("a")])) == [Receipt.FRESH]
        async with place.outside() as outside:
            await outside.execute(f"UPDATE {place.schema}.version SET number = number + 1")
        newer = place.inbox()
        with pytest.raises(InboxUnavailable) as raised:
            await newer.open()
        assert raised.value.reason == "newer_schema"
        await newer.close()
        await inbox.close()

    asyncio.run(play())


def test_closed_while_others_ask_it_leaves_no_connection(own: PostgresServer) -> None:
    """Whatever waits for its turn then is refused, and makes no connection that nobody closes."""

    async def play() -> None:
        place = Place(own)
        async with place.opened() as inbox, place.outside() as outside:
            asking = [asyncio.create_task(verb) for _ in range(20) for verb in (inbox.wait(60), inbox.stats())]
            await inbox.stats()
            await inbox.close()
            told = await asyncio.gather(*asking, return_exceptions=True)
            assert {one.reason for one in told if isinstance(one, InboxUnavailable)} == {"closed"}
            left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'kirimhook inbox'"
            async with asyncio.timeout(10):
                while await outside.fetchval(left):
                    await outside.execute("SELECT pg_sleep(0.01)")

    asyncio.run(play())
