"""Inboxes on a real server, and what else the tests of the PostgreSQL inbox share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import asyncpg

from kirimhook.backends.postgres.inbox import PostgresInbox
from kirimhook.backends.postgres.migrate import migrate
from kirimhook.backends.postgres.settings import PostgresSettings
from kirimhook.contract.events import dedupe_key
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.receiver.model import Done, InboundEvent, Lease, Settlement
from kirimhook.testing.clock import Clock
from kirimhook.testing.postgres import PostgresServer

START = 1_779_530_400.0
NUMBERS = count(1)
PATIENCE = 30.0
"""Seconds until what does not happen fails its test."""


class Place:
    """An inbox's schema on a server, and a clock."""

    def __init__(self, server: PostgresServer, **options: Any) -> None:
        self.server = server
        self.schema = f"place_{next(NUMBERS)}"
        self.options = options
        self.clock = Clock(START)

    @property
    def url(self) -> str:
        return f"{self.server.url()}&schema={self.schema}"

    def inbox(self, **options: Any) -> PostgresInbox:
        """Not opened."""
        return PostgresInbox(PostgresSettings.from_url(self.url, **{**self.options, **options}), self.clock)

    @asynccontextmanager
    async def opened(self, **options: Any) -> AsyncIterator[PostgresInbox]:
        await migrate(self.url)
        inbox = self.inbox(**options)
        try:
            await inbox.open()
            yield inbox
        finally:
            await inbox.close()

    @asynccontextmanager
    async def outside(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """A connection that is not the inbox's."""
        connection = await asyncpg.connect(self.server.url())
        try:
            yield connection
        finally:
            await connection.close()


def event(name: str, key: str | None = None, **changes: Any) -> InboundEvent:
    made = InboundEvent(
        b"", name, "message.received", "meta", key, True, None, f"wbd_{name}", int(START * 1000), b"{}"
    )._replace(**changes)
    identity = dedupe_key(made.source, made.event_id, made.type, made.body)
    return made._replace(dedupe_key=identity)


def done(leases: Sequence[Lease]) -> list[Settlement]:
    """All that was leased, each run in its order."""
    return [
        Settlement(lease.token, one.number, Done(), then.number if then else None)
        for lease in leases
        for one, then in zip(lease.run, [*lease.run[1:], None], strict=True)
    ]


async def serves(verb: Callable[[], Awaitable[Any]]) -> Any:
    """What `verb` comes to, once the inbox is there again."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await verb()
            except InboxUnavailable:
                await asyncio.sleep(0.02)
