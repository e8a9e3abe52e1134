"""A handler's statements: SQLite's ways to end a transaction are closed, or cost only the handler that takes one."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from kirimhook.backends.sqlite.guard import NotInTransaction
from kirimhook.backends.sqlite.inbox import SQLiteInbox
from kirimhook.receiver.inbox import Inbox, InboxUnavailable, Transaction
from kirimhook.receiver.model import Done, EventState, Lease
from kirimhook.testing.conformance.bench import settlements
from tests.backends.inboxes import event, opened, outside, stored_ids

FORBIDDEN = [
    "ATTACH ':memory:' AS other",
    "DETACH other",
    "PRAGMA synchronous = OFF",
    "VACUUM",
    "END TRANSACTION",
    "RELEASE call",
    "ROLLBACK TO call",
    "\ufeffCOMMIT",
    "/* a */ -- b\n ;;\t/* c */COMMIT",
    "/**/commit",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox.db"


async def leases(inbox: Inbox, *names: str) -> list[Lease]:
    await inbox.put([event(name) for name in names])
    return sorted(await inbox.lease(100, 30), key=lambda lease: lease.run[0].number)


def make_table(path: Path) -> None:
    with outside(path) as connection:
        connection.execute("CREATE TABLE orders (name TEXT PRIMARY KEY)")


def orders(path: Path) -> list[str]:
    with outside(path) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM orders ORDER BY name")]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_what_could_end_the_transaction_is_refused(path: Path, statement: str) -> None:
    async def play() -> None:
        async with opened(path) as inbox:
            (lease,) = await leases(inbox, "a")
            make_table(path)

            def work(transaction: Transaction) -> None:
                transaction.execute("INSERT INTO orders VALUES ('one')")
                transaction.execute(statement)

            with pytest.raises(NotInTransaction):
                await inbox.transact(settlements(lease, Done())[0], work)
            stored = await inbox.get(lease.run[0].number)
            assert stored is not None
            assert stored.state is EventState.RUNNING

    asyncio.run(play())
    assert orders(path) == []


def test_ordinary_statements_are_not_refused(path: Path) -> None:
    async def play() -> None:
        async with opened(path) as inbox:
            (lease,) = await leases(inbox, "a")

            def work(transaction: Transaction) -> None:
                transaction.execute("CREATE TABLE commits (a)")
                transaction.execute(" -- COMMIT\n INSERT INTO commits VALUES (1), (2)")
                assert transaction.execute("WITH x AS (SELECT 1) SELECT count(*) FROM commits") == [(2,)]
                assert transaction.execute("INSERT INTO commits VALUES (3) RETURNING a") == [(3,)]
                assert transaction.execute("") == []
                transaction.execute("DROP TABLE commits")

            assert await inbox.transact(settlements(lease, Done())[0], work)

    asyncio.run(play())


def raising(transaction: Transaction) -> None:
    transaction.execute("INSERT OR ROLLBACK INTO orders VALUES ('there')")


def swallowing(transaction: Transaction) -> None:
    with contextlib.suppress(sqlite3.IntegrityError):
        raising(transaction)


def going_on(transaction: Transaction) -> None:
    swallowing(transaction)
    transaction.execute("INSERT INTO orders VALUES ('on its own')")


def going_on_regardless(transaction: Transaction) -> None:
    with contextlib.suppress(NotInTransaction):
        going_on(transaction)


@pytest.mark.parametrize("bad", [raising, swallowing, going_on, going_on_regardless])
def test_rolling_everything_back_costs_the_others_nothing(path: Path, bad: Callable[[Transaction], None]) -> None:
    async def play() -> None:
        async with opened(path) as inbox:
            make_table(path)
            with outside(path) as connection:
                connection.execute("INSERT INTO orders VALUES ('there')")
            held = await leases(inbox, *(f"{index}" for index in range(8)))

            def good(index: int) -> Callable[[Transaction], object]:
                return lambda transaction: transaction.execute("INSERT INTO orders VALUES (?)", [f"{index}"])

            results = await asyncio.gather(
                *(
                    inbox.transact(settlements(lease, Done())[0], bad if index in {2, 5} else good(index))
                    for index, lease in enumerate(held)
                ),
                return_exceptions=True,
            )
            for index, result in enumerate(results):
                if index in {2, 5}:
                    assert isinstance(result, sqlite3.IntegrityError | NotInTransaction)
                else:
                    assert result is True
            assert (await inbox.stats()).counts[EventState.DONE] == 6

    asyncio.run(play())
    assert orders(path) == ["0", "1", "3", "4", "6", "7", "there"]
    stored_ids(path)


def test_a_full_disk_is_the_storage_s_trouble_not_the_event_s(path: Path) -> None:
    """SQLite gives the whole transaction up; nobody's part of it counts, and the handler can run again."""

    async def play() -> None:
        async with opened(path) as inbox:
            (lease,) = await leases(inbox, "a")
            make_table(path)
            assert isinstance(inbox, SQLiteInbox)
            assert inbox._writer is not None
            assert inbox._writer._file._connection is not None
            inbox._writer._file._connection.execute("PRAGMA max_page_count = 1")  # until it is opened anew

            def work(transaction: Transaction) -> None:
                transaction.execute("INSERT INTO orders VALUES ('first')")
                transaction.execute("INSERT INTO orders VALUES (?)", ["x" * 500_000])

            with pytest.raises(InboxUnavailable) as raised:
                await inbox.transact(settlements(lease, Done())[0], work)
            assert raised.value.reason == "disk_full"
            assert await inbox.transact(settlements(lease, Done())[0], work)

    asyncio.run(play())
    assert [order[:9] for order in orders(path)] == ["first", "xxxxxxxxx"]


def test_a_handler_s_own_tables_may_have_any_name_but_the_inbox_s(path: Path) -> None:
    async def play() -> None:
        async with opened(path) as inbox:
            (lease,) = await leases(inbox, "a")

            def work(transaction: Transaction) -> None:
                for name in ("arriving", "repeated", "arrive", "orders"):
                    transaction.execute(f"CREATE TABLE {name} (a)")
                    transaction.execute(f"INSERT INTO {name} VALUES (1)")

            assert await inbox.transact(settlements(lease, Done())[0], work)
            await inbox.put([event("a"), event("b"), event("b")])

    asyncio.run(play())
    with outside(path) as connection:
        for name in ("arriving", "repeated", "arrive", "orders"):
            assert connection.execute(f"SELECT * FROM {name}").fetchall() == [(1,)]
