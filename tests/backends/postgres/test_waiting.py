"""A notification is sent when somebody waits and an event comes, and only then."""

from __future__ import annotations

import asyncio

import pytest

from kirimhook.backends.postgres import waiting
from kirimhook.backends.postgres.inbox import PostgresInbox
from tests.backends.postgres.places import PATIENCE, Place, done, event


async def armed(inbox: PostgresInbox) -> None:
    """Until the inbox has said that it waits."""
    session = inbox._session
    assert session is not None
    async with asyncio.timeout(PATIENCE):
        while not session.listener._armed:
            await inbox.stats()


def test_only_from_idle_to_busy(place: Place) -> None:
    async def play() -> None:
        heard: list[str] = []
        async with place.opened() as inbox, place.opened() as other, place.outside() as outside:
            await outside.add_listener(place.schema, lambda *told: heard.append(str(told[2])))
            for number in range(20):
                await other.put([event(f"nobody waits {number}")])
            await inbox.settle(done(await inbox.lease(100, 30)))
            for turn in range(3):
                task = asyncio.create_task(inbox.wait(60))
                await armed(inbox)
                await other.put([event(f"awaited {turn}")])
                await task
                await inbox.settle(done(await inbox.lease(100, 30)))
            await outside.execute("SELECT 1")  # what was sent before has come
            assert 3 <= len(heard) <= 6  # the lock of whoever waited takes a moment to go
            before = len(heard)
            for number in range(20):
                await other.put([event(f"again nobody {number}")])
            await outside.execute("SELECT 1")
            assert len(heard) <= before + 1

    asyncio.run(play())


def test_it_is_heard_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a look every now and then, the notification of another handle's put ends a wait."""
    monkeypatch.setattr("kirimhook.backends.postgres.inbox.POLL", 60.0)

    async def play() -> None:
        async with place.opened() as inbox, place.opened() as other:
            for turn in range(5):
                task = asyncio.create_task(inbox.wait(60))
                await armed(inbox)
                await other.put([event(f"{turn}")])
                async with asyncio.timeout(PATIENCE):
                    await task
                assert len(await inbox.lease(10, 30)) == 1

    asyncio.run(play())


def test_a_listening_connection_that_is_lost_costs_only_time(place: Place) -> None:
    async def play() -> None:
        async with place.opened() as inbox, place.opened() as other, place.outside() as outside:
            task = asyncio.create_task(inbox.wait(60))
            await armed(inbox)
            await outside.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 3 AND granted"
            )
            await other.put([event("a")])
            async with asyncio.timeout(PATIENCE):
                await task
            assert len(await inbox.lease(10, 30)) == 1
            task = asyncio.create_task(inbox.wait(60))
            await asyncio.gather(armed(inbox), _later(inbox))
            await other.put([event("b")])
            await task

    asyncio.run(play())


async def _later(inbox: PostgresInbox) -> None:
    """The next attempt to listen is allowed now."""
    session = inbox._session
    assert session is not None
    session.listener._not_before = 0.0
    assert waiting.AGAIN > 0
