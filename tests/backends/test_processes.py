"""Several processes on one file: nothing is lost, nothing is completed twice, keys keep their order, every writer gets
its turn, and what was reported committed is there after SIGKILL."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from kirimhook.receiver.inbox import Filter
from kirimhook.receiver.model import EventState
from tests.architecture.tree import ROOT
from tests.backends.inboxes import opened, outside, stored_ids
from tests.backends.process import key_of

Process = subprocess.Popen[str]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox.db"


@contextlib.contextmanager
def processes(path: Path, *roles: tuple[str, ...]) -> Iterator[list[Process]]:
    """Killed at the end, if they have not ended."""
    command = [sys.executable, "-W", "error", "-m", "tests.backends.process"]
    started = [
        subprocess.Popen(
            [*command, role, str(path), *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for role, *arguments in roles
    ]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            with process:
                pass


def say(process: Process, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def hear(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_several_processes_put_and_work_at_once(path: Path) -> None:
    roles = [("load", "0", "2000", "works"), ("load", "1000", "2000", "works"), ("load", "2000", "2000", "puts")]
    with processes(path, *roles) as started:
        for process in started:
            assert hear(process) == "put"
        for process in started:
            say(process, "all is put")
        reports = [json.loads(hear(process)) for process in started]
        assert [process.wait(30) for process in started] == [0, 0, 0]
    fresh = [index for report in reports for index in report["fresh"]]
    assert sorted(fresh) == list(range(4_000))
    handled = sorted(tuple(one) for report in reports for one in report["handled"])
    numbers = [number for _, number, _ in handled]
    assert len(numbers) == len(set(numbers)) == 4_000
    by_key: defaultdict[str, list[int]] = defaultdict(list)
    for _, number, key in handled:
        if key is not None:
            by_key[key].append(number)
    assert len(by_key) == len({key_of(index) for index in range(50)} - {None})
    for key, in_time in by_key.items():
        assert in_time == sorted(in_time), key
    assert sorted(stored_ids(path), key=int) == [f"{index}" for index in range(4_000)]
    with outside(path) as connection:
        assert connection.execute("SELECT state, count(*) FROM finished GROUP BY state").fetchall() == [("done", 4_000)]
        assert connection.execute("SELECT count(*) FROM finished WHERE attempts <> 1").fetchone() == (0,)
    assert all(report["handled"] for report in reports[:2])


def test_every_writer_gets_its_turn(path: Path) -> None:
    with processes(path, *[("turns", name) for name in "abc"]) as started:
        for process in started:
            assert hear(process) == "ready"
        for process in started:
            say(process, "go")
        for process in started:
            assert hear(process) == "enough"
        for process in started:
            say(process, "stop")
        counts = [int(hear(process)) for process in started]
        assert [process.wait(30) for process in started] == [0, 0, 0]
    assert min(counts) > 0.5 * sum(counts) / len(counts), counts
    assert len(stored_ids(path)) == sum(counts)


def test_what_was_reported_committed_survives_sigkill(path: Path) -> None:
    draw = random.Random()  # where it is killed is up to chance
    put: set[str] = set()
    done: set[int] = set()
    for turn in range(5):
        with processes(path, ("crash", f"{turn}")) as (process,):
            for _ in range(draw.randrange(20, 400)):
                note(hear(process), put, done)
            process.send_signal(signal.SIGKILL)
            assert process.stdout is not None
            for line in process.stdout:
                note(line.strip(), put, done)
            assert process.wait(30) == -signal.SIGKILL
        assert put <= set(stored_ids(path))
    assert len(put) > 50
    assert done
    asyncio.run(_check(path, done))


def note(line: str, put: set[str], done: set[int]) -> None:
    match line.split():
        case ["put", name]:
            put.add(name)
        case ["done", number]:
            done.add(int(number))


async def _check(path: Path, done: set[int]) -> None:
    async with opened(path) as inbox:
        for number in done:
            stored = await inbox.get(number)
            assert stored is not None
            assert stored.state is EventState.DONE
        counts = (await inbox.stats()).counts
        assert sum(counts.values()) == await inbox.count(Filter())
