"""G3, fencing: a worker that was stopped past its lease and continued does not complete the event a second time.

Two `kirimhook work` on one file, beside a `serve --no-worker`. SIGSTOP stops the first while its handlers run; the
second takes their events over when the lease has run out. Continued, the first finds its settlements refused,
whether the second is through with them or still at work, and begins nothing else of the run it had. Inside a
transaction nobody can take an event over: it ends once, by the one that has it.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from kirimhook.contract.samples import Sample
from kirimhook.testing.served import Served
from tests.crash import ledger
from tests.crash.held import GATE
from tests.crash.processes import Lines, Processes
from tests.crash.sender import Sender, message, of
from tests.crash.waiting import until

HOOKS = "tests.crash.held:hooks"
LEASE = 1.0

ON_THE_LOOP = of("contact.updated", "fenced-on-the-loop", 1)
IN_A_THREAD = of("contact.created", "fenced-in-a-thread", 2)
HEAD = of("conversation.assigned", "fenced-head", 3)
BEHIND = of("conversation.closed", "fenced-behind", 3)
"""Transactional, of the same key as `HEAD`."""
LATER = of("contact.updated", "fenced-later", 1)
HELD = (ON_THE_LOOP, IN_A_THREAD, HEAD)
ALL = (*HELD, BEHIND)


class Working:
    """A worker, its gate, and what its handlers said."""

    def __init__(self, processes: Processes, name: str, url: str = "") -> None:
        self.url = url
        self._processes = processes
        self._gate = processes.folder / f"gate-{name}"
        self.lines = Lines()
        environment = {GATE: str(self._gate)}
        self.served: Served = processes.work(
            "--lease", str(LEASE), hooks=HOOKS, lines=self.lines, environment=environment
        )

    def open_gate(self) -> None:
        self._gate.touch()

    def runs(self, *some: Sample) -> None:
        """Wait until its handlers do."""
        for sample in some:
            self.lines.wait_for(f"running {sample.event_id}")

    def stop_between_writes(self) -> None:
        """All its threads, none of them in a transaction of the inbox, or on its way into one."""
        with self._processes.nobody_writes():
            self.stop()

    def stop(self) -> None:
        self.served.send(signal.SIGSTOP)
        tasks = Path(f"/proc/{self.served.pid}/task")
        until(lambda: all(_is_stopped(task) for task in tasks.iterdir()), "the stop of every thread")

    def go_on(self) -> None:
        self.served.send(signal.SIGCONT)


def _is_stopped(task: Path) -> bool:
    return (task / "stat").read_text().rpartition(")")[2].split()[0] == "T"


def receive(processes: Processes) -> str:
    """A receiver that does not work, and does not wait long for a file that another process has; its URL."""
    served = processes.serve("--no-worker", query="?commit_bound=2")
    return str(served.started()["url"])


def send(url: str, *some: Sample) -> None:
    async def one_by_one() -> None:
        async with Sender() as sender:
            for sample in some:
                await sender.until_acked(url, sample)

    asyncio.run(one_by_one())


def states(processes: Processes) -> dict[str, list[str]]:
    """Of the finished events, by id: one `done` each, or a promise is broken."""
    return {sample.event_id: ledger.states_of(processes.database, sample.event_id) for sample in ALL}


def all_done(processes: Processes) -> None:
    until(lambda: ledger.unfinished(processes.database) == 0, "the end of all work")


def effects(processes: Processes) -> list[str]:
    tables = ledger.rows(processes.database, "SELECT 1 FROM sqlite_master WHERE name = 'effects'")
    return [row[0] for row in ledger.rows(processes.database, "SELECT event_id FROM effects")] if tables else []


DONE_ONCE = {sample.event_id: ["done"] for sample in ALL}
NOT_DONE: dict[str, list[str]] = {sample.event_id: [] for sample in ALL}


@pytest.fixture
def stopped(processes: Processes) -> Working:
    """A worker that was stopped while it had all the events."""
    url = receive(processes)
    send(url, *ALL)  # before there is a worker, so that head and follower are one run
    first = Working(processes, "first", url)
    first.runs(*HELD)
    first.stop_between_writes()
    return first


def test_it_completes_nothing_that_another_has_completed(processes: Processes, stopped: Working) -> None:
    second = Working(processes, "second")
    second.open_gate()
    all_done(processes)
    assert states(processes) == DONE_ONCE
    before = ledger.rows(processes.database, "SELECT * FROM finished ORDER BY number")

    stopped.open_gate()
    stopped.go_on()
    for sample in HELD:
        stopped.served.logged("lease_lost", event_id=sample.event_id)
    assert stopped.served.terminate() == 0
    assert second.served.terminate() == 0

    assert ledger.rows(processes.database, "SELECT * FROM finished ORDER BY number") == before
    assert effects(processes) == [BEHIND.event_id]
    assert f"running {BEHIND.event_id}" not in stopped.lines
    assert ledger.rows(processes.database, "SELECT events FROM tally WHERE state = 'done'") == [(len(ALL),)]


def test_it_completes_nothing_that_another_is_at_work_on(processes: Processes, stopped: Working) -> None:
    second = Working(processes, "second")
    second.runs(*HELD)

    stopped.open_gate()
    stopped.go_on()
    for sample in HELD:
        stopped.served.logged("lease_lost", event_id=sample.event_id)
    assert stopped.served.terminate() == 0  # so all that it had to say was said
    assert states(processes) == NOT_DONE
    assert effects(processes) == []

    second.open_gate()
    all_done(processes)
    assert states(processes) == DONE_ONCE
    assert effects(processes) == [BEHIND.event_id]


def test_it_goes_on_working(processes: Processes, stopped: Working) -> None:
    stopped.open_gate()
    second = Working(processes, "second")
    second.open_gate()
    all_done(processes)
    assert second.served.terminate() == 0
    stopped.go_on()
    stopped.served.logged("lease_lost")
    send(stopped.url, LATER)
    all_done(processes)
    stopped.runs(LATER)
    assert ledger.states_of(processes.database, LATER.event_id) == ["done"]


def test_inside_a_transaction_an_event_is_not_taken_over(processes: Processes) -> None:
    url = receive(processes)
    workers = [Working(processes, name) for name in ("first", "second")]
    event, later = message("fenced-in-transaction", 1), message("fenced-beside", 2)
    send(url, event)
    running = f"running {event.event_id}"
    until(lambda: any(running in worker.lines for worker in workers), "the start of the handler")
    holder, other = sorted(workers, key=lambda worker: running not in worker.lines)

    holder.stop()
    due = "SELECT count(*) FROM queue WHERE token IS NOT NULL AND visible_at < ?"
    until(lambda: ledger.rows(processes.database, due, time.time() * 1000) == [(1,)], "the end of its lease")
    asyncio.run(nothing_is_acked_until(holder, url, later))
    other.open_gate()
    all_done(processes)

    assert running not in other.lines
    assert ledger.states_of(processes.database, event.event_id) == ["done"]
    booked = Counter(effects(processes))
    assert booked[event.event_id] == booked[later.event_id] == 1


async def nothing_is_acked_until(holder: Working, url: str, sample: Sample) -> None:
    """The file is its own as long as it is in its transaction; what it cannot take is not acknowledged."""
    async with Sender() as sender:
        sending = asyncio.create_task(sender.until_acked(url, sample))
        reply = await sender.post(url, message("fenced-refused", 3))
        assert reply is not None
        assert (reply.status, reply.text) == (503, "service unavailable")
        assert not sending.done()
        holder.open_gate()
        holder.go_on()
        await sending
