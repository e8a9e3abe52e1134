"""While the storage cannot keep an event no event is acknowledged, the reason is said and logged once, and service
resumes by itself when the cause goes, with everything that was acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kirimhook.backends import open_inbox
from kirimhook.backends.sqlite import file, schema
from kirimhook.backends.sqlite.inbox import SQLiteInbox
from kirimhook.receiver.inbox import Filter, Inbox, InboxUnavailable
from kirimhook.receiver.model import Done, Receipt
from kirimhook.testing.conformance.bench import settlements
from tests.backends.inboxes import event, opened, outside, stored_ids

NOBODY = 65534
Break = Callable[[Path], contextlib.AbstractContextManager[object]]
LARGE = b"x" * 300_000


@pytest.fixture
def path() -> Iterator[Path]:
    """In a folder that a user without privileges may enter."""
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield Path(folder) / "inbox.db"


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write everywhere: be somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    with outside(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def disk_full(_path: Path) -> Iterator[None]:
    """As SQLite itself says it, of a file that may not grow."""
    connect = schema.connect

    def limited(*arguments: Any) -> sqlite3.Connection:
        connection = connect(*arguments)
        connection.execute("PRAGMA max_page_count = 1")
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file, "connect", limited)
        yield


@contextlib.contextmanager
def no_room(_path: Path) -> Iterator[None]:
    """The system refuses to let any file grow past some kilobytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def corrupt(path: Path) -> Iterator[None]:
    kept = path.read_bytes()
    with path.open("r+b") as stream:
        stream.write(b"not a database, or not any more" * 4)
    yield
    with path.open("r+b") as stream:
        stream.write(kept)


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[None]:
    path.chmod(0o444)
    yield
    path.chmod(0o644)


@contextlib.contextmanager
def unwritable_folder(path: Path) -> Iterator[None]:
    for sidecar in ("-lock", "-turn"):
        Path(f"{path}{sidecar}").unlink(missing_ok=True)
    path.parent.chmod(0o555)
    yield
    path.parent.chmod(0o755)


@contextlib.contextmanager
def a_file_for_a_folder(path: Path) -> Iterator[None]:
    kept = path.parent.with_suffix(".kept")
    path.parent.rename(kept)
    path.parent.write_text("in the way")
    yield
    path.parent.unlink()
    kept.rename(path.parent)


@contextlib.contextmanager
def newer(path: Path) -> Iterator[None]:
    with outside(path) as connection:
        connection.execute("PRAGMA user_version = 99")
        yield
        connection.execute("PRAGMA user_version = 1")


@contextlib.contextmanager
def foreign(path: Path) -> Iterator[None]:
    kept = path.with_suffix(".kept")
    path.rename(kept)
    with outside(path) as connection:
        connection.execute("CREATE TABLE events (id TEXT)")
    before = path.read_bytes()
    yield
    assert path.read_bytes() == before
    kept.rename(path)


WHILE_SERVING: list[tuple[Break, str]] = [(locked, "locked"), (disk_full, "disk_full"), (no_room, "io_error")]
AT_THE_START: list[tuple[Break, str]] = [
    (corrupt, "corrupt"),
    (read_only, "read_only"),
    (unwritable_folder, "cannot_open"),
    (a_file_for_a_folder, "cannot_open"),
    (newer, "newer_schema"),
    (foreign, "foreign_file"),
    (locked, "locked"),
]


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(told["event"], told["reason"]) for told in (getattr(record, "kirimhook", {}) for record in caplog.records)]


def open_anew(inbox: Inbox) -> None:
    """As after an error, so that the connection is one with the limits of the test."""
    assert isinstance(inbox, SQLiteInbox)
    assert inbox._writer is not None
    inbox._writer._file._close_connection()


async def refused(inbox: Inbox, reason: str, *names: str) -> None:
    for name in names:
        with pytest.raises(InboxUnavailable) as raised:
            await inbox.put([event(name, body=LARGE)])
        assert raised.value.reason == reason, raised.value
        assert raised.value.retry_after > 0


@pytest.mark.parametrize(("cause", "reason"), WHILE_SERVING, ids=lambda one: getattr(one, "__name__", one))
def test_an_outage_while_serving(path: Path, caplog: pytest.LogCaptureFixture, cause: Break, reason: str) -> None:
    async def play() -> None:
        async with opened(path, busy_timeout=0.02) as inbox:
            assert await inbox.put([event("before", "k")]) == [Receipt.FRESH]
            (lease,) = await inbox.lease(1, 30)
            with cause(path):
                open_anew(inbox)
                await refused(inbox, reason, "during", "also during")
                assert (await inbox.list(Filter())).events[0].event.event_id == "before"  # reading goes on
            assert await inbox.put([event("during", body=LARGE), event("before")]) == [
                Receipt.FRESH,
                Receipt.DUPLICATE,
            ]
            assert await inbox.settle(settlements(lease, Done())) == [True]

    with caplog.at_level(logging.DEBUG, "kirimhook"):
        asyncio.run(play())
    assert lines(caplog) == [("inbox_failed", reason), ("inbox_recovered", reason)]
    assert stored_ids(path) == ["before", "during"]


@pytest.mark.parametrize(("cause", "reason"), AT_THE_START, ids=lambda one: getattr(one, "__name__", one))
def test_an_outage_at_the_start(path: Path, caplog: pytest.LogCaptureFixture, cause: Break, reason: str) -> None:
    """The inbox is open all the same, and takes events as soon as it can."""

    async def before() -> None:
        async with opened(path) as inbox:
            await inbox.put([event("before")])

    async def play() -> None:
        inbox = open_inbox(f"sqlite:///{path}", busy_timeout=0.02)
        with cause(path):
            with pytest.raises(InboxUnavailable) as raised:
                await inbox.open()
            assert raised.value.reason == reason
            await refused(inbox, reason, "during", "also during")
        assert await inbox.put([event("during"), event("before")]) == [Receipt.FRESH, Receipt.DUPLICATE]
        await inbox.close()

    with caplog.at_level(logging.DEBUG, "kirimhook"), unprivileged():
        asyncio.run(before())
        asyncio.run(play())
        assert stored_ids(path) == ["before", "during"]
    assert lines(caplog) == [("inbox_failed", reason), ("inbox_recovered", reason)]


def test_a_log_that_breaks_costs_no_waiter(path: Path) -> None:
    def broken(_record: logging.LogRecord) -> bool:
        raise RuntimeError("the log is broken")

    async def play() -> None:
        async with opened(path, busy_timeout=0.02) as inbox:
            with locked(path):
                await refused(inbox, "locked", "during", "also during")
            assert await inbox.put([event("after")]) == [Receipt.FRESH]

    log = logging.getLogger("kirimhook")
    log.addFilter(broken)
    try:
        asyncio.run(play())
    finally:
        log.removeFilter(broken)


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@contextlib.contextmanager
def a_folder_for_the_lock(path: Path) -> Iterator[None]:
    lock = Path(f"{path}-lock")
    lock.unlink()
    lock.mkdir()
    yield
    lock.rmdir()


@pytest.mark.parametrize("cause", [unwritable_folder, a_folder_for_the_lock])
def test_nothing_leaks_in_a_long_outage(path: Path, cause: Break) -> None:
    async def play() -> None:
        async with opened(path) as inbox:
            await inbox.put([event("before")])
            with cause(path):
                await asyncio.gather(*(inbox.put([event(f"{index}")]) for index in range(3)), return_exceptions=True)
                files = open_files()
                for index in range(50):
                    with pytest.raises(InboxUnavailable):
                        await inbox.put([event(f"{index}")])
                assert open_files() <= files

    with unprivileged():
        asyncio.run(play())


def test_after_an_input_error_the_log_is_made_certain_first(path: Path) -> None:
    """What a failed write left in the log can be read and yet be lost: it is written back before any duplicate of it
    is acknowledged."""

    async def play() -> None:
        async with opened(path) as inbox, opened(path) as other:
            await inbox.put([event(f"{index}", body=LARGE) for index in range(3)])
            await other.stats()
            assert Path(f"{path}-wal").stat().st_size > 900_000
            with no_room(path):
                await refused(inbox, "io_error", "during")
            await inbox.put([event("0")])
            assert Path(f"{path}-wal").stat().st_size < 900_000

    asyncio.run(play())


def test_a_foreign_database_is_left_as_it_was(tmp_path: Path) -> None:
    """Not even its journal mode changes. Tables beside ours are no offence in a file that is ours."""
    path = tmp_path / "inbox.db"
    for number, prepare in enumerate(
        ["PRAGMA user_version = 1", "PRAGMA application_id = 7", "CREATE TABLE tally (a)"]
    ):
        theirs = tmp_path / f"{number}.db"
        with outside(theirs) as connection:
            connection.execute("CREATE TABLE users (name)")
            connection.execute(prepare)
        before = theirs.read_bytes()
        with pytest.raises(InboxUnavailable, match="foreign_file"):
            asyncio.run(_open(theirs))
        assert theirs.read_bytes() == before
    with outside(path) as connection:
        connection.execute("CREATE TABLE users (name)")
    asyncio.run(_open(path))
    shutil.copy(path, tmp_path / "copy.db")
    asyncio.run(_open(tmp_path / "copy.db"))


async def _open(path: Path) -> None:
    async with opened(path) as inbox:
        await inbox.put([event("a")])
