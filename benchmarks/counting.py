"""Handlers that count, in memory that another process can see: how far a worker is, whatever the inbox."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from kirimhook import Event, Hooks

ENVIRONMENT_VARIABLE = "BENCH_COUNTER"
"""The counter's file."""
BYTES = 8

hooks = Hooks()


class Counter:
    """A number in a file, for one process to write and any to read."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), BYTES)
        self._cells = memoryview(self._map).cast("Q")

    @classmethod
    def make(cls, path: Path) -> Counter:
        """At 0."""
        path.write_bytes(bytes(BYTES))
        return cls(path)

    def add(self) -> None:
        self._cells[0] += 1

    def read(self) -> int:
        return int(self._cells[0])


if path := os.environ.get(ENVIRONMENT_VARIABLE):
    counter = Counter(Path(path))

    @hooks.on("*")
    async def count(_event: Event) -> None:
        """Nothing but that."""
        counter.add()
