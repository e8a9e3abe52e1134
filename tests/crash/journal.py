"""What handlers outside a transaction write down, one `write` a line, and the reading of it."""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import cycle, pairwise
from pathlib import Path
from typing import NamedTuple

from kirimhook import Event

VARIABLE = "KIRIMHOOK_TEST_JOURNAL"
"""Names the file."""
BEGIN, END = "begin", "end"


class Entry(NamedTuple):
    word: str
    number: int
    event_id: str
    key: str
    process: int = 0
    at: float = 0.0
    """Seconds of the machine's monotonic clock, which its processes share."""


class Fault(NamedTuple):
    """What was done to a process, or to the storage of all, from `began` until it was over."""

    began: float
    ended: float
    process: int | None = None
    """None: all of them had something of it."""


@cache
def _file() -> int:
    return os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def note(word: str, event: Event) -> None:
    line = f"{word} {event.number} {event.id} {event.ordering_key} {os.getpid()} {time.monotonic():.6f}\n"
    os.write(_file(), line.encode())


def read(path: Path) -> list[Entry]:
    return _entries(path.read_text()) if path.exists() else []


class Tail:
    """Reads on where it stopped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self.handled: set[str] = set()

    def look(self) -> set[str]:
        """All events whose handler has come to its end so far."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._at)
                some, _, rest = file.read().rpartition(b"\n")
                self._at = file.tell() - len(rest)
            self.handled |= handled(_entries(some.decode())).keys()
        return self.handled


def _entries(text: str) -> list[Entry]:
    return [
        Entry(word, int(number), event_id, key, int(process), float(at))
        for word, number, event_id, key, process, at in map(str.split, text.splitlines())
    ]


def handled(entries: Iterable[Entry]) -> Counter[str]:
    """How often the handler of each event came to its end."""
    return Counter(entry.event_id for entry in entries if entry.word == END)


def out_of_turn(entries: Iterable[Entry]) -> list[Entry]:
    """Entries of a key that are not begin, end, begin, end … of growing numbers: overlaps, repetitions, overtakings."""
    wrong = []
    for some in _by_key(entries).values():
        expected = cycle((BEGIN, END))
        wrong += [entry for entry, word in zip(some, expected, strict=False) if entry.word != word]
        wrong += [later for earlier, later in pairwise(some) if later.number < earlier.number]
    return wrong


def overtaken(entries: Iterable[Entry]) -> list[Entry]:
    """Begun before an earlier event of their key had ended once. Being handled again, as after a crash, is no fault."""
    wrong = []
    for some in _by_key(entries).values():
        ended = set[int]()
        open_ones = sorted({entry.number for entry in some}, reverse=True)
        for entry in some:
            if entry.word == BEGIN and open_ones and entry.number > open_ones[-1]:
                wrong.append(entry)
            elif entry.word == END:
                ended.add(entry.number)
                while open_ones and open_ones[-1] in ended:
                    open_ones.pop()
    return wrong


def overlapping(entries: Iterable[Entry], faults: Sequence[Fault]) -> list[Entry]:
    """Begun while another handler of its key was running, in a process that nothing had ended."""
    ends = {fault.process: fault.ended for fault in faults if fault.process is not None}
    wrong = []
    for some in _by_key(entries).values():
        running: Entry | None = None
        for entry in some:
            if entry.word == BEGIN:
                if running is not None and ends.get(running.process, entry.at) >= entry.at:
                    wrong.append(entry)
                running = entry
            elif running is not None and entry.process == running.process:
                running = None
    return wrong


def unexplained(entries: Iterable[Entry], faults: Sequence[Fault]) -> list[Entry]:
    """Begun again after it had ended, without a fault in between that can have kept its end from being settled."""
    ended: dict[str, Entry] = {}
    wrong = []
    for entry in entries:
        before = ended.get(entry.event_id)
        if entry.word == END:
            ended[entry.event_id] = entry
        elif before is not None and not any(
            fault.began <= entry.at and fault.ended >= before.at and fault.process in {None, before.process}
            for fault in faults
        ):
            wrong.append(entry)
    return wrong


def _by_key(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    by_key: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_key[entry.key].append(entry)
    return by_key
