"""What reconciling remembers between two runs: what it replayed, and what people were told of. A small file of SQLite.

It holds ids of deliveries, hashes and times: nothing that says whom an event is about.
"""

from __future__ import annotations

import json
import os
import sqlite3
from typing import TYPE_CHECKING, Self, TypeVar

from kirimhook.operating.files import OWNER_ONLY
from kirimhook.operating.reconciling.states import State
from kirimhook.operating.reconciling.troubles import Told
from kirimhook.operating.reconciling.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from kirimhook.operating.reconciling.plan import Wanted

T = TypeVar("T")

HOUR_MS = 3_600_000
_AT_ONCE = 500
"""Values of one statement."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS replays (
    delivery TEXT PRIMARY KEY, subject BLOB NOT NULL, born INTEGER, run INTEGER NOT NULL, at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS replays_subject ON replays (subject, run);
CREATE INDEX IF NOT EXISTS replays_at ON replays (at);
CREATE TABLE IF NOT EXISTS told (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class Memory:
    """Of one subscription. Use as a context. Raises sqlite3.Error and OSError.

    Times are milliseconds since the epoch. A run is known by the time at which it began.
    """

    def __init__(self, path: Path) -> None:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY))
        self._connection = sqlite3.connect(path, timeout=10.0)
        self._connection.executescript(_SCHEMA)
        self._run = self._epoch = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def begin(self, run: int, epoch: int) -> None:
        """What is noted from now on is of this round. `epoch`: when the endpoint took anything last."""
        self._run, self._epoch = run, epoch

    def note(self, wanted: Iterable[Wanted], at: int, *, in_vain: bool = False) -> None:
        """These are replayed. `in_vain`: the endpoint took nothing; such rounds count as one for each epoch.

        What was noted of a letter before is replaced. Durable on return.
        """
        run = self._epoch if in_vain else self._run
        rows = [(one.letter.id, one.letter.subject, one.born, run, at) for one in wanted]
        with self._connection as connection:
            connection.executemany("INSERT OR REPLACE INTO replays VALUES (?, ?, ?, ?, ?)", rows)

    def take_back(self, deliveries: Sequence[str]) -> None:
        """These were noted, and are not replayed after all. Durable on return."""
        with self._connection as connection:
            connection.executemany("DELETE FROM replays WHERE delivery = ?", [(one,) for one in deliveries])

    def tries(self, subjects: Collection[bytes]) -> dict[bytes, int]:
        """How often each was replayed in this epoch, in vain; those that were not are left out."""
        found: dict[bytes, int] = {}
        for some in _portions(list(subjects)):
            where = f"run = ? AND subject IN ({_marks(some)}) GROUP BY subject"
            query = f"SELECT subject, COUNT(*) FROM replays WHERE {where}"
            found.update(self._connection.execute(query, [self._epoch, *some]))
        return found

    def rounds(self, subjects: Collection[bytes]) -> dict[bytes, int]:
        """In how many runs each was replayed; those that never were are left out."""
        found: dict[bytes, int] = {}
        for some in _portions(list(subjects)):
            query = (
                f"SELECT subject, COUNT(DISTINCT run) FROM replays WHERE subject IN ({_marks(some)}) GROUP BY subject"
            )
            found.update(self._connection.execute(query, some))
        return found

    def replayed(self, deliveries: Collection[str]) -> set[str]:
        """Which of these were replayed."""
        found: set[str] = set()
        for some in _portions(list(deliveries)):
            query = f"SELECT delivery FROM replays WHERE delivery IN ({_marks(some)})"
            found.update(delivery for (delivery,) in self._connection.execute(query, some))
        return found

    def born(self, delivery: str) -> int | None:
        """When the event in this delivery was first delivered; None for one that was not replayed from here."""
        row = self._connection.execute("SELECT born FROM replays WHERE delivery = ?", (delivery,)).fetchone()
        return None if row is None else row[0]

    def first(self, subject: bytes) -> int | None:
        """The earliest that is known of it."""
        row = self._connection.execute("SELECT MIN(born) FROM replays WHERE subject = ?", (subject,)).fetchone()
        found: int | None = row[0]
        return found

    def spent(self, now: int) -> int:
        """How many were replayed in the hour before."""
        query = "SELECT COUNT(*) FROM replays WHERE at > ?"
        count: int = self._connection.execute(query, (now - HOUR_MS,)).fetchone()[0]
        return count

    def room_at(self, budget: int, now: int) -> int:
        """When fewer than `budget` were replayed in the hour before; now, where that is so already."""
        query = "SELECT at FROM replays WHERE at > ? ORDER BY at DESC LIMIT 1 OFFSET ?"
        row = self._connection.execute(query, (now - HOUR_MS, budget - 1)).fetchone()
        return now if row is None else row[0] + HOUR_MS

    def told(self) -> Told:
        row = self._connection.execute("SELECT value FROM told WHERE name = 'told'").fetchone()
        if row is None:
            return Told()
        known = json.loads(row[0])
        left = {Verdict(verdict): count for verdict, count in known["left"].items()}
        return Told(frozenset(map(State, known["troubles"])), left)

    def tell(self, told: Told) -> None:
        """Durable on return."""
        value = json.dumps({"troubles": sorted(told.troubles), "left": told.left})
        with self._connection as connection:
            connection.execute("INSERT OR REPLACE INTO told VALUES ('told', ?)", (value,))

    def forget(self, before: int) -> None:
        """What was replayed before this time: its deliveries are purged at the provider too."""
        with self._connection as connection:
            connection.execute("DELETE FROM replays WHERE at < ?", (before,))


def _portions(values: Sequence[T]) -> Iterable[Sequence[T]]:
    return (values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE))


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
