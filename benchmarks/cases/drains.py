"""(c), the second half of (d), and (d2): how fast `kirimhook work` empties a file."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from benchmarks import files
from benchmarks.files import InvalidRunError
from benchmarks.measure import Bench, Measurement
from benchmarks.processes import Measured, running
from kirimhook.receiver.model import EventState

POLL = 0.02
STALLED = 30.0
"""Seconds without progress until a drain is given up."""


def drain(bench: Bench) -> dict[str, Measurement]:
    return {"drain": _drain(bench, bench.files.waiting())}


def drain_finished(bench: Bench) -> dict[str, Measurement]:
    scale = bench.scale
    return {"drain_finished": _drain(bench, bench.files.finished_and_waiting(), past=scale.finished)}


def drain_blocked(bench: Bench) -> dict[str, Measurement]:
    scale = bench.scale
    return {"drain_blocked": _drain(bench, bench.files.blocked_and_waiting(), blocked=scale.blocked)}


def _drain(bench: Bench, inbox: Path, *, past: int = 0, blocked: int = 0) -> Measurement:
    command = ["-m", "kirimhook", "work", "benchmarks.hooks:hooks", f"--inbox={files.url(inbox)}"]
    with running(command, bench.folder) as worker:
        count, seconds, cpu = _watch(worker, inbox, past, past + bench.scale.waiting)
    wanted = {EventState.DONE: past + bench.scale.waiting, EventState.WAITING: blocked}
    files.expect(inbox, {state: events for state, events in wanted.items() if events})
    return Measurement(count, count / seconds, cpu / count * 1e6)


def _watch(worker: Measured, inbox: Path, begin: int, end: int) -> tuple[int, float, float]:
    """Events, wall seconds and CPU seconds from the first progress seen until the last: starting up is left out.

    Reads the running total in the file, because a look with `stats` counts a million waiting rows each time.
    """
    reader = sqlite3.connect(inbox, isolation_level=None, timeout=5)
    try:
        reader.execute("PRAGMA query_only = ON")
        first = _wait_for_more(reader, worker, begin)
        since, cpu = time.perf_counter(), worker.cpu_seconds()
        done = first
        if first == end:
            raise InvalidRunError(f"all {end - begin} events were done at the first look: too few to measure")
        while done < end:
            done = _wait_for_more(reader, worker, done)
        return done - first, time.perf_counter() - since, worker.cpu_seconds() - cpu
    finally:
        reader.close()


def _wait_for_more(reader: sqlite3.Connection, worker: Measured, than: int) -> int:
    end = time.monotonic() + STALLED
    while time.monotonic() < end:
        done = int(reader.execute("SELECT events FROM tally WHERE state = 'done'").fetchone()[0])
        if done > than:
            return done
        worker.check()
        time.sleep(POLL)
    raise InvalidRunError(f"the worker stands still: {than} events done")
