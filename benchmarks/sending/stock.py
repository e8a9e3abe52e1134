"""Databases of a sender, on SQLite and on PostgreSQL, with one organisation and a subscription for each endpoint."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import text

from benchmarks.files import InvalidRunError
from benchmarks.scale import Scale
from benchmarks.sending import prefill
from benchmarks.sending.prefill import State
from kirimhook.migrations import migrate
from kirimhook.sender.database import Database, open_database
from kirimhook.sender.sealing import Sealer
from kirimhook.sender.service import Sender
from kirimhook.settings import SenderSettings
from kirimhook.testing.postgres import PostgresServer, postgres_server

T = TypeVar("T")
SQLITE, POSTGRESQL = "sqlite", "postgresql"
DIALECTS = (SQLITE, POSTGRESQL)
POSTGRES_SETTINGS = {"shared_buffers": "128MB", "autovacuum_naptime": "60s"}
"""PostgreSQL's own defaults, which its test kit makes smaller; everything is durable."""
DEAD_IN = 50
PATIENCE = 120.0
"""Seconds for what is done with a million rows."""


def event_type(endpoint: int) -> str:
    """Every endpoint has one of its own, so that who publishes says where it goes."""
    return f"endpoint.number_{endpoint:03}"


class Stock:
    """One database."""

    def __init__(self, url: str, server_pid: int, *, master_key: str) -> None:
        self.url = url
        self.server_pid = server_pid
        """Of the database server's first process; 0: there is none."""
        self.master_key = master_key
        self.organisation = ""
        self.key = ""
        self.subscriptions: list[str] = []
        """Their ids; one for each endpoint, in order."""
        self.dead: list[str] = []
        """Dead letters; ids."""
        self._next = 0

    def make(self, urls: Sequence[str]) -> None:
        """Tables, organisation, key, and a subscription for each of these URLs."""
        migrate(self.url, lambda _: None)
        self.use(lambda database: self._make(database, urls))

    async def _make(self, database: Database, urls: Sequence[str]) -> None:
        settings = SenderSettings(catalogue=tuple(event_type(number) for number in range(len(urls))))
        sender = Sender(database, settings, Sealer([self.master_key]))
        made = await sender.create_organisation_key("benchmark")
        self.organisation, self.key = made.organisation_id, made.key.reveal()
        tenant = sender.tenant(self.organisation)
        for number, url in enumerate(urls):
            self.subscriptions.append((await tenant.create_subscription(url, [event_type(number)])).id)

    def point(self, urls: Sequence[str]) -> None:
        """A new receiving process has new ports."""
        statement = text("UPDATE subscriptions SET url = :url, version = version + 1 WHERE id = :id")
        rows = [{"id": name, "url": url} for name, url in zip(self.subscriptions, urls, strict=True)]
        self.use(lambda database: database.write(lambda connection: connection.execute(statement, rows).rowcount))

    def add(self, count: int, state: State, endpoints: Sequence[int]) -> list[str]:
        """Deliveries for these endpoints in turn; their ids."""
        first, self._next = self._next, self._next + count
        names = [self.subscriptions[endpoint] for endpoint in endpoints]
        now = int(time.time() * 1000)

        async def run(database: Database) -> None:
            for numbers in prefill.steps(first, count):
                await database.write(prefill.fill(numbers, self.organisation, names, state, now))

        self.use(run)
        return [prefill.delivery_id(number) for number in range(first, first + count)]

    def settle_down(self) -> None:
        """As a database is that has run for a while: its statistics known, its log written back."""
        if self.url.startswith(SQLITE):
            path = Path(self.url.removeprefix("sqlite:///"))
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            for statement in ("VACUUM (ANALYZE)", "CHECKPOINT"):
                administer(self.url, statement)

    def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        return self.use(
            lambda database: database.read(
                lambda connection: [tuple(row) for row in connection.execute(text(statement), values)]
            )
        )

    def expect_succeeded(self, ids: Sequence[str]) -> None:
        """All of these, and each with an attempt recorded and out of the queue. Raises InvalidRunError."""
        [found] = self.rows(RECORDED, first=ids[0], last=ids[-1])
        [(queued,)] = self.rows(QUEUED, first=ids[0], last=ids[-1])
        if found != (len(ids), len(ids)) or queued:
            raise InvalidRunError(f"of {len(ids)} deliveries and attempts {found} are recorded, {queued} still queued")

    def use(self, run: Callable[[Database], Awaitable[T]]) -> T:
        async def main() -> T:
            patience: dict[str, Any] = {} if self.url.startswith(SQLITE) else {"statement_timeout": PATIENCE}
            database = open_database(self.url, **patience)
            await database.open()
            try:
                return await run(database)
            finally:
                await database.close()

        return asyncio.run(main())


RECORDED = """
SELECT count(*), count(attempts.delivery_id) FROM deliveries LEFT JOIN attempts
ON attempts.delivery_id = deliveries.id AND attempts.number = deliveries.attempt_count
WHERE deliveries.id BETWEEN :first AND :last AND deliveries.status = 'succeeded'
"""
QUEUED = "SELECT count(*) FROM queue WHERE delivery_id BETWEEN :first AND :last"


class Databases:
    """Made when they are asked for; those with a million rows are kept, since it takes long to make them."""

    def __init__(self, folder: Path, scale: Scale, progress: Callable[[str], None], *, quick: bool = False) -> None:
        """`quick`: PostgreSQL in the system's temporary folder, as root cannot give it just any."""
        self._folder = folder
        self._quick = quick
        self._scale = scale
        self._progress = progress
        self._stack = ExitStack()
        self._server: PostgresServer | None = None
        self._kept: dict[tuple[str, str], Stock] = {}
        self._count = 0

    def empty(self, dialect: str, urls: Sequence[str]) -> Stock:
        """With nothing but subscriptions; the last one goes."""
        return self._new(dialect, "empty", urls)

    def past(self, dialect: str, urls: Sequence[str]) -> Stock:
        """With finished deliveries, to all endpoints."""
        return self._keep(dialect, "past", urls, self._scale.past, (State.FINISHED, range(len(urls))))

    def behind(self, dialect: str, urls: Sequence[str]) -> Stock:
        """With deliveries that are due, all to the first endpoint."""
        return self._keep(dialect, "behind", urls, self._scale.behind, (State.DUE, range(1)))

    def looked_at(self, dialect: str, size: str, count: int, urls: Sequence[str]) -> Stock:
        """With finished deliveries and, one in `DEAD_IN`, dead letters, to all endpoints in turn."""
        stock = self._keep(dialect, size, urls, count, (State.FINISHED, range(len(urls))))
        if not stock.dead:
            stock.dead = stock.add(count // DEAD_IN, State.DEAD, range(len(urls)))
            stock.settle_down()
        return stock

    def _keep(
        self, dialect: str, kind: str, urls: Sequence[str], count: int, what: tuple[State, Sequence[int]]
    ) -> Stock:
        stock = self._kept.get((dialect, kind))
        if stock is None:
            self._progress(f"preparing a database: {dialect}, {kind}")
            stock = self._kept[dialect, kind] = self._new(dialect, kind, urls)
            stock.add(count, *what)
        else:
            stock.point(urls)
        return stock

    def _new(self, dialect: str, kind: str, urls: Sequence[str]) -> Stock:
        stock = self._sqlite(kind) if dialect == SQLITE else self._postgresql(kind)
        stock.make(urls)
        return stock

    def _sqlite(self, kind: str) -> Stock:
        for old in self._folder.glob(f"{kind}.db*"):
            old.unlink()
        return Stock(f"sqlite:///{self._folder / kind}.db", 0, master_key=Sealer.new_key())

    def _postgresql(self, kind: str) -> Stock:
        server = self._started()
        for statement in (f"DROP DATABASE IF EXISTS bench_{kind} WITH (FORCE)", f"CREATE DATABASE bench_{kind}"):
            administer(server.url(), statement)
        return Stock(server.url(f"bench_{kind}"), server.pid, master_key=Sealer.new_key())

    def _started(self) -> PostgresServer:
        if self._server is None:
            self._folder.chmod(0o711)  # as root the server is somebody else, who must get to its own folder
            place = None if self._quick else self._folder / "postgres"
            self._server = self._stack.enter_context(postgres_server(place, POSTGRES_SETTINGS))
        return self._server

    def close(self) -> None:
        self._stack.close()


def administer(url: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())
