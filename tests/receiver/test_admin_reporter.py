"""A process knows what it reports: its storage is tried, a failed commit is remembered until one succeeds, and
asking often costs the storage nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from kirimhook.backends import open_inbox
from kirimhook.observe import Meter
from kirimhook.receiver.admin.reporter import FAILURE_LASTS, Reporter, StorageWatch
from kirimhook.receiver.endpoint import Receiver
from kirimhook.receiver.hooks import Hooks
from kirimhook.receiver.inbox import Inbox
from kirimhook.receiver.secrets import Keyring
from kirimhook.receiver.worker import Worker
from kirimhook.testing.requests import TEST_SECRET, signed_request
from tests.receiver.working import inbound

T = TypeVar("T")


class Ticks:
    """A monotonic clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 20))


def watched(inbox: Inbox, **parts: Any) -> tuple[Reporter, StorageWatch, Meter, Ticks]:
    meter, ticks = Meter(), Ticks()
    watch = StorageWatch(meter, logging.getLogger("tests.quiet"), ticks)
    return Reporter(inbox, meter, watch, **parts), watch, meter, ticks


def test_what_a_receiver_and_a_worker_are_doing() -> None:
    async def main() -> None:
        inbox = open_inbox("sqlite:///:memory:")
        meter = Meter()
        receiver = Receiver(inbox, Keyring.static(TEST_SECRET), meter=meter)
        worker = Worker(inbox, Hooks(), meter=meter)
        reporter = Reporter(inbox, meter, StorageWatch(meter), receiver=receiver, worker=worker)
        async with receiver, worker:
            reporter.running = True
            request = signed_request("contact.created")
            assert (await receiver.receive("POST", request.raw_headers, request.body)).status == 200
            await worker.idle()
            report = await reporter.report()
        assert report.pid == os.getpid()
        assert (report.receives, report.works, report.worker_failed) == (True, True, False)
        assert report.storage_problem is None
        assert report.inbox is not None
        assert report.inbox.states["unhandled"] == 1
        assert [(use.fingerprint, use.matches) for use in report.secrets] == [(TEST_SECRET.fingerprint, 1)]
        assert report.snapshot["counters"]["kirimhook_requests_total"] == {"fresh": 1}
        assert report.usage.cpu_seconds > 0
        assert TEST_SECRET.reveal() not in repr(report.to_json())

    run(main())


def test_a_worker_that_ended_unasked_has_failed() -> None:
    async def main() -> None:
        inbox = open_inbox("sqlite:///:memory:")
        await inbox.open()
        worker = Worker(inbox, Hooks())
        reporter, *_ = watched(inbox, worker=worker)
        assert not (await reporter.report()).worker_failed  # not started yet
        reporter.running = True
        worker.start()
        assert not (await reporter.report()).worker_failed
        await worker.stop()
        assert (await reporter.report()).worker_failed
        reporter.running = False  # as when it is told to stop
        assert not (await reporter.report()).worker_failed
        await inbox.close()

    run(main())


def test_a_locked_file_is_a_problem_while_it_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kirimhook.receiver.admin.reporter.PROBE_LASTS", 0.0)

    async def main() -> None:
        inbox = open_inbox(f"sqlite:///{tmp_path / 'inbox.db'}", busy_timeout=0.05)
        await inbox.open()
        reporter, *_ = watched(inbox)
        with closing(sqlite3.connect(tmp_path / "inbox.db", isolation_level=None)) as foreign:
            foreign.execute("BEGIN IMMEDIATE")
            report = await reporter.report()
            assert report.storage_problem is not None
            assert "locked" in report.storage_problem
            assert report.inbox is None
            foreign.execute("ROLLBACK")
        assert (await reporter.report()).storage_problem is None
        await inbox.close()

    run(main())


def test_a_closed_inbox_is_a_problem() -> None:
    reporter, *_ = watched(open_inbox("sqlite:///:memory:"))
    assert "closed" in str(run(reporter.report()).storage_problem)


class Stuck:
    """An inbox whose storage does not come back, and which counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def renew(self, heads: object, seconds: float) -> list[bool]:
        self.asked += 1
        await asyncio.Event().wait()
        return []


def test_storage_that_hangs_is_a_problem_after_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kirimhook.receiver.admin.reporter.PROBE_TIMEOUT", 0.05)
    stuck: Any = Stuck()

    async def main() -> None:
        reporter, *_ = watched(stuck)
        reports = await asyncio.gather(*(reporter.report() for _ in range(20)))
        assert all("did not answer" in str(report.storage_problem) for report in reports)
        assert stuck.asked == 1  # all asked at once, and shared one probe
        await reporter.report()
        assert stuck.asked == 1  # and one more, right after

    run(main())


def test_a_failed_commit_counts_until_one_succeeds() -> None:
    _, watch, meter, ticks = watched(open_inbox("sqlite:///:memory:"))
    acked = meter.counter("kirimhook_requests_total")
    acked["fresh"] += 3
    assert watch.problem() is None
    watch.event("unstored", reason="disk_full", detail="", events=2)
    ticks.now += 4
    assert watch.problem() == "disk_full: a commit failed 4 s ago"
    acked["no_match"] += 1  # a refusal says nothing about the storage
    assert watch.problem() is not None
    acked["duplicate"] += 1
    assert watch.problem() is None


def test_a_failed_commit_is_forgotten_after_a_while_or_no_traffic_would_come_again() -> None:
    _, watch, _, ticks = watched(open_inbox("sqlite:///:memory:"))
    watch.event("unstored", reason="io_error", detail="", events=1)
    ticks.now += FAILURE_LASTS
    assert watch.problem() is None


def test_overload_is_not_held_against_the_storage() -> None:
    _, watch, *_ = watched(open_inbox("sqlite:///:memory:"))
    watch.event("unstored", reason="queue_full", detail="", events=1)
    assert watch.problem() is None


def test_a_disk_that_takes_no_commit_shows_although_it_can_be_read(tmp_path: Path) -> None:
    async def main() -> None:
        inbox = open_inbox(f"sqlite:///{tmp_path / 'inbox.db'}")
        reporter, watch, meter, _ = watched(inbox)
        receiver = Receiver(inbox, Keyring.static(TEST_SECRET), meter=meter, observer=watch)
        async with receiver:
            with closing(sqlite3.connect(tmp_path / "inbox.db", isolation_level=None)) as foreign:
                foreign.execute("BEGIN IMMEDIATE")
                request = signed_request("contact.created")
                assert (await receiver.receive("POST", request.raw_headers, request.body)).status == 503
                foreign.execute("ROLLBACK")
            report = await reporter.report()
            assert report.inbox is not None
            assert "locked: a commit failed" in str(report.storage_problem)
            assert await inbox.put([inbound()])

    run(main())
