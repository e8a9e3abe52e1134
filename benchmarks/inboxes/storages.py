"""Every kind of inbox with its servers, which run while they are measured and no longer.

Each has an empty place, made anew each time, and one with a past: finished events, which is made once.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

import asyncpg
import psutil

from benchmarks import files
from benchmarks.inboxes import prefill
from benchmarks.sending.stock import POSTGRES_SETTINGS, administer
from kirimhook.backends import migrate_inbox
from kirimhook.receiver.model import EventState
from kirimhook.testing.nats import NatsCluster
from kirimhook.testing.postgres import PostgresServer

SQLITE, POSTGRESQL, JETSTREAM, JETSTREAM_THREE = STORAGES = ("sqlite", "postgresql", "jetstream", "jetstream3")
NODES = {JETSTREAM: 1, JETSTREAM_THREE: 3}

RELATIONS = """
SELECT c.relname AS name, pg_relation_size(c.oid) AS bytes FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'i') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
"""


class Place(NamedTuple):
    """An inbox that can be used now."""

    url: str
    servers: tuple[int, ...] = ()
    """Process ids of its servers."""
    loading: str = ""
    """A URL to fill it by, where that need not be as durable."""


class Storage(Protocol):
    def empty(self) -> Place:
        """A new one, its servers started."""
        ...

    def past(self) -> tuple[Place, bool]:
        """That with a past, its servers started; and whether it is new, and still empty."""
        ...

    def settle_down(self, place: Place) -> None:
        """As it is when it has run for a while."""

    def sizes(self, place: Place) -> dict[str, int]:
        """Bytes of each thing that it keeps."""
        ...

    def rest(self) -> None:
        """Stop the servers."""


def _path(place: Place) -> Path:
    """Of a file of SQLite."""
    return Path(place.url.removeprefix("sqlite:///"))


class SQLite:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def empty(self) -> Place:
        for old in self._folder.glob("empty.db*"):
            old.unlink()
        return self._place("empty")

    def past(self) -> tuple[Place, bool]:
        return self._place("past"), not (self._folder / "past.db").exists()

    def settle_down(self, place: Place) -> None:
        with closing(sqlite3.connect(_path(place))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with _path(place).open("rb") as file:
            os.fsync(file.fileno())

    def sizes(self, place: Place) -> dict[str, int]:
        with closing(sqlite3.connect(_path(place))) as connection:
            return dict(connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"))

    def rest(self) -> None:
        pass

    def _place(self, name: str) -> Place:
        address = files.url(self._folder / f"{name}.db")
        return Place(address, loading=f"{address}?synchronous=OFF")


class PostgreSQL:
    """One server with a database for each."""

    def __init__(self, folder: Path) -> None:
        self._server = PostgresServer(folder, POSTGRES_SETTINGS)
        self._made = False
        self._has_past = False

    def empty(self) -> Place:
        self._start()
        return self._new("empty")

    def past(self) -> tuple[Place, bool]:
        self._start()
        if self._has_past:
            return self._place("past"), False
        self._has_past = True
        return self._new("past"), True

    def settle_down(self, place: Place) -> None:
        for statement in ("VACUUM (ANALYZE)", "CHECKPOINT"):
            administer(place.url, statement)

    def sizes(self, place: Place) -> dict[str, int]:
        return asyncio.run(_relations(place.url))

    def rest(self) -> None:
        self._server.stop()

    def _start(self) -> None:
        if not self._made:
            self._server.make()
            self._made = True
        if not self._server.pid:
            self._server.start()

    def _new(self, name: str) -> Place:
        for statement in (f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}"):
            administer(self._server.url(), statement)
        place = self._place(name)
        migrate_inbox(place.url)
        return place

    def _place(self, name: str) -> Place:
        address = self._server.url(name)
        return Place(address, (self._server.pid,), address)


class JetStream:
    """A cluster for each; every write is synced to disk where there are several nodes."""

    def __init__(self, folder: Path, nodes: int) -> None:
        self._folder = folder
        self._nodes = nodes
        self._past: NatsCluster | None = None
        self._running: NatsCluster | None = None

    def empty(self) -> Place:
        self.rest()
        shutil.rmtree(self._folder / "empty", ignore_errors=True)
        return self._new("empty")

    def past(self) -> tuple[Place, bool]:
        if self._past is not None:
            if self._running is not self._past:
                self.rest()
                self._start(self._past)
            return self._place(self._past), False
        self.rest()
        place = self._new("past")
        self._past = self._running
        return place, True

    def settle_down(self, place: Place) -> None:
        pass

    def sizes(self, place: Place) -> dict[str, int]:  # noqa: ARG002  # it is the one that runs
        """Of one node, their mean; its memory as it runs, and once more when it was started again."""
        cluster = self._running
        assert cluster is not None
        running = _memory(cluster)
        self.rest()
        self._start(cluster)
        folders = [node.folder for node in cluster.nodes]
        disk = sum(_bytes_in(folder) for folder in folders) // len(folders)
        return {"disk": disk, "memory": running, "memory_restarted": _memory(cluster)}

    def rest(self) -> None:
        running, self._running = self._running, None
        for node in running.nodes if running else ():
            node.stop()

    def _new(self, name: str) -> Place:
        cluster = NatsCluster(self._folder / name, self._nodes, sync_always=self._nodes > 1)
        self._start(cluster)
        place = self._place(cluster)
        migrate_inbox(place.url)
        return place

    def _start(self, cluster: NatsCluster) -> None:
        self._running = cluster
        for node in cluster.nodes:
            node.start()
        cluster.ready()

    def _place(self, cluster: NatsCluster) -> Place:
        address = cluster.url("bench", self._nodes)
        return Place(address, tuple(node.pid for node in cluster.nodes), address)


async def _relations(address: str) -> dict[str, int]:
    """Bytes of each table and index that is not PostgreSQL's own."""
    connection = await asyncpg.connect(address)
    try:
        rows = await connection.fetch(RELATIONS)
    finally:
        await connection.close()
    return {row["name"]: row["bytes"] for row in rows}


def _memory(cluster: NatsCluster) -> int:
    """Resident, of one node, their mean."""
    sizes = [psutil.Process(node.pid).memory_info().rss for node in cluster.nodes]
    return sum(sizes) // len(sizes)


def _bytes_in(folder: Path) -> int:
    """On the disk; what is sparse does not count."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


class Inboxes:
    """All kinds, made when they are asked for; one is up at a time."""

    def __init__(
        self, folder: Path, finished: Mapping[str, int], progress: Callable[[str], None], *, quick: bool = False
    ) -> None:
        """`finished`: events of a past, by storage. `quick`: PostgreSQL in the system's temporary folder, as root
        cannot give it just any."""
        self._folder = folder
        self._finished = finished
        self._progress = progress
        self._quick = quick
        self._stack = ExitStack()
        self._storages: dict[str, Storage] = {}
        self.reference: float | None = None
        """Durable acks per second of SQLite in this round."""

    @contextmanager
    def empty(self, name: str) -> Iterator[Place]:
        storage = self._storage(name)
        try:
            yield storage.empty()
        finally:
            storage.rest()

    @contextmanager
    def past(self, name: str) -> Iterator[Place]:
        """With what earlier runs added to it, all of it finished or waiting."""
        storage = self._storage(name)
        try:
            place, is_new = storage.past()
            if is_new:
                self._progress(f"preparing an inbox with a past: {name}")
                prefill.adopt_finished(place.loading, "past", self._finished[name])
                files.expect_at(place.url, {EventState.DONE: self._finished[name]})
            storage.settle_down(place)
            yield place
        finally:
            storage.rest()

    def settle_down(self, name: str, place: Place) -> None:
        """As it is when it has run for a while: its statistics known, its log written back."""
        self._storage(name).settle_down(place)

    def growth(self, name: str, counts: Sequence[int]) -> dict[int, dict[str, int]]:
        """Bytes of each thing that an inbox keeps, when it holds so many finished events."""
        storage = self._storage(name)
        found = {}
        try:
            place = storage.empty()
            for before, count in pairwise((0, *counts)):
                self._progress(f"{name}: {count} events")
                prefill.adopt_finished(place.loading, f"past{before}-", count - before)
                storage.settle_down(place)
                found[count] = storage.sizes(place)
        finally:
            storage.rest()
        return found

    def close(self) -> None:
        self._stack.close()

    def _storage(self, name: str) -> Storage:
        if name not in self._storages:
            self._storages[name] = self._make(name)
        return self._storages[name]

    def _make(self, name: str) -> Storage:
        folder = self._folder / "inboxes" / name
        folder.mkdir(parents=True)
        if name == SQLITE:
            return SQLite(folder)
        if name in NODES:
            return JetStream(folder, NODES[name])
        for parent in (self._folder, folder.parent, folder):
            parent.chmod(0o711)  # as root the server is somebody else, who must get to its own folder
        if self._quick:
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
            folder.chmod(0o711)
        return PostgreSQL(folder / "server")
