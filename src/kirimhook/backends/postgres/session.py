"""What an open inbox has: its thread, its connections, and what runs on them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from kirimhook.backends.arrivals import Arrivals
from kirimhook.backends.home import Home
from kirimhook.backends.postgres.desk import Desk
from kirimhook.backends.postgres.failures import DRIVER, unavailable
from kirimhook.backends.postgres.intake import Intake
from kirimhook.backends.postgres.link import Connection, Link
from kirimhook.backends.postgres.settings import PostgresSettings
from kirimhook.backends.postgres.transacting import Transactions
from kirimhook.backends.postgres.waiting import Listener

T = TypeVar("T")

CLOSING = 10.0
"""Seconds that closing waits for what is under way."""


class Session:
    """Made where it is opened; but for `home` and `arrivals`, all of it is used on the home's loop."""

    def __init__(self, settings: PostgresSettings, clock: Callable[[], float], stir: Callable[[], None]) -> None:
        """`stir` wakes those who wait for work, from any thread."""
        self.home = Home("kirimhook-inbox")
        self._settings = settings
        self._putting, self._working = Link(settings), Link(settings)
        self._looking, self._operating = Link(settings), Link(settings, settings.read_timeout)
        self._reading = Link(settings, settings.read_timeout)
        self._intake = Intake(self._putting, settings.schema, clock, stir)
        self.arrivals = Arrivals(settings, lambda: self.home.post(self._intake.stir))
        self.desk = Desk(self._working, settings.schema, clock, stir)
        self.listener = Listener(settings, stir)
        self.transactions = Transactions(settings, clock, self.home.begin)
        self._next_due = f"SELECT {settings.schema}.next_due()"
        self.home.start()
        self._committing = self.home.begin(self._intake.run(self.arrivals))

    async def check(self) -> None:
        """Raises `InboxUnavailable` when it cannot serve now."""
        await self._putting.run(_nothing)

    async def next_due(self) -> int | None:
        async def ask(connection: Connection) -> int | None:
            due: int | None = await connection.fetchval(self._next_due)
            return due

        return await _asked(self._looking.run(ask))

    async def read(self, ask: Callable[[Connection], Awaitable[T]]) -> T:
        """Within one snapshot. Raises `InboxUnavailable`."""
        return await _asked(self._reading.run(ask, read_only=True))

    async def write(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """In one transaction. Raises `InboxUnavailable`."""
        return await _asked(self._operating.run(work))

    async def close(self) -> None:
        """Commit what waits and let handlers end, at most for `CLOSING` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING):
                await asyncio.gather(self._intake.drain(self.arrivals), self.desk.drain(), self.transactions.drain())
        self._committing.cancel()
        links = (self._putting, self._working, self._looking, self._operating, self._reading)
        await asyncio.gather(self.transactions.close(), self.listener.close(), *(link.close() for link in links))


async def _nothing(connection: Connection) -> None:
    await connection.execute("SELECT 1")


async def _asked(question: Awaitable[T]) -> T:
    """An error of a statement of ours is the storage's too: it is not as we left it."""
    try:
        return await question
    except DRIVER as error:
        raise unavailable(error) from error
