"""(i) The same deliveries with Celery, Redis and requests: as it is usually set up, and tuned."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.files import InvalidRunError
from benchmarks.measure import Bench, Measurement
from benchmarks.processes import Measured, free_port, running
from benchmarks.sending.account import check_arrivals
from benchmarks.sending.posts import SECRET, body
from benchmarks.sending.receiving import Receiver, receiving

APPLICATION = "benchmarks.sending.usual"
REDIS = "redis-server"
CONCURRENCY = {False: 2, True: 3}
"""Of worker processes, on two cores; a third gains when tuned, a fourth does not."""
RESULT_DATABASE = 1
STALLED = 60.0
USUAL: tuple[str, ...] = ()
TUNED = ("--without-gossip", "--without-mingle", "--without-heartbeat")


def missing() -> str | None:
    """What has to be installed for these cases."""
    if shutil.which(REDIS) is None:
        return "apt install redis-server"
    if any(importlib.util.find_spec(name) is None for name in ("celery", "redis", "requests")):
        return "pip install -r requirements/bench.lock"
    return None


def usual(bench: Bench) -> dict[str, Measurement]:
    return {"celery": _measure(bench, tuned=False)}


def tuned(bench: Bench) -> dict[str, Measurement]:
    return {"celery_tuned": _measure(bench, tuned=True)}


def _measure(bench: Bench, *, tuned: bool) -> Measurement:
    with receiving(bench.folder, 1) as receiver, _redis(bench.folder, tuned=tuned) as (redis, url):
        environment = {
            "BENCH_REDIS": url,
            "BENCH_AUTHORITY": str(receiver.authority),
            "BENCH_TUNED": "1" if tuned else "0",
        }
        ids = _enqueue(bench, environment, receiver.urls[0])
        command = [
            "-m",
            "celery",
            "-A",
            APPLICATION,
            "worker",
            f"--concurrency={CONCURRENCY[tuned]}",
            "--loglevel=ERROR",
        ]
        with running([*command, *(TUNED if tuned else USUAL)], bench.folder, environment, name="celery") as worker:
            return _watch(bench, receiver, (worker, redis), url, ids)


def _watch(
    bench: Bench, receiver: Receiver, processes: tuple[Measured, Measured], url: str, ids: list[str]
) -> Measurement:
    """From the arrival that ends the warm-up to the last result."""
    warm_up = bench.scale.usual_warm_up
    worker, redis = processes
    _wait(worker, receiver.arrived, warm_up)
    before = [process.cpu_seconds() for process in (worker, redis, receiver.process)]
    _wait(worker, lambda: _results(url), len(ids))
    ended = time.monotonic()
    after = [process.cpu_seconds() for process in (worker, redis, receiver.process)]
    arrivals = receiver.arrivals()
    check_arrivals(arrivals, ids)
    _check_results(url)
    count = len(ids) - warm_up
    costs = [(late - early) / count * 1e6 for early, late in zip(before, after, strict=True)]
    seconds = ended - arrivals[warm_up - 1].at
    return Measurement(count, count / seconds, costs[0], database_cpu_us=costs[1], receiver_cpu_us=costs[2])


@contextlib.contextmanager
def _redis(folder: Path, *, tuned: bool) -> Iterator[tuple[Measured, str]]:
    """As it is installed, but for port and folder; tuned: without the snapshots."""
    port = free_port()
    place = folder / "redis"
    place.mkdir()
    command = [f"--port {port}", "--bind 127.0.0.1", f"--dir {place}", *(['--save ""'] if tuned else [])]
    words = [word.strip('"') for option in command for word in option.split(" ")]
    try:
        with running(words, folder, name="redis-output", program=REDIS) as redis:
            redis.wait_for_port(port)
            yield redis, f"redis://127.0.0.1:{port}"
    finally:
        shutil.rmtree(place)


def _enqueue(bench: Bench, environment: dict[str, str], url: str) -> list[str]:
    """In a process of its own, whose application knows where Redis is."""
    ids = [f"wbd_{number:026}" for number in range(bench.scale.usual + bench.scale.usual_warm_up)]
    program = (
        "import sys; from benchmarks.sending.usual import deliver\n"
        "url, secret, content, count = sys.argv[1:]\n"
        "with deliver.app.producer_or_acquire() as producer:\n"
        "    for number in range(int(count)):\n"
        "        delivery = f'wbd_{number:026}'\n"
        "        deliver.apply_async((url, secret, delivery, 'evt_' + delivery[4:], content), producer=producer)\n"
    )
    words = ["-c", program, url, SECRET.reveal(), body().decode(), str(len(ids))]
    with running(words, bench.folder, environment, name="enqueue") as process:
        process.wait(STALLED)
    return ids


def _wait(worker: Measured, count: Callable[[], int], wanted: int) -> None:
    """Raises InvalidRunError when nothing comes for a minute."""
    seen, since = 0, time.monotonic()
    while (now := count()) < wanted:
        if now > seen:
            seen, since = now, time.monotonic()
        if time.monotonic() - since > STALLED:
            raise InvalidRunError(f"the worker stands still: {seen} of {wanted}")
        worker.check()
        time.sleep(0.01)


def _results(url: str) -> int:
    return int(_client(url).dbsize())


def _check_results(url: str) -> None:
    client = _client(url)
    statuses = [b'"status": "SUCCESS"' in value for value in client.mget(client.keys("*"))]
    if not all(statuses):
        raise InvalidRunError(f"{statuses.count(False)} tasks did not succeed")


def _client(url: str) -> Any:
    import redis

    return redis.Redis.from_url(f"{url}/{RESULT_DATABASE}")
