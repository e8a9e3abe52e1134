"""Wait: sleep until something may be due. Notifications are a hint only; whoever waits looks now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg

from kirimhook.backends.postgres.failures import DRIVER
from kirimhook.backends.postgres.functions.shape import WAITS, place
from kirimhook.backends.postgres.link import connect, hang_up, quiet
from kirimhook.backends.postgres.settings import PostgresSettings
from kirimhook.receiver.inbox import InboxUnavailable

POLL = 0.1
"""Seconds between looks for what another process stored."""
AGAIN = 1.0
"""Seconds between attempts to listen."""
NONE = "SELECT pg_advisory_unlock_all()"
"""Locks of one session count."""


class Listener:
    """Says that this inbox waits, by holding a lock that a put then meets, and hears the notification.

    Once is enough: with the first notification the lock goes, and puts are silent until somebody waits again.
    Lives on one loop.
    """

    def __init__(self, settings: PostgresSettings, stir: Callable[[], None]) -> None:
        self._settings = settings
        self._stir = stir
        self._turn = asyncio.Lock()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._not_before = 0.0
        self._armed = self._is_closed = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def arm(self) -> bool:
        """True when it was not armed before: whoever waits has to look once more."""
        if self._armed and self._connection is not None and not self._connection.is_closed():
            return False
        if self._settings.poll_only or asyncio.get_running_loop().time() < self._not_before:
            return False
        async with self._turn:
            if self._is_closed:
                return False
            try:
                connection = await self._listening()
                await connection.execute(f"{NONE}; SELECT pg_advisory_lock_shared({self._place()})")
            except (InboxUnavailable, *DRIVER):
                self._drop()
                return False
            self._armed = True
            return True

    async def close(self) -> None:
        """After what is under way, if that ends soon."""
        self._is_closed = True
        await quiet(self._turn, self._settings)
        connection, self._connection = self._connection, None
        await hang_up(connection, self._settings)

    async def _listening(self) -> asyncpg.Connection[asyncpg.Record]:
        if self._connection is None or self._connection.is_closed():
            self._armed = False
            self._connection = await connect(self._settings, self._settings.timeout)
            await self._connection.add_listener(self._settings.schema, self._heard)
        return self._connection

    def _heard(self, *_what: object) -> None:
        self._stir()
        if self._armed:
            self._armed = False
            task = asyncio.create_task(self._disarm())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _disarm(self) -> None:
        async with self._turn:
            if self._armed or self._connection is None:  # armed again meanwhile
                return
            try:
                await self._connection.execute(NONE)
            except DRIVER:
                self._drop()

    def _drop(self) -> None:
        self._armed = False
        self._not_before = asyncio.get_running_loop().time() + AGAIN
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    def _place(self) -> str:
        return place(WAITS).replace("{schema}", self._settings.schema)
