"""Publish in the caller's own transaction on the same database: with the caller's rows, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.ext.asyncio import AsyncConnection

from kirimhook.contract.errors import ApiError
from kirimhook.sender.service import KirimEvent
from tests.sender.databases import Databases
from tests.sender.outbox import asyncpg_engine
from tests.sender.stage import Stage, staged

CREATED = "contact.created"


class Own:
    """A program's connection, with a transaction open."""

    def __init__(self, connection: AsyncConnection | Connection) -> None:
        self.connection = connection

    async def run(self, statement: str) -> None:
        result = self.connection.execute(text(statement))
        if not isinstance(self.connection, Connection):
            await result  # type: ignore[misc]  # just seen to be awaitable

    async def end(self, *, commit: bool) -> None:
        result = self.connection.commit() if commit else self.connection.rollback()
        if result is not None:
            await result


@contextlib.asynccontextmanager
async def own(url: str) -> AsyncIterator[Own]:
    if url.startswith("sqlite"):
        engine = create_engine(url)
        with engine.connect() as connection:
            yield Own(connection)
        engine.dispose()
    else:
        asynchronous = asyncpg_engine(url)
        async with asynchronous.connect() as connection:
            yield Own(connection)
        await asynchronous.dispose()


async def counts(stage: Stage) -> tuple[int, ...]:
    return tuple([await stage.one(f"SELECT count(*) FROM {table}") for table in ("events", "deliveries", "queue")])


@pytest.mark.parametrize("commit", [True, False])
def test_it_happens_with_the_callers_own_rows(databases: Databases, commit: bool) -> None:
    async def main() -> None:
        async with staged(databases) as stage, own(databases.url) as program:
            await stage.subscribe(CREATED)
            await stage.run("CREATE TABLE orders (id INTEGER)")
            await program.run("INSERT INTO orders VALUES (1)")
            events = [KirimEvent(CREATED, {"order": 1}, "evt_1")]
            receipts = await stage.sender.publish(stage.organisation, events, connection=program.connection)
            assert [receipt.deliveries for receipt in receipts] == [1]
            assert await counts(stage) == (0, 0, 0)
            await program.end(commit=commit)
            assert await counts(stage) == ((1, 1, 1) if commit else (0, 0, 0))
            assert await stage.one("SELECT count(*) FROM orders") == (1 if commit else 0)
            (again,) = await stage.sender.publish(stage.organisation, events)
            assert again.duplicate == commit
            assert await stage.wrong() == set()

    asyncio.run(main())


def test_what_is_refused_leaves_the_callers_transaction_as_it_was(databases: Databases) -> None:
    async def main() -> None:
        async with staged(databases) as stage, own(databases.url) as program:
            await stage.run("CREATE TABLE orders (id INTEGER)")
            await program.run("INSERT INTO orders VALUES (1)")
            for organisation, event in [
                (stage.organisation, KirimEvent("order.created", {})),
                ("org_of_nobody", KirimEvent(CREATED, {})),
            ]:
                with pytest.raises(ApiError):
                    await stage.sender.publish(organisation, [event], connection=program.connection)
            await program.end(commit=True)
            assert await stage.one("SELECT count(*) FROM orders") == 1
            assert await counts(stage) == (0, 0, 0)

    asyncio.run(main())


def test_on_sqlite_what_it_reads_is_the_last_word(sqlite_url: str) -> None:
    """A transaction of the caller's own begins as a reader. From its first look at who wants the events, nobody else
    can write: else one of them could be deleted in between, and get a delivery for ever open."""
    refusals: list[str] = []
    intruder = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), timeout=0)

    def intrude(statement: str) -> None:
        if "subscribed_types" in statement:
            try:
                intruder.execute("DELETE FROM subscribed_types")
            except sqlite3.OperationalError as error:
                refusals.append(str(error))

    async def main() -> None:
        async with staged(Databases(sqlite_url)) as stage, own(sqlite_url) as program:
            await stage.subscribe(CREATED)
            assert isinstance(program.connection, Connection)
            raw = program.connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            raw.set_trace_callback(intrude)
            events = [KirimEvent(CREATED, {}, "evt_1")]
            await stage.sender.publish(stage.organisation, events, connection=program.connection)
            raw.set_trace_callback(None)
            await program.end(commit=True)

    asyncio.run(main())
    intruder.close()
    assert refusals == ["database is locked"]


def test_a_connection_to_another_kind_of_database_is_refused(postgres_url: str) -> None:
    async def main() -> None:
        async with staged(Databases(postgres_url)) as stage:
            with create_engine("sqlite://").connect() as connection, pytest.raises(ValueError, match="sqlite"):
                await stage.sender.publish(stage.organisation, [KirimEvent(CREATED, {})], connection=connection)

    asyncio.run(main())
