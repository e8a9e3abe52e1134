"""A SQLite file: what waits together is committed together, one process at a time; an outage is told, and ends by
itself; who no longer waits costs nothing."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import resource
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from sqlalchemy import Connection, Engine, event

from kirimhook.sender.database import Database, StorageUnavailable, open_database, sqlite, writer
from kirimhook.sender.database.file import raw
from tests.sender.databases import Databases, add, done, names

Break = Callable[[Path], contextlib.AbstractContextManager[object]]
LARGE = "x" * 300_000


@pytest.fixture
def databases(sqlite_url: str) -> Databases:
    return Databases(sqlite_url)


@pytest.fixture
def path(sqlite_url: str) -> Path:
    return Path(sqlite_url.removeprefix("sqlite:///"))


@contextlib.contextmanager
def commits() -> Iterator[list[Connection]]:
    seen: list[Connection] = []

    def see(connection: Connection) -> None:
        seen.append(connection)

    event.listen(Engine, "commit", see)
    try:
        yield seen
    finally:
        event.remove(Engine, "commit", see)


class Gate:
    """An operation that keeps the writer busy until it is opened."""

    def __init__(self) -> None:
        self._begun, self._open = threading.Event(), threading.Event()
        self.open = self._open.set

    def operation(self, _connection: Connection) -> None:
        self._begun.set()
        assert self._open.wait(30)

    async def begun(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, 30)


def test_what_waits_together_is_one_commit(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "LONGEST", 30.0)

    async def use(database: Database) -> None:
        gate = Gate()
        busy = asyncio.create_task(database.write(gate.operation))
        await gate.begun()
        with commits() as seen:
            asked = [asyncio.create_task(database.write(add(f"{number:02}"))) for number in range(64)]
            await asyncio.sleep(0)  # each has asked
            gate.open()
            await asyncio.gather(busy, *asked)
        assert len(seen) == 2  # its own, and theirs

    databases.run(use)


def test_it_is_durable_when_it_returns(databases: Databases) -> None:
    def modes(connection: Connection) -> tuple[Any, ...]:
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        return tuple(connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas)

    databases.run(lambda database: see(database.write(modes), ("wal", 2, 1)))


async def see(found: Any, expected: Any) -> None:
    assert await found == expected


def test_a_long_batch_is_committed_in_parts(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "LONGEST", 0.0)

    async def use(database: Database) -> None:
        with commits() as seen:
            await asyncio.gather(*(database.write(add(f"{number}")) for number in range(10)))
        assert len(seen) == 10

    databases.run(use)


def test_who_no_longer_waits_is_passed_over(databases: Databases) -> None:
    async def use(database: Database) -> None:
        gate = Gate()
        busy = asyncio.create_task(database.write(gate.operation))
        await gate.begun()
        gone, stays = (asyncio.create_task(database.write(add(name))) for name in ("gone", "stays"))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        gate.open()
        await asyncio.gather(busy, stays)
        assert await database.read(names) == ["stays"]

    databases.run(use)


def test_patience_ends(databases: Databases) -> None:
    async def use() -> None:
        async with databases.opened(patience=0.05) as database:
            gate = Gate()
            for operation in (gate.operation, add("late")):
                async with asyncio.timeout(5):
                    with pytest.raises(StorageUnavailable, match="timeout") as raised:
                        await database.write(operation)
                assert raised.value.in_doubt
            gate.open()
            assert await database.write(names) == []

    asyncio.run(use())


def test_too_many_that_wait_are_refused(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MOST_WAITING", 3)

    async def use(database: Database) -> None:
        gate = Gate()
        busy = asyncio.create_task(database.write(gate.operation))
        await gate.begun()
        asked = [asyncio.create_task(database.write(add(name))) for name in ("a", "b", "c", "d", "e")]
        await asyncio.sleep(0)
        gate.open()
        results = await asyncio.gather(busy, *asked, return_exceptions=True)
        assert [getattr(result, "reason", result) for result in results] == [None, "a", "b", "c", *["overloaded"] * 2]

    databases.run(use)


def test_too_many_that_read_are_refused(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "MOST_READING", 3)

    async def use(database: Database) -> None:
        results = await asyncio.gather(*(database.read(names) for _ in range(5)), return_exceptions=True)
        assert [getattr(result, "reason", result) for result in results] == [[]] * 3 + ["overloaded"] * 2
        assert await database.read(names) == []

    databases.run(use)


def test_one_that_could_not_be_opened_can_be_later(tmp_path: Path) -> None:
    path = tmp_path / "sender.db"

    async def use() -> None:
        database = open_database(f"sqlite:///{path}")
        path.mkdir()
        with pytest.raises(StorageUnavailable, match="cannot_open"):
            await database.open()
        for call in (database.write, database.read):
            with pytest.raises(StorageUnavailable, match="closed"):
                await call(lambda _: None)
        path.rmdir()
        await database.open()
        await database.open()
        assert await database.write(lambda _: 7) == 7
        await database.close()

    asyncio.run(use())


def test_a_file_that_may_not_be_written_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so the system is asked in the name of another."""
    path = tmp_path / "sender.db"
    monkeypatch.setattr("kirimhook.sender.database.file.is_writable", lambda _: False)

    async def use() -> None:
        with pytest.raises(StorageUnavailable, match="read_only"):
            await open_database(f"sqlite:///{path}").open()

    asyncio.run(use())
    assert path.read_bytes() == b""


def test_closing_waits_for_the_file_no_longer_than_that(
    databases: Databases, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "CLOSE_TIMEOUT", 0.05)

    async def use() -> None:
        database = open_database(databases.url)
        await database.open()
        with Path(f"{path}-lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            asked = asyncio.create_task(database.write(add("late")))
            await asyncio.sleep(0)
            with pytest.raises(StorageUnavailable, match="locked: another process holds the file"):
                await database.close()
        assert await asked == "late"

    asyncio.run(use())


def test_two_loops_may_share_it(databases: Databases) -> None:
    async def use(database: Database) -> None:
        def other() -> None:
            asyncio.run(see(database.write(add("there")), "there"))
            asyncio.run(see(database.read(names), ["here", "there"]))

        await database.write(add("here"))
        await asyncio.to_thread(other)

    databases.run(use)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
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
def a_folder_for_the_lock(path: Path) -> Iterator[None]:
    lock = Path(f"{path}-lock")
    lock.unlink()
    lock.mkdir()
    yield
    lock.rmdir()


@contextlib.contextmanager
def moved_away(path: Path) -> Iterator[None]:
    """Something else is in its place, and nobody writes over it."""
    kept = path.with_suffix(".kept")
    path.rename(kept)
    path.write_text("another program's")
    yield
    assert path.read_text() == "another program's"
    kept.rename(path)


OUTAGES: list[tuple[Break, str, list[tuple[str, str]]]] = [
    (locked, "locked", []),
    (no_room, "io_error", [("database_failed", "io_error"), ("database_recovered", "io_error")]),
    (a_folder_for_the_lock, "cannot_open", [("database_failed", "cannot_open"), ("database_recovered", "cannot_open")]),
    (moved_away, "corrupt", [("database_failed", "corrupt"), ("database_recovered", "corrupt")]),
]


@pytest.mark.parametrize(("cause", "reason", "told"), OUTAGES, ids=lambda one: getattr(one, "__name__", ""))
def test_an_outage(
    databases: Databases,
    path: Path,
    caplog: pytest.LogCaptureFixture,
    cause: Break,
    reason: str,
    told: list[tuple[str, str]],
) -> None:
    async def use() -> None:
        async with databases.opened(busy_timeout=0.02) as database:
            await database.write(add("before"))
            with cause(path):
                for name in ("during", "also during"):
                    with pytest.raises(StorageUnavailable) as raised:
                        await database.write(add(name + LARGE))
                    assert raised.value.reason == reason
                    assert raised.value.retry_after > 0
            await database.write(add("after"))
            assert await database.read(names) == ["after", "before"]

    with caplog.at_level(logging.DEBUG, "kirimhook"):
        asyncio.run(use())
    lines = [getattr(record, "kirimhook", {}) for record in caplog.records]
    assert [(line["event"], line["reason"]) for line in lines] == told


def test_a_full_disk_fails_all_that_was_to_be_committed_with_it(databases: Databases) -> None:
    """As SQLite itself says it, of a file that may not grow."""

    def limit(connection: Connection) -> None:
        raw(connection).execute("PRAGMA max_page_count = 1")

    async def use(database: Database) -> None:
        gate = Gate()
        busy = asyncio.create_task(database.write(gate.operation))
        await gate.begun()
        calls = [asyncio.create_task(database.write(each)) for each in (limit, add("small"), add(LARGE))]
        await asyncio.sleep(0)
        gate.open()
        results = await asyncio.gather(busy, *calls, return_exceptions=True)
        assert [getattr(result, "reason", result) for result in results] == [None, *["disk_full"] * 3]
        assert await database.write(add("small")) == "small"  # on a new connection
        assert await database.read(names) == ["small"]

    databases.run(use)


def test_after_an_io_error_the_log_is_made_certain_first(databases: Databases, path: Path) -> None:
    """What a failed write left in the log can be read and yet be lost."""

    async def use(database: Database) -> None:
        async with databases.opened() as other:
            await database.write(add("before" + 4 * LARGE))
            await other.read(names)
            assert Path(f"{path}-wal").stat().st_size > 900_000
            with no_room(path), pytest.raises(StorageUnavailable, match="io_error"):
                await database.write(add("during" + LARGE))
            await database.write(add("after"))
            assert Path(f"{path}-wal").stat().st_size < 900_000

    databases.run(use)


def test_a_file_that_was_deleted_takes_no_more(databases: Databases, path: Path) -> None:
    def delete(connection: Connection) -> None:
        add("lost")(connection)
        path.unlink()

    async def use(database: Database) -> None:
        with pytest.raises(StorageUnavailable, match="replaced") as raised:
            await database.write(delete)
        assert raised.value.in_doubt

    databases.run(use)


class AlwaysRead:
    """At every commit one of two connections reads what was there before it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ended = threading.Event()
        self.committed = threading.Event()
        self._thread = threading.Thread(target=self._read_in_turns)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)

    def _read_in_turns(self) -> None:
        connections = [sqlite3.connect(self._path, isolation_level=None) for _ in range(2)]
        reads, waits = connections
        while not self._ended.is_set():
            reads.execute("BEGIN")
            reads.execute("SELECT count(*) FROM seals").fetchone()
            if waits.in_transaction:
                waits.execute("ROLLBACK")
            self.committed.clear()
            self.committed.wait(0.02)  # no longer: a checkpoint may be waiting for us
            reads, waits = waits, reads
        for connection in connections:
            connection.close()


def test_the_log_is_shortened_though_somebody_always_reads(databases: Databases, path: Path) -> None:
    """SQLite alone would let it grow: it begins it anew only in a moment in which nobody reads."""
    megabyte = "INSERT INTO seals (id, sealed) VALUES (:id, zeroblob(1000000))"

    async def use(database: Database) -> None:
        with AlwaysRead(path) as readers:
            for number in range(120):
                await database.write(done(megabyte, id=number))
                readers.committed.set()
            assert Path(f"{path}-wal").stat().st_size < 80_000_000

    databases.run(use)


def test_a_file_in_the_place_of_the_old_one_is_read(databases: Databases, path: Path, sqlite_template: Path) -> None:
    async def use(database: Database) -> None:
        await database.write(add("of old"))
        assert [await database.read(names) for _ in range(4)] == [["of old"]] * 4
        new = shutil.copyfile(sqlite_template, path.with_suffix(".new"))
        Path(new).replace(path)
        assert await database.write(add("of new")) == "of new"
        assert [await database.read(names) for _ in range(4)] == [["of new"]] * 4

    databases.run(use)


def test_no_other_process_writes_meanwhile(databases: Databases, path: Path) -> None:
    def is_free() -> bool:
        with Path(f"{path}-lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    async def use(database: Database) -> None:
        assert not await database.write(lambda _: is_free())
        assert await database.read(lambda _: is_free())

    databases.run(use)
