"""G1, G3, G4 and G5 on PostgreSQL through its faults: killed clients, an immediate shutdown, a stop, a full disk.

Two receivers, two workers, each a process of its own, under load; every fault five times (or
KIRIMHOOK_CHAOS_ROUNDS). Every event is resent until its 200. In the end each was completed once; its transactional
effect is there once; what was handled a second time had the fault in between; nothing was overtaken within its key.
What cannot be stored is answered with 503, and never acknowledged.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from kirimhook.testing.postgres import PostgresServer, postgres_server
from tests.crash import on_postgres
from tests.crash.processes import Processes
from tests.crash.scene import kill_at_random, until
from tests.crash.small_disk import SmallDisk, small_disk
from tests.crash.table import Report

WAL = {"min_wal_size": "32MB", "max_wal_size": "64MB"}
DISK = 128
"""Megabytes, for segments of 16."""
HOLD = "SELECT pg_create_physical_replication_slot('held', true)"
"""The server keeps its log for a standby that never comes: how such disks fill up."""
LET_GO = ("SELECT pg_drop_replication_slot('held')", "CHECKPOINT", HOLD)
NEXT_SEGMENT = (
    "SELECT pg_logical_emit_message(true, 'crash', 'so that there is something to switch from')",
    "SELECT pg_switch_wal()",
)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


def test_receivers_and_workers_are_killed(server: PostgresServer, processes: Processes, report: Report) -> None:
    scene = on_postgres.scene(server, processes, report, "SIGKILL of receivers and workers")
    asyncio.run(scene.play(partial(kill_at_random, scene)))
    scene.close()
    assert scene.load.cut > 0, "no kill met a request on its way: nothing was tried"


def test_the_server_is_shut_down_at_once(server: PostgresServer, processes: Processes, report: Report) -> None:
    scene = on_postgres.scene(server, processes, report, "immediate shutdown and restart")

    async def fault(_: int) -> None:
        await scene.load.answered(scene.draw.randrange(1, 100))
        async with scene.outage():
            await asyncio.to_thread(server.stop, immediately=True)
            down = time.monotonic()
            scene.kills += 1
            await scene.load.refusals(down)
            assert scene.load.acked_between(down, time.monotonic()) == []
            await asyncio.to_thread(server.start)

    asyncio.run(scene.play(fault))
    scene.close()


def test_the_server_is_stopped_and_continued(server: PostgresServer, processes: Processes, report: Report) -> None:
    """All of its processes: to its clients it is there, and says nothing."""
    scene = on_postgres.scene(server, processes, report, "SIGSTOP, then SIGCONT", "commit_bound=1")

    async def fault(_: int) -> None:
        await scene.load.answered(scene.draw.randrange(1, 100))
        async with scene.outage():
            stopped = server.processes()
            for process in stopped:
                os.kill(process, signal.SIGSTOP)
            try:
                scene.kills += 1
                await scene.load.refusals(time.monotonic())
            finally:
                for process in stopped:
                    os.kill(process, signal.SIGCONT)

    asyncio.run(scene.play(fault))
    scene.close()


@pytest.mark.needs("tmpfs")
def test_the_disk_of_its_log_is_full(processes: Processes, report: Report) -> None:
    """Such a server ends itself. Once there is room again, and somebody has started it, all goes on."""
    with small_disk(DISK) as disk, logging_to(disk) as server:
        scene = on_postgres.scene(server, processes, report, "full disk")
        on_postgres.run(server.url(), HOLD)

        async def fault(_: int) -> None:
            await scene.load.answered(scene.draw.randrange(1, 100))
            async with scene.outage():
                before = ends(server)
                disk.fill()
                with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
                    await asyncio.to_thread(on_postgres.run, server.url(), *NEXT_SEGMENT * 9)
                await until(lambda: ends(server) - before, "the server's own end")
                await asyncio.to_thread(server.stop, immediately=True)  # what started it has still to go
                full = time.monotonic()
                scene.kills += 1
                await scene.load.refusals(full)
                assert scene.load.acked_between(full, time.monotonic()) == []
                disk.make_room()
                await asyncio.to_thread(server.start)
                await asyncio.to_thread(on_postgres.run, server.url(), *LET_GO)

        asyncio.run(scene.play(fault))
        scene.close()
    assert any("No space left on device" in line for line in server.log)


def ends(server: PostgresServer) -> set[str]:
    """Lines of its log, each with its moment, in which it says that it has ended."""
    return {line for line in list(server.log) if line.endswith("database system is shut down")}


@contextmanager
def logging_to(disk: SmallDisk) -> Iterator[PostgresServer]:
    """A server whose log, and nothing else, is on this disk."""
    folder = Path(tempfile.mkdtemp(prefix="kirimhook-pg-"))
    server = PostgresServer(folder, WAL)
    try:
        server.make()
        usual, there = folder / "data" / "pg_wal", disk.folder / "pg_wal"
        shutil.move(usual, there)
        owner = usual.parent.stat()
        for path in (there, *there.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
        usual.symlink_to(there)
        server.start()
        yield server
    finally:
        server.stop(immediately=True)
        shutil.rmtree(folder, ignore_errors=True)
