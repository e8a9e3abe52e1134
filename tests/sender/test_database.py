"""What a database promises, SQLite and PostgreSQL alike: an operation is one transaction, durable when it returns; a
read sees one snapshot, and changes nothing; closing finishes what was asked for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

from kirimhook.sender.database import Database, StorageUnavailable, open_database
from tests.sender.databases import Databases, add, done, names


def test_what_was_written_is_read_elsewhere(databases: Databases) -> None:
    async def use(database: Database) -> None:
        assert await database.write(add("a")) == "a"
        async with databases.opened() as other:
            assert await other.read(names) == ["a"]

    databases.run(use)


def test_an_operation_that_fails_undoes_itself_alone(databases: Databases) -> None:
    def fails(connection: Connection) -> None:
        add("undone")(connection)
        raise LookupError("no")

    async def use(database: Database) -> None:
        calls = [database.write(fails if number % 3 else add(f"{number:02}")) for number in range(30)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [LookupError if number % 3 else str for number in range(30)]
        assert await database.read(names) == [f"{number:02}" for number in range(0, 30, 3)]

    databases.run(use)


def test_an_error_of_a_statement_is_passed_on(databases: Databases) -> None:
    async def use(database: Database) -> None:
        await database.write(add("a"))
        with pytest.raises(IntegrityError):
            await database.write(add("a"))
        assert await database.read(names) == ["a"]

    databases.run(use)


@pytest.mark.parametrize("raised", [StopIteration, asyncio.CancelledError])
def test_what_would_mean_something_else_to_a_task_is_carried(databases: Databases, raised: type[BaseException]) -> None:
    def fails(connection: Connection) -> None:
        add("undone")(connection)
        raise raised

    async def use(database: Database) -> None:
        with pytest.raises((RuntimeError, raised)):
            await database.write(fails)
        assert await database.write(add("after")) == "after"
        assert await database.read(names) == ["after"]

    databases.run(use)


def test_changes_are_not_lost_to_each_other(databases: Databases) -> None:
    def add_one(connection: Connection) -> None:
        connection.execute(text("UPDATE organisations SET created_at = created_at + 1 WHERE id = 'a'"))

    async def use(database: Database) -> None:
        await database.write(add("a"))
        async with databases.opened() as other:
            await asyncio.gather(*(each.write(add_one) for _ in range(100) for each in (database, other)))
        assert await databases.rows("SELECT created_at FROM organisations") == [(201,)]

    databases.run(use)


def test_a_read_changes_nothing(databases: Databases) -> None:
    async def use(database: Database) -> None:
        with pytest.raises(StorageUnavailable, match="read_only"):
            await database.read(add("a"))
        assert await database.read(names) == []

    databases.run(use)


def test_a_read_sees_one_snapshot(databases: Databases) -> None:
    def twice(connection: Connection) -> tuple[list[str], list[str]]:
        before = names(connection)
        elsewhere(databases, lambda other: other.write(add("meanwhile")))
        return before, names(connection)

    async def use(database: Database) -> None:
        assert await database.read(twice) == ([], [])
        assert await database.read(names) == ["meanwhile"]

    databases.run(use)


def elsewhere(databases: Databases, use: Callable[[Database], Coroutine[Any, Any, Any]]) -> None:
    """Done when this returns, in a thread with a loop and a connection of its own."""
    thread = threading.Thread(target=databases.run, args=(use,))
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


def test_a_read_does_not_wait_for_a_writer(databases: Databases) -> None:
    begun, ended = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        add("slow")(connection)
        begun.set()
        assert ended.wait(30)

    async def use(database: Database) -> None:
        writing = threading.Thread(target=databases.run, args=(lambda other: other.write(slow),))
        writing.start()
        assert begun.wait(30)
        assert await database.read(names) == []
        ended.set()
        writing.join(30)
        assert await database.read(names) == ["slow"]

    databases.run(use)


def test_closing_finishes_what_was_asked_for_and_refuses_the_rest(databases: Databases) -> None:
    async def play() -> None:
        database = open_database(databases.url)
        await database.open()
        asked = [asyncio.create_task(database.write(add(f"{number:02}"))) for number in range(20)]
        asked += [asyncio.create_task(database.read(lambda _: "read"))]
        await asyncio.sleep(0)  # each has asked
        await asyncio.gather(database.close(), database.close())
        assert await asyncio.gather(*asked) == [*(f"{number:02}" for number in range(20)), "read"]
        for call in (database.write, database.read):
            with pytest.raises(StorageUnavailable, match="closed"):
                await call(names)
        await database.close()
        await database.open()
        assert len(await database.read(names)) == 20
        await database.close()

    asyncio.run(play())


@pytest.mark.parametrize("kept", [True, False])
def test_within_the_callers_transaction(databases: Databases, kept: bool) -> None:
    async def use(database: Database) -> None:
        if database.dialect == "postgresql":
            engine = create_async_engine(databases.url.replace("postgresql:", "postgresql+asyncpg:"))
            async with engine.connect() as connection:
                assert await database.within(connection, add("ours")) == "ours"
                await connection.run_sync(add("theirs"))
                await (connection.commit() if kept else connection.rollback())
            await engine.dispose()
        else:
            with create_engine(databases.url).connect() as connection:
                assert await database.within(connection, add("ours")) == "ours"
                add("theirs")(connection)
                (connection.commit if kept else connection.rollback)()
                connection.engine.dispose()
        assert await database.read(names) == (["ours", "theirs"] if kept else [])

    databases.run(use)


def test_not_within_a_transaction_of_another_kind_of_database(sqlite_url: str, postgres_url: str) -> None:
    async def play() -> None:
        sqlite, postgres = open_database(sqlite_url), open_database(postgres_url)
        with (
            create_engine(sqlite_url).connect() as connection,
            pytest.raises(ValueError, match="sender is on postgres"),
        ):
            await postgres.within(connection, names)
        connection.engine.dispose()
        engine = create_async_engine(postgres_url.replace("postgresql:", "postgresql+asyncpg:"))
        async with engine.connect() as theirs:
            with pytest.raises(ValueError, match="sender is on sqlite"):
                await sqlite.within(theirs, names)
        await engine.dispose()

    asyncio.run(play())


def test_rows_come_back_as_python_has_them(databases: Databases) -> None:
    """Of one text for both: bytes, texts with every character but NUL, numbers of 64 bits, null, truth."""
    body, words = bytes(range(256)), "".join(map(chr, [*range(1, 0x2FF), 0x1F600, 0x10FFFF]))

    async def use(database: Database) -> None:
        await database.write(done("INSERT INTO seals (id, sealed) VALUES (1, :body)", body=body))
        await database.write(
            done(
                "INSERT INTO deliveries (id, organisation_id, subscription_id, event, event_id, event_type, source,"
                " kind, original, status, max_attempts, created_at)"
                " VALUES (:id, '', '', '', '', '', '', '', true, '', 8, :at)",
                id=words,
                at=2**62,
            )
        )
        assert await databases.rows("SELECT sealed FROM seals") == [(body,)]
        rows = await databases.rows("SELECT id, created_at, original, replayed_by, attempt_count FROM deliveries")
        assert rows == [(words, 2**62, True, None, 0)]

    databases.run(use)


@pytest.mark.parametrize(
    "url", ["", "mysql://x/y", "sqlite://", "sqlite:///:memory:", "sqlite:///a.db?mode=ro", "x.db"]
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="sqlite:///"):
        open_database(url)


def test_an_option_that_cannot_be_is_refused() -> None:
    for url, options in (
        ("sqlite:///a.db", {"patience": 0}),
        ("sqlite:///a.db", {"readers": 0}),
        ("postgresql://a/b", {"pool": 0}),
        ("postgresql://a/b", {"statement_timeout": 0}),
    ):
        with pytest.raises(ValueError, match=next(iter(options))):
            open_database(url, **options)
