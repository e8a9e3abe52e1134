"""Several processes on one SQLite file: no change is lost, everybody gets a turn, a process that dies holds up nobody,
and what it was told is committed stays."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

from tests.sender.databases import Databases, add

PROGRAM = """
import asyncio, os, sys
from sqlalchemy import text
from kirimhook.sender.database import open_database

name, count = sys.argv[2], int(sys.argv[3])


def add_one(connection):
    "Read, then write: a change that another makes between the two would be lost."
    before = connection.scalar(text("SELECT created_at FROM organisations WHERE id = 'counter'"))
    connection.execute(text("UPDATE organisations SET created_at = :at WHERE id = 'counter'"), {"at": before + 1})
    insert = "INSERT INTO seals (id, sealed) SELECT coalesce(max(id), 0) + 1, :name FROM seals"
    connection.execute(text(insert), {"name": name.encode()})


async def main():
    database = open_database(sys.argv[1])
    await database.open()
    print("ready", flush=True)
    sys.stdin.readline()

    async def caller():
        for _ in range(count):
            await database.write(add_one)
            os.write(1, b"+\\n")  # told that it is committed

    await asyncio.gather(*(caller() for _ in range(4)))
    await database.close()

asyncio.run(main())
"""


@contextlib.contextmanager
def processes(url: str, count: int, *names: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Started, the database open; they begin when all of them can. Killed at the end, where they still run."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM, url]
    gate, opened = os.pipe()
    started = [subprocess.Popen([*command, name, str(count)], stdin=gate, stdout=subprocess.PIPE) for name in names]
    os.close(gate)
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        os.close(opened)
        yield started
    finally:
        for process in started:
            process.kill()
            with process:
                pass


def found(databases: Databases) -> tuple[int, list[bytes]]:
    """The counter, and who added to it, in order."""
    counter = asyncio.run(databases.rows("SELECT created_at FROM organisations"))
    turns = asyncio.run(databases.rows("SELECT sealed FROM seals ORDER BY id"))
    return counter[0][0] - 1, [name for (name,) in turns]


def test_no_change_is_lost_and_everybody_gets_a_turn(sqlite_url: str) -> None:
    databases = Databases(sqlite_url)
    databases.run(lambda database: database.write(add("counter")))
    with processes(sqlite_url, 100, "a", "b", "c") as started:
        ends = [process.communicate(timeout=100)[0] for process in started]
        assert [process.returncode for process in started] == [0, 0, 0]
    counter, turns = found(databases)
    assert (counter, len(turns)) == (1200, 1200)
    assert [end.count(b"+") for end in ends] == [400, 400, 400]
    assert all(len(set(turns[start : start + 300])) > 1 for start in range(0, 900, 100))


def test_a_process_that_is_killed_holds_up_nobody_and_loses_nothing(sqlite_url: str) -> None:
    databases = Databases(sqlite_url)
    databases.run(lambda database: database.write(add("counter")))
    with processes(sqlite_url, 10_000, "a", "b", "c") as started:
        told = [Told(process) for process in started]
        for number, process in enumerate(started):
            for other in told[number:]:  # since the last one died, too
                other.wait_for_more(50)
            process.kill()
        counts = [each.count_at_its_end() for each in told]
    counter, turns = found(databases)
    assert counter == len(turns)
    for count, name in zip(counts, (b"a", b"b", b"c"), strict=True):
        assert count <= turns.count(name) <= count + 4  # each of the four callers may not have been told
    databases.run(lambda database: database.write(add("after")))


class Told:
    """How often a process was told that something is committed."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._count = 0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            with self._changed:
                self._count += line == b"+\n"
                self._changed.notify_all()

    def wait_for_more(self, count: int) -> None:
        with self._changed:
            enough = self._count + count
            assert self._changed.wait_for(lambda: self._count >= enough, 60)

    def count_at_its_end(self) -> int:
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self._count
