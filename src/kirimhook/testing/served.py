"""`kirimhook serve`, or `sender`, as a process of its own, for tests that kill it and demonstrations that show it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

READY = 30.0
"""Seconds it has to start."""
KEPT = 500
"""Log lines that are kept."""
STARTED = {"sender": "sender_started"}
"""What a command logs when it is ready, where that is not `serve_started`."""


_BEGINNING = threading.Lock()
"""Threads begin one after the other: under a tracer (coverage) Python 3.11 can break one that begins beside another."""


class ServeFailed(Exception):
    """It ended, or did not start in time. The message is what it logged last."""


class Served:
    """Starts at once, in a process group of its own; `started` waits until it listens.

    `arguments` are those of `kirimhook` (`["serve", "receiver:hooks", "--port", "0"]`, `["sender", "--port", "0"]`).
    Its output goes to `printed`, line by line, on a thread; its log is read as JSON, one dict a line, into `log`.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        printed: Callable[[str], None] | None = None,
        wrapper: Sequence[str] = (),
    ) -> None:
        """`wrapper`: a command that runs it, as in `["strace", "-f"]`."""
        self._start = STARTED.get(arguments[0], "serve_started")
        self._started: dict[str, Any] | None = None
        self.log: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._condition = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(
            [*wrapper, sys.executable, "-m", "kirimhook", *arguments, "--log-format", "json"],
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._threads = [
            threading.Thread(target=self._read_output, args=(printed or _drop,), daemon=True),
            threading.Thread(target=self._read_log, daemon=True),
        ]
        self._reading = threading.Semaphore(0)
        with _BEGINNING:
            for thread in self._threads:
                thread.start()
                self._reading.acquire(timeout=READY)

    @property
    def pid(self) -> int:
        return self._process.pid

    def started(self) -> dict[str, Any]:
        """Wait for its `serve_started` or `sender_started`: url, port, admin_url, admin_port. Raises ServeFailed."""
        self._started = self._started or self.logged(self._start)
        return self._started

    def logged(self, event: str, timeout: float = READY, **fields: Any) -> dict[str, Any]:
        """Wait for the first log line of this event that has these fields, and return it. Raises ServeFailed."""
        with self._condition:
            self._condition.wait_for(lambda: self._find(event, fields) or self._ended, timeout)
            found = self._find(event, fields)
        if found is None:
            lines = "\n".join(json.dumps(line) for line in list(self.log)[-20:])
            raise ServeFailed(f"no {event!r} in the log of {self._process.args!r}:\n{lines}")
        return found

    def terminate(self, timeout: float = 60.0) -> int:
        """Ask it to drain, and wait; its exit code. Raises subprocess.TimeoutExpired."""
        self._process.terminate()
        return self.wait(timeout)

    def kill(self) -> None:
        """SIGKILL to it and to all its children at one moment."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self.wait(READY)

    def end(self) -> None:
        """Whatever it is doing; and let go of the pipes of one that ended by itself."""
        if self._process.poll() is None:
            self.kill()
        else:
            self.wait(READY)

    def send(self, number: signal.Signals) -> None:
        """To the process alone, as in SIGHUP; or SIGSTOP."""
        self._process.send_signal(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def wait(self, timeout: float = 60.0) -> int:
        """Until it has ended; its exit code. Raises subprocess.TimeoutExpired."""
        code = self._process.wait(timeout)
        for thread in self._threads:
            thread.join(READY)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        return code

    def _find(self, event: str, fields: Mapping[str, Any]) -> dict[str, Any] | None:
        wanted = {"event": event, **fields}
        return next((line for line in self.log if wanted.items() <= line.items()), None)

    def _read_output(self, printed: Callable[[str], None]) -> None:
        self._reading.release()
        for line in self._process.stdout or ():
            printed(line.rstrip("\n"))

    def _read_log(self) -> None:
        self._reading.release()
        for line in self._process.stderr or ():
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {"event": "stderr", "line": line.rstrip("\n")}
            with self._condition:
                self.log.append(entry)
                self._condition.notify_all()
        with self._condition:
            self._ended = True
            self._condition.notify_all()


def _drop(line: str) -> None:
    """Nobody wants to see it; the pipe has to be read all the same."""
