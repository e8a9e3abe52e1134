"""(a), (b) and the first half of (d): what the load generator sees."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks import files, load
from benchmarks.files import InvalidRunError
from benchmarks.load import Load
from benchmarks.measure import Bench, Measurement
from benchmarks.processes import Measured, free_port, running

PATH = "/kirim-webhook"


def bare(bench: Bench) -> dict[str, Measurement]:
    port = free_port()
    with running(["-m", "benchmarks.bare", f"--port={port}"], bench.folder) as server:
        server.wait_for_port(port)
        return {"bare": measured(load_twice(bench, server, port)[-1])}


def without_worker(bench: Bench) -> dict[str, Measurement]:
    return {"acks": _acks(bench, bench.files.empty(), "--no-worker")}


def with_worker(bench: Bench) -> dict[str, Measurement]:
    return {"acks_with_worker": _acks(bench, bench.files.empty())}


def into_finished(bench: Bench) -> dict[str, Measurement]:
    return {"acks_finished": _acks(bench, bench.files.finished(), "--no-worker")}


Cost = tuple[Load, float]
"""A load, and the CPU seconds that the server spent on it."""


def _acks(bench: Bench, inbox: Path, *options: str) -> Measurement:
    before = stored(inbox)
    with serving(bench, files.url(inbox), *options) as (server, port):
        loads = load_twice(bench, server, port)
    check_stored(inbox, before, [seen for seen, _ in loads])
    return measured(loads[-1])


@contextlib.contextmanager
def serving(bench: Bench, inbox_url: str, *options: str) -> Iterator[tuple[Measured, int]]:
    """`kirimhook serve` as it is by default, and its port."""
    port = free_port()
    command = ["-m", "kirimhook", "serve", "benchmarks.hooks:hooks", f"--inbox={inbox_url}"]
    command += [f"--port={port}", f"--path={PATH}", "--admin-port=0", *options]
    with running(command, bench.folder, {"KIRIM_WEBHOOK_SECRETS": bench.secret.reveal()}) as server:
        server.wait_for_port(port)
        yield server, port


def loaded(bench: Bench, server: Measured, port: int, *, seconds: int, label: str) -> Cost:
    """Load it once. `label` names the events, so it must be new to this inbox."""
    before = server.cpu_seconds()
    seen = load.run(
        f"http://127.0.0.1:{port}{PATH}",
        seconds=seconds,
        connections=bench.scale.connections,
        label=label,
        folder=bench.folder,
        secret=bench.secret,
    )
    return seen, server.cpu_seconds() - before


def load_twice(bench: Bench, server: Measured, port: int, label: str = "load") -> list[Cost]:
    """The warm-up, if there is one, and what is measured."""
    durations = [seconds for seconds in (bench.scale.warm_up, bench.scale.load) if seconds]
    return [
        loaded(bench, server, port, seconds=seconds, label=f"{label}{number}")
        for number, seconds in enumerate(durations)
    ]


def measured(cost: Cost) -> Measurement:
    seen, cpu = cost
    return Measurement(seen.answered, seen.per_second, cpu / seen.answered * 1e6, seen.p50_ms, seen.p99_ms, seen.max_ms)


def stored(inbox: Path) -> int:
    """Distinct events that the inbox holds, whatever their state."""
    return sum(files.stats(inbox).counts.values()) if inbox.exists() else 0


def check_stored(inbox: Path, before: int, loads: list[Load]) -> None:
    """Every acknowledged event is there, and nothing that was not sent.

    The last request of each connection may be stored without its answer having been read. Raises InvalidRunError.
    """
    check_new(stored(inbox) - before, loads)


def check_new(new: int, loads: list[Load]) -> None:
    """The same of so many new events. Raises InvalidRunError."""
    least, most = sum(seen.answered for seen in loads), sum(seen.issued for seen in loads)
    if not least <= new <= most:
        raise InvalidRunError(f"{least} acknowledged, {most} sent, {new} stored")
