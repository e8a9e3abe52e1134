"""Inboxes of every kind for the tests of the command line: an empty, migrated one for each that asks."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from kirimhook.backends import migrate_inbox, open_inbox
from kirimhook.receiver.inbox import Inbox
from kirimhook.testing.nats import NatsCluster
from kirimhook.testing.postgres import PostgresServer

T = TypeVar("T")

KINDS = ["sqlite", "postgresql", "nats"]


class Places:
    """One server of each kind; each inbox has a file, a schema or streams of its own."""

    def __init__(self, postgres: PostgresServer, nats: NatsCluster) -> None:
        self._postgres = postgres
        self._nats = nats
        self._serial = itertools.count(1)

    def url(self, kind: str, folder: Path) -> str:
        """Of an inbox that is not migrated."""
        name = f"inbox{next(self._serial)}"
        if kind == "postgresql":
            return f"{self._postgres.url()}&schema={name}"
        if kind == "nats":
            return self._nats.url(name, partitions=2)
        return f"sqlite:///{folder / name}.db"

    def made(self, kind: str, folder: Path) -> str:
        url = self.url(kind, folder)
        migrate_inbox(url)
        return url


def within(url: str, work: Callable[[Inbox], Awaitable[T]]) -> T:
    """Do `work` with the inbox, opened for it."""

    async def main() -> T:
        inbox = open_inbox(url)
        try:
            await inbox.open()
            return await work(inbox)
        finally:
            await inbox.close()

    return asyncio.run(main())
