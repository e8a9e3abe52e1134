"""What a state would be after some decisions, without a change to it: a state is what the journal says, no more."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice

from kirimhook.backends.jetstream.partition.entry import Entry
from kirimhook.backends.jetstream.partition.state import State

_AS_BEFORE = Entry(0, None, None, None, 0, 0, None)


class Overlay:
    """Entries as they would be; lanes and due heads follow from them."""

    def __init__(self, state: State, now: int) -> None:
        self._state = state
        self._before = state.entries.get
        self._now = now
        self._entries: dict[int, Entry | None] = {}
        self._heads: dict[int, int | None] = {}
        self._added: dict[int, list[int]] = {}
        self._dues: list[tuple[int, int]] = []
        self._below = state.due_heads(now)
        self._next_below = next(self._below, None)

    def entry(self, number: int) -> Entry | None:
        """None: it is finished, or not noted."""
        found = self._entries.get(number, _AS_BEFORE)
        return self._before(number) if found is _AS_BEFORE else found

    def set(self, entry: Entry) -> None:
        """Of an event that has an entry. With a due time it is the head of its lane."""
        number, lane, due, *_ = entry
        self._entries[number] = entry
        if due is not None:
            if due <= self._now:
                heapq.heappush(self._dues, (due, number))
            if lane is not None:
                self._heads[lane] = number

    def add(self, entry: Entry) -> None:
        """Of an event that has none."""
        if entry.lane is not None:
            self._added.setdefault(entry.lane, []).append(entry.number)
        self.set(entry)

    def end(self, entry: Entry) -> None:
        """It has none any more. The head of its lane is to be set next."""
        self._entries[entry.number] = None
        if entry.lane is not None:
            self._heads[entry.lane] = None

    def head(self, lane: int) -> Entry | None:
        """None: nothing of the lane is unfinished."""
        if lane in self._heads:
            number = self._heads[lane]
        else:
            known = self._state.lanes.get(lane)
            number = known.head if known is not None else None
        return None if number is None else self.entry(number)

    def behind(self, lane: int, most: int) -> list[Entry]:
        """The first unfinished ones that are not the head, by number."""
        known = self._state.lanes.get(lane)
        added = lane in self._added
        if not added and (known is None or len(known) == 1):  # the usual case
            return []
        found = list(islice(self._unfinished(known or (), lane), most))
        if added:
            found += self._unfinished(self._added[lane], lane)
            found = sorted(found)[:most]
        return found

    def _unfinished(self, numbers: Iterable[int], lane: int) -> Iterator[Entry]:
        head = self.head(lane)
        first = None if head is None else head.number
        for number in numbers:
            if number != first and (entry := self.entry(number)) is not None:
                yield entry

    def next_due(self) -> tuple[int, int] | None:
        """`(due, number)` of the head that is due first; None when none is."""
        while self._next_below is not None and self._next_below[1] in self._entries:
            self._next_below = next(self._below, None)
        dues = self._dues
        while dues and not self._is_true(dues[0]):
            heapq.heappop(dues)
        if not dues:
            return self._next_below
        return dues[0] if self._next_below is None else min(dues[0], self._next_below)

    def _is_true(self, item: tuple[int, int]) -> bool:
        entry = self.entry(item[1])
        return entry is not None and entry.due == item[0]

    def take(self, item: tuple[int, int]) -> Entry:
        """The head that `next_due` gave: it does not come again unless it is set again."""
        if item == self._next_below:
            self._next_below = next(self._below, None)
        while self._dues and self._dues[0] == item:
            heapq.heappop(self._dues)
        entry = self.entry(item[1])
        if entry is None:
            raise LookupError(f"event {item[1]} is finished")
        return entry
