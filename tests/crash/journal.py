"""What handlers outside a transaction write down, one `write` a line, and the reading of it."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
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


@cache
def _file() -> int:
    return os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def note(word: str, event: Event) -> None:
    os.write(_file(), f"{word} {event.number} {event.id} {event.ordering_key}\n".encode())


def read(path: Path) -> list[Entry]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [Entry(word, int(number), event_id, key) for word, number, event_id, key in map(str.split, lines)]


def handled(entries: list[Entry]) -> Counter[str]:
    """How often the handler of each event came to its end."""
    return Counter(entry.event_id for entry in entries if entry.word == END)


def out_of_turn(entries: list[Entry]) -> list[Entry]:
    """Entries of a key that are not begin, end, begin, end … of growing numbers: overlaps, repetitions, overtakings."""
    by_key: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_key[entry.key].append(entry)
    wrong = []
    for some in by_key.values():
        expected = cycle((BEGIN, END))
        wrong += [entry for entry, word in zip(some, expected, strict=False) if entry.word != word]
        wrong += [later for earlier, later in pairwise(some) if later.number < earlier.number]
    return wrong
