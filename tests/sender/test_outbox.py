"""Publish in the caller's own transaction on the same database: with the caller's rows, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
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
            await result  # type: ignore[misc]

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


def test_one_that_began_by_reading_sees_the_last_word(databases: Databases) -> None:
    """SQLite refuses a reader that begins to write after others wrote: so it writes first."""

    async def main() -> None:
        async with staged(databases) as stage, own(databases.url) as program:
            events = [KirimEvent(CREATED, {}, "evt_1")]
            await stage.sender.publish(stage.organisation, events)
            (receipt,) = await stage.sender.publish(stage.organisation, events, connection=program.connection)
            assert receipt.duplicate
            if isinstance(program.connection, Connection):  # it only read, and yet is the writer
                assert program.connection.connection.driver_connection.in_transaction  # type: ignore[union-attr]
            await program.end(commit=True)

    asyncio.run(main())


def test_a_connection_to_another_kind_of_database_is_refused(postgres_url: str) -> None:
    async def main() -> None:
        async with staged(Databases(postgres_url)) as stage:
            with create_engine("sqlite://").connect() as connection, pytest.raises(ValueError, match="sqlite"):
                await stage.sender.publish(stage.organisation, [KirimEvent(CREATED, {})], connection=connection)

    asyncio.run(main())
