"""An inbox at rest costs next to nothing: a wait looks rarely, wakes at once, and leaves nothing behind; closed, no
thread, no connection and no file beside the inbox stays."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from kirimhook.backends import open_inbox
from kirimhook.backends.sqlite import file, records
from kirimhook.backends.sqlite import inbox as module
from kirimhook.backends.sqlite.inbox import SQLiteInbox
from kirimhook.receiver.inbox import Inbox
from kirimhook.receiver.model import Unhandled
from kirimhook.testing.clock import Clock
from tests.backends.inboxes import START, end, event, opened, outside, stored_ids


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "sqlite:///:memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/inbox.db"


def inbox_of(url: str) -> SQLiteInbox:
    inbox = open_inbox(url, clock=Clock(START))
    assert isinstance(inbox, SQLiteInbox)
    return inbox


def test_a_wait_looks_rarely_and_leaves_nothing_behind(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    look = records.next_due

    def counted(connection: sqlite3.Connection) -> int | None:
        nonlocal looks
        looks += 1
        return look(connection)

    monkeypatch.setattr(records, "next_due", counted)
    monkeypatch.setattr(module, "POLL", 0.05)

    async def play() -> None:
        inbox = inbox_of(url)
        await inbox.open()
        await inbox.put([event("a")])
        await inbox.lease(1, 600)
        await asyncio.gather(inbox.wait(0.3), inbox.wait(0.3))
        assert looks < 20
        assert not inbox._sleepers
        (waiting := asyncio.ensure_future(inbox.wait(600))).cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert not inbox._sleepers
        await inbox.close()

    asyncio.run(play())


def test_a_commit_of_this_process_wakes_a_wait_without_a_poll(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL", 600)

    async def play() -> None:
        inbox = inbox_of(url)
        await inbox.open()
        for index in range(20):
            waiting = asyncio.ensure_future(inbox.wait(600))
            await asyncio.sleep(0)
            await inbox.put([event(f"{index}")])
            async with asyncio.timeout(20):
                await waiting
            await inbox.lease(1, 10**6)
        await inbox.close()

    asyncio.run(play())


def test_a_wait_of_another_loop_and_thread_is_woken_too(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL", 600)

    async def play() -> None:
        inbox = inbox_of(url)
        await inbox.open()
        waiting = threading.Thread(target=lambda: asyncio.run(inbox.wait(600)), daemon=True)
        waiting.start()
        while not inbox._sleepers:
            await inbox.stats()
        await inbox.put([event("a")])
        await asyncio.to_thread(waiting.join, 20)
        assert not waiting.is_alive()
        await inbox.close()

    asyncio.run(play())


def test_closing_ends_the_threads_and_the_connections(url: str) -> None:
    def ours() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name.startswith("kirimhook-inbox")]

    async def play() -> None:
        inbox = inbox_of(url)
        await inbox.open()
        writer = inbox._writer
        assert writer is not None
        puts = [asyncio.ensure_future(inbox.put([event(f"{index}")])) for index in range(10)]
        await asyncio.sleep(0)
        await inbox.close()
        assert all(put.done() for put in puts)
        assert writer._file._connection is None
        assert ours() == []

    before = ours()
    asyncio.run(play())
    assert ours() == before == []


def test_a_loop_that_closed_while_it_waited_harms_nobody(tmp_path: Path) -> None:
    async def put(inbox: Inbox) -> None:
        await inbox.put([event("from another loop")])
        asyncio.ensure_future(inbox.wait(600))  # noqa: RUF006  # cancelled with its loop

    async def play() -> None:
        async with opened(tmp_path / "inbox.db") as inbox:
            for _ in range(3):
                await asyncio.to_thread(asyncio.run, put(inbox))
            await inbox.put([event("here")])

    asyncio.run(play())
    assert stored_ids(tmp_path / "inbox.db") == ["from another loop", "here"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inbox.db", "inbox.db-lock", "inbox.db-turn"]


def test_a_loop_that_is_gone_cannot_be_told_and_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "inbox.db"

    def abandon(inbox: Inbox) -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(inbox.put([event("nobody waits for it")]))
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is meant to be lost

    async def play() -> None:
        async with opened(path) as inbox:
            await asyncio.to_thread(abandon, inbox)
            await inbox.put([event("here")])
            assert isinstance(inbox, SQLiteInbox)
            await asyncio.to_thread(asyncio.run, _stats(inbox))
            assert len(inbox._waiters) <= 2

    asyncio.run(play())
    assert stored_ids(path)[-2:] == ["here", "there"]


async def _stats(inbox: Inbox) -> None:
    await inbox.put([event("there")])


def test_the_log_stays_small_while_others_read(tmp_path: Path) -> None:
    """Its bound is 4000 pages, and what one transaction adds to them."""
    path = tmp_path / "inbox.db"
    largest = 0

    async def play() -> None:
        nonlocal largest
        async with opened(path) as inbox, opened(path) as other:
            for index in range(70):
                looks = [handle.stats() for handle in (inbox, other)]
                await asyncio.gather(inbox.put([event(f"{index}", body=b"x" * 1_000_000)]), *looks)
                largest = max(largest, Path(f"{path}-wal").stat().st_size)

    asyncio.run(play())
    assert 16_000_000 < largest < 24_000_000
    assert len(stored_ids(path)) == 70


def test_the_log_begins_anew_although_somebody_always_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers that take turns without a gap would keep it growing for ever."""
    monkeypatch.setattr(file, "LOG_LIMIT", 1_000_000)
    path = tmp_path / "inbox.db"
    sizes = []

    over = threading.Event()

    def read() -> None:
        with outside(path) as reader:
            while not over.is_set():
                reader.execute(LONG_LOOK).fetchall()

    async def play() -> None:
        async with opened(path) as inbox:
            readers = [asyncio.to_thread(read) for _ in range(3)]
            reading = asyncio.gather(*readers)
            for index in range(60):
                await inbox.put([event(f"{index}", body=b"x" * 200_000)])
                sizes.append(Path(f"{path}-wal").stat().st_size)
            over.set()
            await reading

    asyncio.run(play())
    assert max(sizes) < 4_000_000
    assert len(stored_ids(path)) == 60


def test_a_reader_that_stays_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "LOG_LIMIT", 500_000)
    path = tmp_path / "inbox.db"

    async def play() -> None:
        async with opened(path, busy_timeout=0.02) as inbox:
            await inbox.put([event("a")])
            with outside(path) as other:
                look(other)
                statements = traced(inbox)
                for index in range(20):
                    await inbox.put([event(f"{index}", body=b"x" * 200_000)])
                assert Path(f"{path}-wal").stat().st_size > 4_000_000
                tries = [statement for statement in statements if "checkpoint" in statement]
                assert 2 <= len(tries) <= 9  # each may take as long as a lock is waited for
                other.execute("ROLLBACK")
            for index in range(20, 60):
                await inbox.put([event(f"{index}", body=b"x" * 200_000)])
            assert Path(f"{path}-wal").stat().st_size < 6_000_000

    asyncio.run(play())
    assert len(stored_ids(path)) == 61


def traced(inbox: Inbox) -> list[str]:
    """Every statement of the writer from now on."""
    statements: list[str] = []
    assert isinstance(inbox, SQLiteInbox)
    assert inbox._writer is not None
    assert inbox._writer._file._connection is not None
    inbox._writer._file._connection.set_trace_callback(statements.append)
    return statements


LONG_LOOK = """
WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 20000)
SELECT count(*), (SELECT count(*) FROM events) FROM counted"""


def look(reader: sqlite3.Connection) -> None:
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchall()


def test_a_purge_leaves_nothing_of_an_event(tmp_path: Path) -> None:
    path = tmp_path / "inbox.db"

    async def play() -> None:
        clock = Clock(START)
        async with opened(path, clock) as inbox:
            await inbox.put([event(f"{index}", "k") for index in range(30)])
            clock.advance(60 * 86_400)
            (lease,) = await inbox.lease(1, 30)
            await end(inbox, lease, Unhandled())
            clock.advance(8 * 86_400)
            while (await inbox.purge(7)).more:
                pass

    asyncio.run(play())
    assert stored_ids(path) == []
