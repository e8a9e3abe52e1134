"""(a), (c), (d) and (d2) on every kind of inbox, with its servers on the same cores."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from benchmarks import counting, files
from benchmarks.bodies import waiting_events
from benchmarks.cases.acks import check_new, load_twice, measured, serving
from benchmarks.counting import Counter
from benchmarks.files import BUSY_KEY, InvalidRunError
from benchmarks.inboxes.storages import SQLITE, Place
from benchmarks.measure import Bench, Measurement
from benchmarks.processes import Measured, cpu_of, running
from kirimhook.receiver.model import EventState

Run = Callable[[Bench], dict[str, Measurement]]
POLL = 0.01
STALLED = 60.0
"""Seconds without progress until a drain is given up."""


def acks(storage: str, processes: int) -> Run:
    """Into an empty inbox, by so many receiver processes."""

    def run(bench: Bench) -> dict[str, Measurement]:
        with bench.inboxes.empty(storage) as place:
            found = _acks(bench, place, processes)
        if (storage, processes) == (SQLITE, 1):
            bench.inboxes.reference = found.per_second
        return {f"acks.{storage}.{processes}": _against_sqlite(bench, found)}

    return run


def acks_finished(storage: str) -> Run:
    def run(bench: Bench) -> dict[str, Measurement]:
        with bench.inboxes.past(storage) as place:
            return {f"acks_finished.{storage}": _against_sqlite(bench, _acks(bench, place, 1))}

    return run


def drain(storage: str) -> Run:
    def run(bench: Bench) -> dict[str, Measurement]:
        with bench.inboxes.empty(storage) as place:
            return {f"drain.{storage}": _against_sqlite(bench, _drain(bench, storage, place))}

    return run


def drain_finished(storage: str) -> Run:
    """What waits there already is drained too."""

    def run(bench: Bench) -> dict[str, Measurement]:
        with bench.inboxes.past(storage) as place:
            return {f"drain_finished.{storage}": _against_sqlite(bench, _drain(bench, storage, place))}

    return run


def drain_blocked(storage: str) -> Run:
    """Beside many events behind one key, whose head failed and is due again tomorrow."""

    def run(bench: Bench) -> dict[str, Measurement]:
        with bench.inboxes.empty(storage) as place:
            blocked = bench.scale.inbox_blocked
            asyncio.run(files.put_all(place.loading, waiting_events(blocked, "blocked", BUSY_KEY)))
            asyncio.run(files.back_off(place.url))
            return {f"drain_blocked.{storage}": _against_sqlite(bench, _drain(bench, storage, place, blocked))}

    return run


def _against_sqlite(bench: Bench, found: Measurement) -> Measurement:
    reference = bench.inboxes.reference
    return replace(found, of_sqlite=found.per_second / reference if reference else None)


def _acks(bench: Bench, place: Place, processes: int) -> Measurement:
    before = sum(_counts(place).values())
    label = f"load{before}-"
    with serving(bench, place.url, "--no-worker", f"--workers={processes}") as (server, port):
        cpu = cpu_of(place.servers)
        loads = load_twice(bench, server, port, label)
        cpu = cpu_of(place.servers) - cpu
    check_new(sum(_counts(place).values()) - before, [seen for seen, _ in loads])
    answered = sum(seen.answered for seen, _ in loads)
    return replace(measured(loads[-1]), database_cpu_us=cpu / answered * 1e6 if place.servers else None)


def _counts(place: Place) -> Mapping[EventState, int]:
    return files.stats_at(place.url).counts


def _drain(bench: Bench, storage: str, place: Place, blocked: int = 0) -> Measurement:
    """A worker over what is put in now, and over what waited before, but not over what is blocked."""
    label = f"waiting{sum(_counts(place).values())}"
    asyncio.run(files.put_all(place.loading, waiting_events(bench.scale.inbox_waiting, label)))
    bench.inboxes.settle_down(storage, place)
    before = _counts(place)
    end = before[EventState.WAITING] - blocked
    file = bench.folder / "counter"
    counter = Counter.make(file)
    command = ["-m", "kirimhook", "work", "benchmarks.counting:hooks", f"--inbox={place.url}"]
    with running(command, bench.folder, {counting.ENVIRONMENT_VARIABLE: str(file)}) as worker:
        found = _watch(worker, counter, end, place)
    done = before[EventState.DONE] + end
    files.expect_at(place.url, {EventState.DONE: done, EventState.WAITING: blocked})
    if counter.read() != end:
        raise InvalidRunError(f"{end} events were handled {counter.read()} times")
    return found


def _watch(worker: Measured, counter: Counter, end: int, place: Place) -> Measurement:
    """From the first progress seen until the last event is handled: starting up is left out."""
    first = _wait_for_more(worker, counter, 0)
    since, cpu, servers = time.perf_counter(), worker.cpu_seconds(), cpu_of(place.servers)
    done = first
    if first == end:
        raise InvalidRunError(f"all {end} events were done at the first look: too few to measure")
    while done < end:
        done = _wait_for_more(worker, counter, done)
    seconds, cpu = time.perf_counter() - since, worker.cpu_seconds() - cpu
    servers, count = cpu_of(place.servers) - servers, end - first
    return Measurement(
        count,
        count / seconds,
        cpu / count * 1e6,
        database_cpu_us=servers / count * 1e6 if place.servers else None,
    )


def _wait_for_more(worker: Measured, counter: Counter, than: int) -> int:
    end = time.monotonic() + STALLED
    while time.monotonic() < end:
        if (done := counter.read()) > than:
            return done
        worker.check()
        time.sleep(POLL)
    raise InvalidRunError(f"the worker stands still: {than} events done")
