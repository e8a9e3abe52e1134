"""What waits for a commit is bounded in number, in bytes and in time; a late event is stored whole or not at all."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from kirimhook.backends import open_inbox
from kirimhook.backends.sqlite import inbox as module
from kirimhook.receiver.inbox import Inbox, InboxBusy, InboxUnavailable
from kirimhook.receiver.model import Done, InboundEvent, Receipt
from kirimhook.testing.conformance.bench import settlements
from tests.backends.inboxes import event, opened, outside, stored_ids, until, writer_lock_held

FRESH = [Receipt.FRESH]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox.db"


async def begun(*batches: list[InboundEvent], into: Inbox) -> list[asyncio.Future[list[Receipt]]]:
    """Puts that have handed their events over and wait."""
    puts: list[asyncio.Future[list[Receipt]]] = [asyncio.ensure_future(into.put(batch)) for batch in batches]
    await asyncio.sleep(0)
    return puts


def test_past_the_bound_on_events_a_put_is_refused_at_once(path: Path) -> None:
    async def play() -> None:
        async with opened(path, max_waiting=10) as inbox:
            with writer_lock_held(path):
                puts = await begun(*([event(f"{index}")] for index in range(8)), [event("8"), event("9")], into=inbox)
                for batch in ([event("10")], [event("0")], [event(f"{index}") for index in range(99)]):
                    with pytest.raises(InboxBusy) as raised:
                        await inbox.put(batch)
                    assert (raised.value.reason, raised.value.retry_after) == ("queue_full", 1)
                assert not any(put.done() for put in puts)
            assert await asyncio.gather(*puts) == [*[FRESH] * 8, FRESH * 2]
            assert await inbox.put([event(f"{index}") for index in range(100, 200)]) == FRESH * 100

    asyncio.run(play())
    assert len(stored_ids(path)) == 110


def test_past_the_bound_on_bytes_too_but_one_may_wait_alone(path: Path) -> None:
    async def play() -> None:
        async with opened(path, max_waiting_bytes=1_000) as inbox:
            assert await inbox.put([event("large", body=b"x" * 5_000)]) == FRESH
            with writer_lock_held(path):
                puts = await begun([event("a", body=b"x" * 600)], into=inbox)
                with pytest.raises(InboxBusy) as raised:
                    await inbox.put([event("b", body=b"x" * 401)])
                assert raised.value.reason == "queue_full"
                puts += await begun([event("c", body=b"x" * 400)], into=inbox)
            assert await asyncio.gather(*puts) == [FRESH, FRESH]

    asyncio.run(play())
    assert stored_ids(path) == ["large", "a", "c"]


def test_a_put_that_was_refused_or_cancelled_frees_its_place(path: Path) -> None:
    async def play() -> None:
        async with opened(path, max_waiting=2, commit_bound=0.05) as inbox:
            for _ in range(3):
                with writer_lock_held(path):
                    late, cancelled = await begun([event("late")], [event("cancelled")], into=inbox)
                    cancelled.cancel()
                    with pytest.raises(InboxBusy):
                        await late
                await inbox.pause()  # a write that waits until the writer has been through the queue
            assert await inbox.put([event("late"), event("cancelled")]) == FRESH * 2

    asyncio.run(play())
    assert stored_ids(path) == ["late", "cancelled"]


def test_past_the_bound_on_time_the_put_is_refused_and_not_stored_later(path: Path) -> None:
    async def play() -> None:
        async with opened(path, commit_bound=0.05) as inbox:
            with writer_lock_held(path):
                puts = await begun(*([event(f"{index}")] for index in range(20)), into=inbox)
                refusals = await asyncio.gather(*puts, return_exceptions=True)
                assert {type(refusal) for refusal in refusals} == {InboxBusy}
                assert {getattr(refusal, "reason", "") for refusal in refusals} == {"commit_timeout"}
            assert await inbox.put([event("after")]) == FRESH

    asyncio.run(play())
    assert stored_ids(path) == ["after"]


def test_a_commit_that_comes_too_late_is_stored_whole_and_then_a_duplicate(path: Path) -> None:
    async def play() -> None:
        async with opened(path, commit_bound=0.05, busy_timeout=20) as inbox:
            with outside(path) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(InboxBusy) as raised:
                    await inbox.put([event("late", "k"), event("too", "k")])
                assert raised.value.reason == "commit_timeout"
                other.execute("ROLLBACK")
            await inbox.pause()  # a write behind it
            assert await inbox.put([event("late", "k"), event("too", "k")]) == [Receipt.DUPLICATE] * 2

    asyncio.run(play())
    assert stored_ids(path) == ["late", "too"]


def test_opening_is_bounded_too_and_open_all_the_same(path: Path) -> None:
    async def play() -> None:
        inbox = open_inbox(f"sqlite:///{path}", commit_bound=0.05)
        with writer_lock_held(path), pytest.raises(InboxBusy):
            await inbox.open()
        assert await inbox.put([event("a")]) == FRESH
        await inbox.close()

    asyncio.run(play())


def test_closing_waits_only_so_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What still waits is committed as soon as it can be, if the process lives that long."""
    monkeypatch.setattr(module, "CLOSING", 0.05)

    async def play() -> None:
        inbox = open_inbox(f"sqlite:///{path}")
        await inbox.open()
        with writer_lock_held(path):
            (put,) = await begun([event("a")], into=inbox)
            await inbox.close()
            assert not put.done()
        assert await put == FRESH

    asyncio.run(play())
    assert stored_ids(path) == ["a"]


def test_closing_hears_its_stop_behind_what_waits(path: Path) -> None:
    async def play() -> None:
        inbox = open_inbox(f"sqlite:///{path}")
        await inbox.open()
        assert isinstance(inbox, module.SQLiteInbox)
        writer = inbox._writer
        assert writer is not None
        await inbox.put([event("first")])
        (lease,) = await inbox.lease(1, 30)
        running, go_on = threading.Event(), threading.Event()

        def hold(_transaction: object) -> None:
            running.set()
            go_on.wait(10)

        holding = asyncio.ensure_future(inbox.transact(settlements(lease, Done())[0], hold))
        await asyncio.to_thread(running.wait, 10)
        puts = await begun([event("a")], [event("b")], into=inbox)
        closing = asyncio.ensure_future(inbox.close())
        await until(lambda: writer._entries.qsize() == 3)
        go_on.set()
        async with asyncio.timeout(5):
            await closing
        assert await holding
        assert await asyncio.gather(*puts) == [FRESH] * 2

    asyncio.run(play())


def test_before_opening_and_after_closing_every_verb_says_so(path: Path) -> None:
    async def play() -> None:
        inbox = open_inbox(f"sqlite:///{path}")
        for _ in range(2):
            for verb in (inbox.put([event("a")]), inbox.lease(1, 30), inbox.stats(), inbox.wait(1)):
                with pytest.raises(InboxUnavailable) as raised:
                    await verb
                assert raised.value.reason == "closed"
            await inbox.open()
            await inbox.close()

    asyncio.run(play())


def test_closing_ends_what_waits_for_work(path: Path) -> None:
    async def play() -> None:
        inbox = open_inbox(f"sqlite:///{path}")
        await inbox.open()
        waiting = asyncio.ensure_future(inbox.wait(600))
        await inbox.stats()
        await inbox.close()
        with pytest.raises(InboxUnavailable):
            await waiting

    asyncio.run(play())


def test_open_and_close_may_race(path: Path) -> None:
    """Any number of times, with puts and looks in between: each is done, or says that the inbox is closed."""

    troubles = set()

    async def use(inbox: Inbox, name: str) -> None:
        try:
            await inbox.put([event(name)])
            await inbox.stats()
        except InboxUnavailable as error:
            troubles.add(error.reason)

    async def play() -> None:
        inbox = open_inbox(f"sqlite:///{path}")
        for turn in range(30):
            steps = [inbox.open(), use(inbox, f"{turn} a"), inbox.close(), use(inbox, f"{turn} b"), inbox.open()]
            await asyncio.gather(*steps[turn % 5 :], *steps[: turn % 5])
        await inbox.close()

    asyncio.run(play())
    assert troubles <= {"closed"}
    assert stored_ids(path)
