"""Two receivers and two workers over one inbox, each a process of its own that can be killed and replaced."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from kirimhook.testing.served import Served
from tests.crash.journal import Fault
from tests.crash.processes import Processes

LEASE = 3
"""Seconds until another worker may have what a killed one held."""
EACH = 2
TOLD = 8
"""Log lines of each that a failure shows."""


class Receiver(NamedTuple):
    served: Served
    url: str


@dataclass(slots=True)
class Crew:
    """`faults`: the kills of workers; add to them what was done to the storage."""

    processes: Processes
    handlers: str
    receivers: list[Receiver | None] = field(default_factory=list)
    workers: list[Served] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    kills: int = 0

    def start(self) -> None:
        """Raises ServeFailed."""
        with ThreadPoolExecutor() as threads:
            receivers = [threads.submit(self._receiver) for _ in range(EACH)]
            workers = [threads.submit(self._worker) for _ in range(EACH)]
        self.receivers += [each.result() for each in receivers]
        self.workers += [each.result() for each in workers]

    def urls(self) -> list[str]:
        """Of the receivers that have not been killed."""
        return [each.url for each in self.receivers if each is not None]

    def kill_receiver(self, index: int) -> None:
        """SIGKILL, and a new one in its place. Returns when that listens. Raises ServeFailed."""
        killed = self.receivers[index]
        if killed is not None:
            killed.served.kill()  # under load: nobody is told before
            self.kills += 1
            self.receivers[index] = None
        self.receivers[index] = self._receiver()

    def kill_worker(self, index: int) -> None:
        """SIGKILL, and a new one in its place. Returns when that works. Raises ServeFailed."""
        killed = self.workers[index]
        began = time.monotonic()
        killed.kill()
        self.kills += 1
        self.faults.append(Fault(began, time.monotonic(), killed.pid))
        self.workers[index] = self._worker()

    def logs(self) -> str:
        """The end of what each of them logged, but for the receivers' refusals."""
        members = [*(each.served for each in self.receivers if each is not None), *self.workers]
        last = [[line for line in list(each.log) if line.get("event") != "refused"][-TOLD:] for each in members]
        return "\n".join(f"{each.pid}: {line}" for each, lines in zip(members, last, strict=True) for line in lines)

    def stop(self) -> list[int]:
        """Ask all of them to end; their exit codes."""
        receivers = [each.served for each in self.receivers if each is not None]
        with ThreadPoolExecutor() as threads:
            return list(threads.map(Served.terminate, (*receivers, *self.workers)))

    def _receiver(self) -> Receiver:
        served = self.processes.serve("--no-worker", hooks=self.handlers)
        return Receiver(served, str(served.started()["url"]))

    def _worker(self) -> Served:
        return self.processes.work("--lease", str(LEASE), "--attempts", "1000", hooks=self.handlers)
