"""PostgreSQL: what others undid is run again, what is in doubt is not; a server that was away is found again; one that
would lose what it acknowledged is refused; nobody waits for ever."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from kirimhook.sender.database import Database, Operation, StorageRefused, StorageUnavailable, open_database
from kirimhook.testing.postgres import PostgresServer, postgres_server
from tests.sender.databases import Databases, PostgresTemplate, add, done, make_tables, names

CUT = "SELECT pg_terminate_backend(pg_backend_pid())"


@pytest.fixture
def databases(postgres_url: str) -> Databases:
    return Databases(postgres_url)


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """To be stopped."""
    with postgres_server() as server:
        make_tables(server.url())
        yield server


def fails_first(times: int, statement: str) -> tuple[Operation[int], list[int]]:
    """An operation that adds a row, and is undone by the server at its first runs; and those runs."""
    runs: list[int] = []

    def operation(connection: Connection) -> int:
        runs.append(len(runs) + 1)
        add(f"{len(runs)}")(connection)
        if len(runs) <= times:
            connection.execute(text(statement))
        return len(runs)

    return operation, runs


def raised(code: str) -> str:
    return f"DO $$ BEGIN RAISE EXCEPTION 'as the server says it' USING ERRCODE = '{code}'; END $$"


def test_two_that_lock_each_other_out_both_end(databases: Databases) -> None:
    """A real deadlock: each has one row, and wants the other's."""
    meeting, runs = threading.Barrier(2), []

    def operation(first: str, second: str) -> Operation[None]:
        def both(connection: Connection) -> None:
            runs.append(first)
            connection.execute(text("SET LOCAL deadlock_timeout = '20ms'"))
            connection.execute(
                text("UPDATE organisations SET created_at = created_at + 1 WHERE id = :id"), {"id": first}
            )
            if len(runs) <= 2:
                meeting.wait(30)
            connection.execute(
                text("UPDATE organisations SET created_at = created_at + 1 WHERE id = :id"), {"id": second}
            )

        return both

    databases.run(lambda database: asyncio.gather(database.write(add("a")), database.write(add("b"))))
    operations = [operation("a", "b"), operation("b", "a")]
    threads = [
        threading.Thread(target=databases.run, args=(lambda database, each=each: database.write(each),))
        for each in operations
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert asyncio.run(databases.rows("SELECT created_at FROM organisations")) == [(3,), (3,)]
    assert len(runs) > 2


@pytest.mark.parametrize("code", ["40P01", "40001"])
def test_what_others_undid_is_run_again_from_its_start(databases: Databases, code: str) -> None:
    async def use(database: Database) -> None:
        operation, _ = fails_first(3, raised(code))
        assert await database.write(operation) == 4
        assert await database.read(names) == ["4"]

    databases.run(use)


def test_but_not_for_ever(databases: Databases) -> None:
    async def use(database: Database) -> None:
        operation, runs = fails_first(100, raised("40P01"))
        with pytest.raises(StorageUnavailable, match="deadlock"):
            await database.write(operation)
        assert 3 <= len(runs) <= 10
        assert await database.read(names) == []

    databases.run(use)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("08006", "disconnected"),
        ("25006", "read_only"),
        ("25P03", "timeout"),
        ("53100", "disk_full"),
        ("53200", "overloaded"),
        ("55P03", "locked"),
        ("57014", "timeout"),
        ("57P01", "disconnected"),
        ("57P03", "disconnected"),
        ("58030", "io_error"),
        ("XX001", "corrupt"),
        ("XX000", None),
        ("22012", None),
        ("23505", None),
        ("42501", "refused"),
        ("42601", None),
        ("P0001", None),
    ],
)
def test_what_a_code_means(databases: Databases, code: str, reason: str | None) -> None:
    async def use(database: Database) -> None:
        operation, _ = fails_first(9, raised(code))
        with pytest.raises(StorageUnavailable if reason else DBAPIError) as failed:
            await database.write(operation)
        assert getattr(failed.value, "reason", None) == reason
        assert not getattr(failed.value, "in_doubt", False)
        assert await database.read(names) == []

    databases.run(use)


def test_a_connection_that_broke_before_the_commit_is_replaced_once(databases: Databases) -> None:
    async def use(database: Database) -> None:
        operation, runs = fails_first(1, CUT)
        assert await database.write(operation) == 2
        assert await database.read(names) == ["2"]
        await database.write(done("DELETE FROM organisations"))
        operation, runs = fails_first(9, CUT)
        with pytest.raises(StorageUnavailable, match="disconnected") as broken:
            await database.write(operation)
        assert len(runs) == 2
        assert not broken.value.in_doubt

    databases.run(use)


def test_what_broke_in_the_commit_is_in_doubt_and_not_run_again(databases: Databases) -> None:
    """Cut by a trigger that runs when the transaction commits."""
    function = f"CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM ({CUT}); RETURN new; END $$"
    trigger = (
        "CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON seals INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION cut()"
    )
    runs = []

    def operation(connection: Connection) -> None:
        runs.append(1)
        done("INSERT INTO seals (id, sealed) VALUES (1, '')")(connection)

    async def use(database: Database) -> None:
        await database.write(done(function))
        await database.write(done(trigger))
        with pytest.raises(StorageUnavailable, match="disconnected") as broken:
            await database.write(operation)
        assert (broken.value.in_doubt, len(runs)) == (True, 1)
        assert await database.write(add("after")) == "after"

    databases.run(use)


def test_after_a_restart_service_resumes_by_itself(
    own_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Stopped as by a power cut, with connections in both pools."""

    async def use() -> None:
        async with Databases(own_server.url()).opened() as database:
            await asyncio.gather(*(database.write(add(f"before {number}")) for number in range(8)))
            await asyncio.gather(*(database.read(names) for _ in range(4)))
            await asyncio.to_thread(own_server.stop, immediately=True)
            for call in (database.write, database.read):
                with pytest.raises(StorageUnavailable, match="disconnected") as away:
                    await call(names)
                assert not away.value.in_doubt
            await asyncio.to_thread(own_server.start)
            assert await asyncio.gather(*(database.write(add(f"after {number}")) for number in range(8)))
            found = await asyncio.gather(*(database.read(names) for _ in range(4)))
            assert [len(each) for each in found] == [16] * 4
            await asyncio.to_thread(own_server.stop, immediately=True)
            await asyncio.to_thread(own_server.start)
            found = await asyncio.gather(*(database.read(names) for _ in range(4)))  # nobody noticed
            assert await asyncio.gather(*(database.write(add(f"again {number}")) for number in range(8)))

    with caplog.at_level(logging.DEBUG, "kirimhook"):
        asyncio.run(use())
    told = [getattr(record, "kirimhook", {"event": ""})["event"] for record in caplog.records]
    assert told[:2] == ["database_failed", "database_recovered"]
    assert set(told) == {"database_failed", "database_recovered"}


def test_a_server_that_does_not_answer_costs_a_bounded_time(own_server: PostgresServer) -> None:
    """Every process of it stopped, as a machine that hangs."""

    async def use() -> None:
        database = open_database(
            own_server.url(), statement_timeout=0.2, answer_timeout=0.5, connect_timeout=0.5, pool_timeout=0.5, pool=1
        )
        await database.open()
        stopped = own_server.processes()
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        try:
            async with asyncio.timeout(20):
                for call in (database.write, database.read, database.write):
                    with pytest.raises(StorageUnavailable):
                        await call(names)
        finally:
            for process in stopped:
                os.kill(process, signal.SIGCONT)
        assert await database.write(add("after")) == "after"
        await database.close()

    asyncio.run(use())


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_would_lose_what_it_acknowledges_is_refused(setting: str) -> None:
    async def use(url: str) -> None:
        database = open_database(url)
        with pytest.raises(StorageRefused, match=f"unsafe: the server has {setting} = off"):
            await database.open()

    with postgres_server(settings={setting: "off"}) as server:
        asyncio.run(use(server.url()))


def test_a_commit_waits_for_the_disk_whatever_the_server_says(databases: Databases) -> None:
    def asked(connection: Connection) -> Any:
        return connection.scalar(text("SHOW synchronous_commit"))

    async def use(database: Database) -> None:
        name = await database.read(lambda connection: connection.scalar(text("SELECT current_database()")))
        await database.write(done(f"ALTER DATABASE {name} SET synchronous_commit = off"))
        async with databases.opened() as other:
            assert await other.write(asked) == "on"

    databases.run(use)


def test_a_full_pool_is_waited_for_so_long_and_reads_go_on(databases: Databases) -> None:
    """One connection to write with, and who has it waits for a lock."""
    lock = done("SELECT pg_advisory_xact_lock(7)")

    async def use(database: Database) -> None:
        async with databases.opened(pool=1, pool_timeout=0.05) as small:
            held = asyncio.Event()
            begun = asyncio.create_task(hold(databases, held))
            await held.wait()
            busy = asyncio.create_task(small.write(lock))
            await wait_until(database, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted", 1)
            with pytest.raises(StorageUnavailable, match="overloaded"):
                await small.write(add("a"))
            assert await small.read(names) == []
            begun.cancel()
            await busy
            assert await small.write(add("b")) == "b"

    databases.run(use)


async def hold(databases: Databases, held: asyncio.Event) -> None:
    """The lock, until cancelled."""
    async with databases.opened() as database:
        told = asyncio.get_running_loop()

        def operation(connection: Connection) -> None:
            connection.execute(text("SELECT pg_advisory_xact_lock(7)"))
            told.call_soon(held.set)
            connection.execute(text("SELECT pg_sleep(14)"))

        await database.write(operation)


async def wait_until(database: Database, statement: str, expected: int) -> None:
    """The server has nobody tell us."""
    while await database.read(lambda connection: connection.scalar(text(statement))) != expected:  # noqa: ASYNC110  # the server tells nobody
        await asyncio.sleep(0.01)


def test_a_slow_statement_is_ended(databases: Databases) -> None:
    async def use() -> None:
        async with databases.opened(statement_timeout=0.05) as database:
            async with asyncio.timeout(10):
                with pytest.raises(StorageUnavailable, match="timeout"):
                    await database.write(done("SELECT pg_sleep(30)"))
            assert await database.write(add("after")) == "after"

    asyncio.run(use())


def test_who_is_cancelled_leaves_nothing_behind(databases: Databases) -> None:
    def slow(connection: Connection) -> None:
        add("undone")(connection)
        connection.execute(text("SELECT pg_sleep(14)"))

    async def use(database: Database) -> None:
        async with databases.opened(pool=1) as small:
            for _ in range(3):
                asked = asyncio.create_task(small.write(slow))
                await wait_until(database, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'", 1)
                asked.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asked
                await wait_until(database, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'", 0)
            assert await small.write(add("after")) == "after"
            assert await small.read(names) == ["after"]

    databases.run(use)


def test_what_libpq_knows_of_a_url_is_kept(postgres: PostgresServer, postgres_template: PostgresTemplate) -> None:
    async def use() -> None:
        async with Databases(f"{url}&sslmode=disable&application_name=ignored").opened(application="mine") as database:
            name = await database.read(lambda connection: connection.scalar(text("SHOW application_name")))
            assert name == "mine"

    with postgres_template.database() as url:
        asyncio.run(use())


@pytest.mark.parametrize("what", ["database", "server", "user"])
def test_what_is_not_there_is_said(postgres: PostgresServer, what: str) -> None:
    urls = {
        "database": postgres.url("no_such_database"),
        "server": f"postgresql://postgres@/postgres?host={postgres.folder}&port=1",
        "user": postgres.url().replace("postgres@", "nobody@"),
    }

    async def use() -> None:
        database = open_database(urls[what])
        with pytest.raises(StorageUnavailable, match="disconnected" if what == "server" else "refused"):
            await database.open()

    asyncio.run(use())
