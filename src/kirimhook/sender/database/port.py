"""What a sender asks of its database: run this in a transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from sqlalchemy import Connection

if TYPE_CHECKING:  # it needs greenlet, which SQLite does not
    from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")

Operation = Callable[[Connection], T]
"""All that it does is one transaction. It may be run again from its start, so it has no effect but on its connection.

It neither commits nor rolls back, and returns no cursor: its transaction has ended by then.
"""

CLOSED = "closed"


class StorageUnavailable(Exception):
    """The database is away, locked, full or too slow; it may be back soon. Answered 503.

    What was asked for has not happened, unless `in_doubt`: the connection broke, or time ran out, while it was being
    committed.
    """

    def __init__(self, reason: str, detail: str = "", *, retry_after: int = 5, in_doubt: bool = False) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        """`disconnected`, `timeout`, `disk_full`, `locked`, `closed` …: stable words for metrics."""
        self.detail = detail
        self.retry_after = retry_after
        """Seconds."""
        self.in_doubt = in_doubt


class StorageRefused(StorageUnavailable):
    """The database is there, but it must not be used: another program's, or it would lose what it acknowledges."""


class Database(Protocol):
    """Raises `StorageUnavailable`; whatever an operation raises itself is passed on, its transaction rolled back."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        ...

    async def open(self) -> None:
        """Connect. Raises `StorageRefused` and `StorageUnavailable`."""
        ...

    async def close(self) -> None:
        """Finish what was asked for before, refuse what comes after. Twice is once."""
        ...

    async def write(self, operation: Operation[T]) -> T:
        """In a transaction of its own, durable when this returns."""
        ...

    async def read(self, operation: Operation[T]) -> T:
        """On one snapshot, and read-only. Never waits behind writers."""
        ...

    async def within(self, connection: AsyncConnection | Connection, operation: Operation[T]) -> T:
        """In the transaction that the caller has open on the same database, who commits it.

        Raises ValueError for a connection to another kind of database, and what SQLAlchemy raises.
        """
        ...


async def within(dialect: str, connection: AsyncConnection | Connection, operation: Operation[T]) -> T:
    if connection.dialect.name != dialect:
        raise ValueError(f"the connection is to {connection.dialect.name}, and the sender is on {dialect}")
    if isinstance(connection, Connection):
        return operation(connection)
    return await connection.run_sync(operation)
