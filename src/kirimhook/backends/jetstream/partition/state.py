"""The queue table of one partition: what its journal comes to. Every handle that read the same records has the same.

Due heads and lanes are indexed: neither what waits behind a head nor what is due later is looked at by a lease.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from kirimhook.backends.jetstream.partition.entry import Aside, Entry
from kirimhook.backends.jetstream.partition.heads import Heads
from kirimhook.backends.jetstream.partition.lanes import Lane
from kirimhook.backends.jetstream.partition.record import Back, Ended, Leased, Moved, Noted, Record
from kirimhook.receiver.model import FINISHED, EventState

VERSION = 1
OF_ERASING = 2
"""The version of a snapshot with erased events in it."""
REMEMBERED = 4096
"""Put-back and removed events of which it is known when that was."""


_TO_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


class State:
    """Changed by `apply` alone."""

    def __init__(self, said: Mapping[str, Any] | None = None) -> None:
        """`said` by a snapshot; without it nothing has happened yet."""
        self.sequence = 0
        """Of the last record that is in it."""
        self.noted = 0
        """Every event of the partition up to this number is noted: unless it is finished, it has an entry."""
        self.entries: dict[int, Entry] = {}
        self.lanes: dict[int, Lane] = {}
        self.tally = dict.fromkeys(sorted(FINISHED), 0)
        """Finished events by state, without those removed."""
        self.aside_due: dict[int, Aside] = {}
        self.removal_due: dict[int, EventState] = {}
        """Removed events that may still be in the stream."""
        self.erased: dict[int, int] = {}
        """Erased events, and the sequences of the messages that stand in their place."""
        self.tombstones: dict[int, int] = {}
        """The other way round."""
        self.paused = False
        self.remembers_from = 0
        """Since when (a sequence) `was_changed` knows."""
        self._changed: dict[int, int] = {}
        if said is not None:
            self._restore(said)
        self._heads = Heads(self.entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and self._facts() == other._facts()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def _facts(self) -> tuple[object, ...]:
        lanes = {key: (lane.head, tuple(lane)) for key, lane in self.lanes.items()}
        table = (self.entries, lanes, self.tally, self.aside_due, self.removal_due, self.erased)
        return self.sequence, self.noted, self.paused, *table, sorted(self.due_heads(sys.maxsize))

    def apply(self, record: Record, sequence: int) -> None:
        """`record` was appended at `sequence`, the first one after `self.sequence`."""
        self.sequence = sequence
        self.noted = record.upto
        self._note(record.noted)
        self._put_back(record.back)
        self._end(record.done, record.ended)
        for lease in record.leased:
            self._lease(lease)
        self._move(record.moved)
        for number, reason in record.reasons:
            self.entries[number] = self.entries[number]._replace(reason=sys.intern(reason))  # many have the same
        for number, message in record.erased:
            self.erased[number], self.tombstones[message] = message, number
        self._remove(record.removed)
        self._confirm(record.confirmed, record.gone)
        if record.paused is not None:
            self.paused = record.paused
        self._heads.tidy()

    def _note(self, noted: tuple[Noted, ...]) -> None:
        entries = self.entries
        for number, lane, due in noted:
            entries[number] = Entry(number, lane, due, None, 0, 0, None)
            if lane is not None:
                self._add_to_lane(lane, number, due)
            if due is not None:
                self._heads.add(due, number)

    def _add_to_lane(self, key: int, number: int, due: int | None) -> None:
        lane = self.lanes.get(key)
        if lane is None:
            self.lanes[key] = Lane(number)
            return
        lane.add(number)
        if due is not None:
            lane.head = number

    def _put_back(self, back: tuple[Back, ...]) -> None:
        for number, _, _, state in back:
            self.tally[state] -= 1
            self._remember(number)
            if state is not EventState.DONE:
                self.aside_due[number] = Aside(self.sequence, None)
        self._note(tuple(Noted(number, lane, due) for number, lane, due, _ in back))

    def _end(self, done: tuple[int, ...], ended: tuple[Ended, ...]) -> None:
        for number in done:
            self._drop(number)
        self.tally[EventState.DONE] += len(done)
        for end in ended:
            self._drop(end.number)
            self.tally[end.state] += 1
            self.aside_due[end.number] = Aside(self.sequence, end)

    def _drop(self, number: int) -> None:
        """Nothing, if it was finished when it was noted."""
        entry = self.entries.pop(number, None)
        if entry is not None and entry.lane is not None and self.lanes[entry.lane].remove(number):
            del self.lanes[entry.lane]

    def _lease(self, lease: Leased) -> None:
        token, until, heads = lease
        entries, add = self.entries, self._heads.add
        for number, attempts, crashes in heads:
            _, lane, _, _, _, _, reason = entries[number]
            entries[number] = Entry(number, lane, until, token, attempts, crashes, reason)
            add(until, number)
            if lane is not None:  # it may have become the head by this very record
                self.lanes[lane].head = number

    def _move(self, moved: tuple[Moved, ...]) -> None:
        for number, due, token, attempts, crashes in moved:
            _, lane, _, _, _, _, reason = self.entries[number]
            self.entries[number] = Entry(number, lane, due, token, attempts, crashes, reason)
            if due is not None:
                self._heads.add(due, number)
                if lane is not None:
                    self.lanes[lane].head = number

    def _remove(self, removed: tuple[tuple[int, EventState], ...]) -> None:
        for number, state in removed:
            self.tally[state] -= 1
            self.removal_due[number] = state
            self.aside_due.pop(number, None)
            self._remember(number)
            place = self.tombstones.pop(number, None)
            if place is not None:
                del self.erased[place]
                self.removal_due[place] = state  # what still says aside that it was erased

    def _confirm(self, confirmed: tuple[tuple[int, int], ...], gone: tuple[int, ...]) -> None:
        for number, as_of in confirmed:
            due = self.aside_due.get(number)
            if due is not None and due.as_of == as_of:
                del self.aside_due[number]
        for number in gone:
            self.removal_due.pop(number, None)

    def _remember(self, number: int) -> None:
        self._changed.pop(number, None)  # the oldest stand in front
        self._changed[number] = self.sequence
        if len(self._changed) > REMEMBERED:
            oldest = next(iter(self._changed))
            self.remembers_from = self._changed.pop(oldest)

    def was_changed(self, number: int, since: int) -> bool:
        """Whether a finished event was put back or removed by a record after `since`, or that is not known any more."""
        return since < self.remembers_from or self._changed.get(number, 0) > since

    def explains(self, numbers: Collection[int]) -> bool:
        """It says why one of these events failed, or was parked."""
        entries = (self.entries[number] for number in numbers if number in self.entries)
        ended = (self.aside_due[number].ended for number in numbers if number in self.aside_due)
        return any(entry.reason is not None for entry in entries) or any(one and one.reason for one in ended)

    def due_heads(self, now: int) -> Iterator[tuple[int, int]]:
        """`(due, number)` of the heads due at `now`, in that order."""
        return self._heads.due(now)

    def is_busy(self, lane: int) -> bool:
        """Something of it is unfinished."""
        return lane in self.lanes

    def lowest(self) -> int | None:
        """The lowest number that is unfinished. Looks at all entries."""
        return min(self.entries, default=None)

    def running(self, now: int) -> int:
        """Heads whose lease has not run out. Looks at all entries."""
        return sum(entry.is_running(now) for entry in self.entries.values())

    def to_snapshot(self) -> bytes:
        """All of it but what `was_changed` remembers. Compressed; 100 000 entries are some megabytes."""
        said = {
            "v": OF_ERASING if self.erased else VERSION,
            "sequence": self.sequence,
            "noted": self.noted,
            "paused": self.paused,
            "tally": self.tally,
            "entries": list(zip(*self.entries.values(), strict=True)),
            "aside_due": [(number, *due) for number, due in self.aside_due.items()],
            "removal_due": list(self.removal_due.items()),
        }
        if self.erased:
            said["erased"] = list(self.erased.items())
        return zlib.compress(_TO_JSON(said).encode(), 1)

    @classmethod
    def from_snapshot(cls, data: bytes) -> State:
        """Raises ValueError for what `to_snapshot` did not make, or a newer version made."""
        try:
            return cls(json.loads(zlib.decompress(data)))
        except (ValueError, TypeError, KeyError, AttributeError, zlib.error) as error:
            raise ValueError(f"not a snapshot of this journal: {error}") from error

    def _restore(self, said: Mapping[str, Any]) -> None:
        if said["v"] not in (VERSION, OF_ERASING):
            raise ValueError(f"version {said['v']}, this kirimhook knows {OF_ERASING}")
        self.sequence = self.remembers_from = said["sequence"]
        self.noted, self.paused = said["noted"], said["paused"]
        self.tally.update((EventState(state), count) for state, count in said["tally"].items())
        self.entries.update((row[0], Entry(*row)) for row in zip(*said["entries"], strict=True))
        for number, as_of, ended in said["aside_due"]:
            self.aside_due[number] = Aside(as_of, None if ended is None else Ended.of(ended))
        self.removal_due.update((number, EventState(state)) for number, state in said["removal_due"])
        self.erased.update(said.get("erased", ()))
        self.tombstones.update((message, number) for number, message in self.erased.items())
        for entry in sorted(self.entries.values()):
            if entry.lane is not None:
                self._add_to_lane(entry.lane, entry.number, entry.due)
