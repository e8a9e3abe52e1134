"""Those who wait for work, on whatever loops, and how they are woken from any thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator


class Sleepers:
    """Counts as true while somebody waits."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._asleep: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def __len__(self) -> int:
        return len(self._asleep)

    @contextlib.contextmanager
    def one(self) -> Iterator[asyncio.Event]:
        """An event of the running loop that `stir` sets."""
        stirred = asyncio.Event()
        with self._guard:
            self._asleep[stirred] = asyncio.get_running_loop()
        try:
            yield stirred
        finally:
            with self._guard:
                del self._asleep[stirred]

    def stir(self) -> None:
        """Whoever sleeps may have work now. From any thread."""
        with self._guard:
            for stirred, loop in self._asleep.items():
                with contextlib.suppress(RuntimeError):  # its loop has closed
                    loop.call_soon_threadsafe(stirred.set)
