"""A file that is deleted, moved or replaced while it is in use still takes writes, and loses them: nothing is
acknowledged into it, and service goes on in the file that the path names."""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kirimhook.receiver.inbox import Filter, InboxBusy, InboxUnavailable
from kirimhook.receiver.model import Done, Receipt
from kirimhook.testing.conformance.bench import settlements
from tests.backends.inboxes import event, opened, outside, stored_ids


def delete(path: Path) -> None:
    path.unlink()


def delete_all(path: Path) -> None:
    for file in path.parent.glob("inbox.db*"):
        file.unlink()


def move(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def move_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


WAYS = [delete, delete_all, move, move_folder]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "inbox.db"


@pytest.mark.parametrize("way", WAYS)
def test_service_goes_on_in_a_new_file(
    path: Path, caplog: pytest.LogCaptureFixture, way: Callable[[Path], None]
) -> None:
    async def play() -> None:
        async with opened(path) as inbox:
            await inbox.put([event("before")])
            assert (await inbox.list(Filter())).events
            way(path)
            assert await inbox.put([event("after"), event("before")]) == [Receipt.FRESH, Receipt.FRESH]
            assert [stored.event.event_id for stored in (await inbox.list(Filter())).events] == ["before", "after"]
            assert len(await inbox.lease(10, 30)) == 2

    with caplog.at_level(logging.INFO, "kirimhook"):
        asyncio.run(play())
    assert [getattr(record, "kirimhook", {})["event"] for record in caplog.records] == ["inbox_replaced"]
    assert stored_ids(path) == ["after", "before"]


def test_a_moved_file_holds_all_that_was_acknowledged(path: Path) -> None:
    """Also what was in its log, which stayed behind."""

    async def play() -> None:
        async with opened(path) as inbox:
            await inbox.put([event(f"{index}") for index in range(100)])
            move(path)
            await inbox.put([event("after")])

    asyncio.run(play())
    assert stored_ids(path.with_name("moved.db")) == [f"{index}" for index in range(100)]
    assert stored_ids(path) == ["after"]


def test_a_copy_in_its_place_is_not_given_the_log_of_the_old_one(path: Path) -> None:
    copy = path.with_name("copy.db")

    async def play() -> None:
        async with opened(path) as inbox, opened(path) as other:
            await inbox.put([event("backed up")])
            with outside(path) as connection:
                connection.execute("VACUUM INTO ?", [str(copy)])
            await inbox.put([event(f"{index}", body=b"x" * 5_000) for index in range(100)])
            await other.put([event("also lost")])
            copy.replace(path)
            assert await inbox.put([event("after"), event("backed up")]) == [Receipt.FRESH, Receipt.DUPLICATE]
            assert await other.put([event("after"), event("also lost")]) == [Receipt.DUPLICATE, Receipt.FRESH]
            assert await inbox.put([event("also lost"), event("last")]) == [Receipt.DUPLICATE, Receipt.FRESH]

    asyncio.run(play())
    assert stored_ids(path) == ["backed up", "after", "also lost", "last"]


@pytest.mark.parametrize("way", WAYS)
def test_several_that_share_it_meet_again_in_the_new_one(path: Path, way: Callable[[Path], None]) -> None:
    async def play() -> None:
        async with opened(path) as one, opened(path) as two:
            for inbox in (one, two):
                await inbox.put([event("before", body=b"x" * 10_000)])
                await inbox.stats()
            way(path)
            names = [f"{index}" for index in range(60)]
            here, there = await asyncio.gather(
                asyncio.gather(*(one.put([event(name)]) for name in names)),
                asyncio.gather(*(two.put([event(name)]) for name in names)),
            )
            for mine, theirs in zip(here, there, strict=True):
                assert {*mine, *theirs} == {Receipt.FRESH, Receipt.DUPLICATE}
            assert (await one.stats()).counts == (await two.stats()).counts

    asyncio.run(play())
    assert sorted(stored_ids(path), key=int) == [f"{index}" for index in range(60)]


@pytest.mark.parametrize("way", [delete, move])
def test_nothing_is_acknowledged_into_a_file_that_vanishes_meanwhile(path: Path, way: Callable[[Path], None]) -> None:
    async def play() -> None:
        async with opened(path) as inbox:
            await inbox.put([event("before")])
            (lease,) = await inbox.lease(1, 30)
            with pytest.raises(InboxUnavailable) as raised:
                await inbox.transact(settlements(lease, Done())[0], lambda transaction: way(path))
            assert raised.value.reason == "replaced"
            assert await inbox.put([event("after")]) == [Receipt.FRESH]

    asyncio.run(play())
    assert stored_ids(path) == ["after"]


def test_without_its_lock_files_it_still_keeps_others_out(path: Path) -> None:
    """Whoever finds the lock file gone uses the new one that everybody else finds."""

    async def play() -> None:
        async with opened(path, commit_bound=0.1) as one, opened(path, commit_bound=0.1) as two:
            await one.put([event("a")])
            await two.put([event("b")])
            for suffix in ("-lock", "-turn"):
                Path(f"{path}{suffix}").unlink()
            (first, second) = await one.lease(2, 30)
            begun, go_on = threading.Event(), threading.Event()

            def hold(_transaction: object) -> None:
                begun.set()
                go_on.wait(10)

            holding = asyncio.ensure_future(one.transact(settlements(first, Done())[0], hold))
            await asyncio.to_thread(begun.wait, 10)
            with pytest.raises(InboxBusy):
                await two.put([event("c")])
            go_on.set()
            assert await holding
            assert await two.put([event("d")]) == [Receipt.FRESH]
            assert await one.settle(settlements(second, Done())) == [True]

    asyncio.run(play())
    assert stored_ids(path) == ["a", "b", "d"]


def test_a_fresh_start_takes_nothing_over_from_what_was_left_beside(path: Path) -> None:
    async def fill(name: str) -> None:
        async with opened(path) as inbox:
            await inbox.put([event(name)])
            shutil.copytree(path.parent, path.parent.with_name("left"))

    async def play() -> None:
        async with opened(path) as inbox:
            assert await inbox.put([event("left"), event("new")]) == [Receipt.FRESH, Receipt.FRESH]

    asyncio.run(fill("left"))
    left = path.parent.with_name("left")
    (left / "inbox.db").unlink()
    shutil.rmtree(path.parent)
    left.rename(path.parent)
    assert Path(f"{path}-wal").stat().st_size > 0
    asyncio.run(play())
    assert stored_ids(path) == ["left", "new"]


def test_a_newcomer_shares_nothing_with_one_that_still_has_the_deleted_file(path: Path) -> None:
    async def play() -> None:
        async with opened(path) as old:
            await old.put([event(f"old {index}", body=b"x" * 5_000) for index in range(50)])
            delete(path)
            async with opened(path) as new:
                assert await new.put([event("a")]) == [Receipt.FRESH]
                assert await old.put([event("a"), event("b")]) == [Receipt.DUPLICATE, Receipt.FRESH]
                assert await new.put([event("b"), event("c")]) == [Receipt.DUPLICATE, Receipt.FRESH]
                assert (await old.stats()).counts == (await new.stats()).counts

    asyncio.run(play())
    assert stored_ids(path) == ["a", "b", "c"]
