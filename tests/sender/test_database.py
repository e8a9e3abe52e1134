"""What a database promises, SQLite and PostgreSQL alike: an operation is one transaction, durable when it returns."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, text

from kirimhook.sender.database import Database, Operation
from tests.sender.databases import Databases


def add(name: str) -> Operation[str]:
    def operation(connection: Connection) -> str:
        connection.execute(
            text("INSERT INTO organisations (id, name, created_at) VALUES (:id, :name, 1)"), {"id": name, "name": name}
        )
        return name

    return operation


def names(connection: Connection) -> list[str]:
    return list(connection.scalars(text("SELECT name FROM organisations ORDER BY name")))


def test_what_was_written_is_read_elsewhere(databases: Databases) -> None:
    async def use(database: Database) -> None:
        assert await database.write(add("a")) == "a"
        async with databases.opened() as other:
            assert await other.read(names) == ["a"]

    databases.run(use)


def test_an_operation_that_fails_undoes_itself_alone(databases: Databases) -> None:
    def fails(connection: Connection) -> None:
        add("b")(connection)
        raise LookupError("no")

    async def use(database: Database) -> None:
        await database.write(add("a"))
        with pytest.raises(LookupError, match="no"):
            await database.write(fails)
        await database.write(add("c"))
        assert await database.read(names) == ["a", "c"]

    databases.run(use)
