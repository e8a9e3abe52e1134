"""Odd input and odd moments: each is refused or bounded by itself, and nobody else notices."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from kirimhook.backends import open_inbox
from kirimhook.backends.sqlite import leasing, put_back
from kirimhook.backends.sqlite.reader import Reader
from kirimhook.backends.sqlite.settings import SQLiteSettings
from kirimhook.receiver.inbox import Filter, InboxUnavailable
from kirimhook.receiver.model import Done, EventState, Parked, Receipt
from kirimhook.testing.conformance.bench import ids, settlements
from tests.backends.inboxes import event, opened, outside, stored_ids, writer_lock_held
from tests.backends.test_outages import disk_full, lines, no_room

FRESH = [Receipt.FRESH]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox.db"


def test_a_lease_hands_out_only_so_many_bytes_but_always_one_event(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leasing, "MOST_BYTES", 1_000)

    async def play() -> None:
        async with opened(path) as inbox:
            await inbox.put([event(f"k{index}", "k", body=b"x" * 400) for index in range(3)])
            await inbox.put([event("large", body=b"x" * 5_000)])
            await inbox.put([event("last")])
            (first,) = await inbox.lease(10, 600)
            assert ids([first]) == [("k0", "k1")]
            assert ids(await inbox.lease(10, 600)) == [("large",)]
            assert ids(await inbox.lease(10, 600)) == [("last",)]
            await inbox.settle(settlements(first, Done(), Done()))
            assert ids(await inbox.lease(10, 600)) == [("k2",)]

    asyncio.run(play())


def test_text_that_cannot_be_encoded_is_refused_whole(path: Path) -> None:
    """No receiver makes such an event; if one did, it would be our own fault, so a 503."""

    async def play() -> None:
        async with opened(path) as inbox:
            with pytest.raises(InboxUnavailable) as raised:
                await inbox.put([event("fine"), event("a")._replace(type="\ud800")])
            assert raised.value.reason == "storage_error"
            assert isinstance(raised.value.__cause__, UnicodeEncodeError)
            assert await inbox.put([event("fine"), event("a")]) == FRESH * 2

    asyncio.run(play())
    assert stored_ids(path) == ["fine", "a"]


@pytest.mark.parametrize("url", ["sqlite:///:memory:", None])
def test_a_filter_of_too_many_types_is_no_outage(path: Path, caplog: pytest.LogCaptureFixture, url: str | None) -> None:
    async def play() -> None:
        inbox = open_inbox(url or f"sqlite:///{path}")
        await inbox.open()
        many = Filter(types=tuple(f"a.{index}" for index in range(5_000)), states=frozenset({EventState.DONE}))
        for verb in (inbox.list(many), inbox.count(many), inbox.put_back(many)):
            with pytest.raises(ValueError, match="types"):
                await verb
        assert await inbox.put([event("a")]) == FRESH
        await inbox.close()

    with caplog.at_level(logging.DEBUG, "kirimhook"):
        asyncio.run(play())
    assert caplog.records == []


def test_what_cannot_be_read_now_can_be_read_later(path: Path) -> None:
    async def play() -> None:
        async with opened(path) as inbox:
            await inbox.put([event("before")])
            assert len((await inbox.list(Filter())).events) == 1
            path.unlink()
            for _ in range(2):
                with pytest.raises(InboxUnavailable) as raised:
                    await inbox.list(Filter())
                assert raised.value.reason == "cannot_open"
            assert not path.exists()  # a look makes no file
            await inbox.put([event("after")])
            assert [stored.event.event_id for stored in (await inbox.list(Filter())).events] == ["after"]

    asyncio.run(play())


def test_a_reader_that_is_being_closed_says_so(path: Path) -> None:
    reader = Reader(SQLiteSettings(str(path)))
    reader.close()
    with pytest.raises(InboxUnavailable) as raised:
        reader.submit(lambda connection: None)
    assert raised.value.reason == "closed"


def test_tables_are_made_whole_or_not_at_all(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        inbox = open_inbox(f"sqlite:///{path}")
        with disk_full(path), pytest.raises(InboxUnavailable) as raised:
            await inbox.open()
        assert raised.value.reason == "disk_full"
        assert await inbox.put([event("a")]) == FRESH
        await inbox.close()

    asyncio.run(play())
    assert lines(caplog)[0] == ("inbox_failed", "disk_full")
    assert stored_ids(path) == ["a"]


def test_in_doubt_nothing_is_acknowledged_while_a_reader_keeps_the_log(path: Path) -> None:
    async def play() -> None:
        async with opened(path, busy_timeout=0.02) as inbox:
            await inbox.put([event("before", body=b"x" * 150_000)])
            with outside(path) as other:
                other.execute("BEGIN")
                other.execute("SELECT count(*) FROM events").fetchall()
                await inbox.put([event("and", body=b"x" * 40_000)])
                with no_room(path), pytest.raises(InboxUnavailable):
                    await inbox.put([event("during", body=b"x" * 100_000)])
                with pytest.raises(InboxUnavailable) as raised:
                    await inbox.put([event("before", body=b"x" * 150_000)])
                assert raised.value.reason == "io_error"
                other.execute("ROLLBACK")
            assert await inbox.put([event("before", body=b"x" * 150_000)]) == [Receipt.DUPLICATE]

    asyncio.run(play())
    assert stored_ids(path) == ["before", "and"]


def test_what_changed_between_the_search_and_the_write_is_not_put_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = put_back.find

    def find(*arguments: Any, **named: Any) -> list[int]:
        numbers = search(*arguments, **named)
        with outside(path) as other:
            other.execute("UPDATE finished SET state = 'done'")
        return numbers

    async def play() -> None:
        async with opened(path) as inbox:
            await inbox.put([event("a")])
            (lease,) = await inbox.lease(1, 30)
            await inbox.settle(settlements(lease, Parked("no")))
            monkeypatch.setattr(put_back, "find", find)
            assert await inbox.put_back(Filter(states=frozenset({EventState.PARKED}))) == 0
            stored = await inbox.get(lease.run[0].number)
            assert stored is not None
            assert stored.state is EventState.DONE

    asyncio.run(play())


def test_a_call_that_cannot_be_done_is_refused_alone(path: Path) -> None:
    """Whatever a row has come to, the events of others are taken in."""

    async def play() -> None:
        async with opened(path) as inbox:
            await inbox.put([event("bad"), event("good")])
            bad, good = sorted(await inbox.lease(2, 600), key=lambda lease: lease.run[0].number)
            with outside(path) as other:
                other.execute("INSERT INTO finished VALUES (?, 'done', 0, 0, NULL)", [bad.run[0].number])
            with writer_lock_held(path):
                calls = [
                    asyncio.ensure_future(call)
                    for call in (
                        inbox.put([event("first")]),  # which the writer takes alone
                        inbox.settle(settlements(bad, Done())),
                        inbox.settle(settlements(good, Done())),
                        inbox.put([event("second")]),
                    )
                ]
                await asyncio.sleep(0)
            first, refused, settled, second = await asyncio.gather(*calls, return_exceptions=True)
            assert (first, settled, second) == (FRESH, [True], FRESH)
            assert isinstance(refused, InboxUnavailable)
            assert refused.reason == "storage_error"
            assert (await inbox.stats()).counts[EventState.DONE] == 1

    asyncio.run(play())


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_wait_of_no_time_is_over_at_once(path: Path, seconds: float) -> None:
    async def play() -> None:
        async with opened(path) as inbox, asyncio.timeout(10):
            await inbox.wait(seconds)

    asyncio.run(play())
