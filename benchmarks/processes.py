"""The processes that are measured: started, waited for, their CPU time read, and ended."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
READY = 30.0
"""Seconds until a server has to answer."""
DRAIN = 60.0
"""Seconds until a process that was asked to end is killed."""


class ProcessError(Exception):
    """A measured process did not start, or ended too early; the message shows the end of its output."""


class Measured:
    """One process and its children, with their output in a file."""

    def __init__(self, command: Sequence[str], output: Path, environment: Mapping[str, str]) -> None:
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raises ProcessError when it has ended."""
        if self._process.poll() is not None:
            raise ProcessError(f"ended with {self._process.returncode}: {self._said()}")

    def wait_for_port(self, port: int) -> None:
        end = time.monotonic() + READY
        while time.monotonic() < end:
            self.check()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            time.sleep(0.02)
        raise ProcessError(f"does not listen: {self._said()}")

    def wait(self, seconds: float) -> None:
        """Until it has ended. Raises ProcessError when it takes longer, or failed."""
        try:
            ended = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ProcessError(f"did not end within {seconds:g} s: {self._said()}") from None
        if ended:
            raise ProcessError(f"ended with {ended}: {self._said()}")

    def cpu_seconds(self) -> float:
        """Of all its threads and children so far."""
        total = 0.0
        for process in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def stop(self) -> None:
        """Ask it to end. Raises ProcessError when it has to be killed, with whatever it had started."""
        family = self._family()
        if self._process.poll() is None:
            self._process.terminate()
        _, left = psutil.wait_procs(family, timeout=DRAIN)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        if left:
            raise ProcessError(f"did not end within {DRAIN:g} s: {self._said()}")

    def _family(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            head = psutil.Process(self._process.pid)
            return [head, *head.children(recursive=True)]
        return []

    def _said(self) -> str:
        return self._output.read_text("utf-8", "replace")[-2000:]


@contextlib.contextmanager
def running(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    *,
    name: str = "output",
    program: str = sys.executable,
) -> Iterator[Measured]:
    """`python ARGUMENTS`, in the repository's folder, for as long as the block lasts. `name` is its output's file."""
    process = Measured([program, *arguments], folder / name, environment or {})
    try:
        yield process
    finally:
        process.stop()


def cpu_of(pids: Iterable[int]) -> float:
    """Seconds of these servers so far, with their children, those that have ended included."""
    total = 0.0
    for pid in pids:
        head = psutil.Process(pid)
        times = head.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
        for process in head.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
    return total


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
