"""Which heads are due: an index that neither followers nor future retries make slower."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping

from kirimhook.backends.jetstream.partition.entry import Entry

SPARE = 1024
"""Outdated items that it may hold beyond its size."""


class Heads:
    """A heap of `(due, number)`. What is due at another time by now, or ended, stays in it until it comes up."""

    def __init__(self, entries: Mapping[int, Entry]) -> None:
        self._entries = entries
        self._heap: list[tuple[int, int]] = []
        self.rebuild()

    def add(self, due: int, number: int) -> None:
        heapq.heappush(self._heap, (due, number))

    def rebuild(self) -> None:
        self._heap = [(entry.due, entry.number) for entry in self._entries.values() if entry.due is not None]
        heapq.heapify(self._heap)

    def tidy(self) -> None:
        """Make its top true, and bound what is outdated. After each change of entries."""
        heap = self._heap
        if len(heap) > 2 * len(self._entries) + SPARE:
            self.rebuild()
            return
        while heap and not self._is_true(heap[0]):
            heapq.heappop(heap)

    def _is_true(self, item: tuple[int, int]) -> bool:
        entry = self._entries.get(item[1])
        return entry is not None and entry.due == item[0]

    def due(self, now: int) -> Iterator[tuple[int, int]]:
        """`(due, number)` of those due at `now`, in that order. Takes steps only as it is asked for more.

        A walk from the top: the places that may come next are a small heap themselves. Changes nothing.
        """
        heap, size = self._heap, len(self._heap)
        nearest = [(heap[0], 0)] if heap else []
        last: tuple[int, int] | None = None
        while nearest:
            item, place = heapq.heappop(nearest)
            if item[0] > now:
                return
            for below in range(2 * place + 1, min(2 * place + 3, size)):
                heapq.heappush(nearest, (heap[below], below))
            if item != last and self._is_true(item):
                last = item
                yield item
