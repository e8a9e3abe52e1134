"""With `poll_only`, through a pooler: nothing is kept in a session, since none is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from kirimhook.backends.postgres.inbox import PostgresInbox
from kirimhook.backends.postgres.migrate import migrate
from kirimhook.backends.postgres.settings import PostgresSettings
from kirimhook.receiver.inbox import Filter, InboxUnavailable
from kirimhook.receiver.model import Done, EventState, Outcome, Parked, Receipt, RetryAt, Settlement
from kirimhook.testing.postgres import PostgresServer
from tests.backends.postgres.places import NUMBERS, START, Place, done, event
from tests.backends.postgres.pooler import Pooler, pooled


@pytest.fixture
def pooler(server: PostgresServer) -> Iterator[Pooler]:
    with pooled(server) as pooler:
        yield pooler


def inbox_of(pooler: Pooler, schema: str, *, poll_only: bool = True) -> PostgresInbox:
    url = f"{pooler.url}&schema={schema}&poll_only={str(poll_only).lower()}"
    return PostgresInbox(PostgresSettings.from_url(url), lambda: START)


def test_every_verb_goes_through_a_pooler(pooler: Pooler) -> None:
    """Two handles share three server connections, and each transaction is on another one than the last."""
    schema = f"pooled_{next(NUMBERS)}"

    async def play() -> None:
        assert await migrate(f"{pooler.url}&schema={schema}") == ["0001_inbox", "0002_erasing"]
        one, other = inbox_of(pooler, schema), inbox_of(pooler, schema)
        await one.open()
        await other.open()
        try:
            waiting = asyncio.create_task(other.wait(60))
            names = [f"{number}" for number in range(40)]
            puts = [inbox.put([event(name, f"k{int(name) % 5}")]) for name in names for inbox in (one, other)]
            told = [receipt for receipts in await asyncio.gather(*puts) for receipt in receipts]
            assert sorted(told) == [Receipt.DUPLICATE] * 40 + [Receipt.FRESH] * 40
            await waiting
            leases = await other.lease(2, 30) + await one.lease(10, 30)
            assert len(leases) == 5
            assert all(await one.settle(done(leases[:2])))
            assert await other.renew([(leases[2].token, leases[2].run[0].number)], 60) == [True]
            retry, park, handle = leases[2:]
            ends: list[Outcome] = [RetryAt(int(START * 1000) + 1, "later"), Parked("no")]
            each = [
                Settlement(lease.token, lease.run[0].number, end)
                for lease, end in zip((retry, park), ends, strict=True)
            ]
            assert await one.settle(each) == [True, True]
            seen: list[object] = []
            first = Settlement(handle.token, handle.run[0].number, Done())
            assert await other.transact(first, lambda transaction: seen.extend(transaction.execute("SELECT 1")))
            assert await one.count(Filter(states=frozenset({EventState.PARKED}))) == 1
            assert await other.put_back(Filter(states=frozenset({EventState.PARKED}))) == 1
            await one.pause()
            assert (await other.stats()).paused
            await other.resume()
            assert len((await one.list(Filter(), 100)).events) == 40
            assert len(await one.read(0, 100)) == 40
            assert (await one.purge(10)).records == 0
            assert await one.adopt(await other.read(0, 3)) == 0
        finally:
            await one.close()
            await other.close()

    asyncio.run(play())
    assert pooler.refused == []
    assert pooler.moves > 10


def test_without_poll_only_a_pooler_is_not_served(pooler: Pooler) -> None:
    """The pooler above is one: what a session keeps is refused by it."""
    schema = f"pooled_{next(NUMBERS)}"

    async def play() -> None:
        await migrate(f"{pooler.url}&schema={schema}")
        inbox = inbox_of(pooler, schema, poll_only=False)
        await inbox.open()
        await inbox.close()

    asyncio.run(play())
    assert {"synchronous_commit", "statement_timeout"} <= set(pooler.refused)


def test_its_sessions_hold_nothing(place: Place) -> None:
    """No prepared statement, no listening, no lock and no setting stays behind on its connections."""

    async def play() -> None:
        async with place.opened(poll_only=True) as inbox:
            waiting = asyncio.create_task(inbox.wait(60))
            await inbox.put([event("a")])
            await waiting
            assert all(await inbox.settle(done(await inbox.lease(10, 30))))
            await inbox.stats()
            session = inbox._session
            assert session is not None
            assert session.listener._connection is None
            for link in (session._putting, session._working, session._looking, session._reading):
                connection = link._connection
                assert connection is not None
                assert await session.home.run(kept(connection)) == []

    asyncio.run(play())


async def kept(connection: asyncpg.Connection[asyncpg.Record]) -> list[str]:
    """What the session has that a pooler would give to somebody else, or lose."""
    rows = await connection.fetch("""
        SELECT 'statement ' || name FROM pg_prepared_statements WHERE name <> ''
        UNION ALL SELECT 'channel ' || channel FROM pg_listening_channels() AS channel
        UNION ALL SELECT 'lock' FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'
        UNION ALL SELECT 'setting ' || name FROM pg_settings
        WHERE source = 'session' AND setting IS DISTINCT FROM reset_val""")
    return [row[0] for row in rows]


def test_kept_would_find_something(place: Place) -> None:
    async def play() -> None:
        async with place.outside() as outside:
            await outside.execute("LISTEN here; SELECT pg_advisory_lock(1); SET statement_timeout = 99999")
            assert len(await kept(outside)) >= 3

    asyncio.run(play())


def test_a_pooler_that_goes_away_is_an_outage(server: PostgresServer) -> None:
    schema = f"pooled_{next(NUMBERS)}"

    async def play(inbox: PostgresInbox) -> None:
        with pytest.raises(InboxUnavailable):
            await inbox.put([event("a")])
        await inbox.close()

    with pooled(server) as pooler:
        asyncio.run(migrate(f"{pooler.url}&schema={schema}"))
        inbox = inbox_of(pooler, schema)
        asyncio.run(inbox.open())
    asyncio.run(play(inbox))
