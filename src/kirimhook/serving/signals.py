"""What the operating system tells a process: stop, stop at once, read secrets and certificate anew."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

STOPPING = (signal.SIGTERM, signal.SIGINT)
KILLED_BY = 128
"""What a shell adds to a signal's number for the exit code of whoever it killed."""


def die_politely() -> None:
    """Until a loop handles signals: end on SIGTERM, which the kernel otherwise keeps from a container's pid 1."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(KILLED_BY + number))


class Signals:
    """The first SIGTERM or SIGINT asks for a stop, the second ends the process on the spot; SIGHUP refreshes.

    On the spot is safe: whatever was answered with 200 is on disk.
    """

    def __init__(self, refresh: Callable[[], None], at_once: Callable[[int], None] | None = None) -> None:
        """Calls `refresh` on SIGHUP, and `at_once` with the exit code when told twice (default: `os._exit`)."""
        self.stopping = asyncio.Event()
        self.stopped_by = ""
        self._at_once = at_once or _exit_now
        loop = asyncio.get_running_loop()
        for number in STOPPING:
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, refresh)

    def _stop(self, number: signal.Signals) -> None:
        if self.stopping.is_set():
            self._at_once(KILLED_BY + number)
        self.stopped_by = number.name
        self.stopping.set()


def obey_parent(stop: Callable[[], None], refresh: Callable[[], None]) -> None:
    """A child drains on SIGTERM, however often, and leaves Ctrl-C to its parent, which sees it too."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGHUP, refresh)
    loop.add_signal_handler(signal.SIGINT, lambda: None)


def _exit_now(code: int) -> None:
    logging.shutdown()
    os._exit(code)
