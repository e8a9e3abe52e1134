"""What a SQLite inbox holds, read by plain SQL from its file: the tests' own view, not the inbox's."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILES = ("", "-wal")
"""What belongs to a database; `-shm` is made anew from them."""


@dataclass(frozen=True, slots=True)
class Ledger:
    stored: Counter[str]
    """Rows by event id."""
    done: Counter[str]
    """Rows of completed events by event id."""
    elsewhere: Counter[str]
    """Events that ended otherwise, by state."""
    unfinished: int
    retaken: int
    """Completed events of more than one attempt: their first worker was killed, or lost them."""
    effects: Counter[str]
    """Effects of transactional handlers by event id."""
    order: dict[str, list[int]]
    """The numbers of the events in the order of their effects, by ordering key."""
    integrity: str

    @property
    def is_in_order(self) -> bool:
        return all(numbers == sorted(numbers) for numbers in self.order.values())


def read(database: Path) -> Ledger:
    """Of a file that no process has open."""
    with closing(sqlite3.connect(database)) as connection:
        return _ledger(connection)


def read_beside(database: Path, folder: Path) -> Ledger:
    """Of a copy, so that the file is left exactly as a kill left it."""
    folder.mkdir()
    for suffix in FILES:
        source = database.with_name(database.name + suffix)
        if source.exists():
            shutil.copy(source, folder)
    ledger = read(folder / database.name)
    shutil.rmtree(folder)
    return ledger


def rows(database: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Of a file that is in use."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute(sql, values).fetchall()


def unfinished(database: Path) -> int:
    return int(rows(database, "SELECT count(*) FROM queue")[0][0])


def states_of(database: Path, event_id: str) -> list[str]:
    """Of the finished events of this id: none, one, or a broken promise."""
    sql = "SELECT state FROM finished JOIN events USING (number) WHERE event_id = ?"
    return [state for (state,) in rows(database, sql, event_id)]


def _ledger(connection: sqlite3.Connection) -> Ledger:
    finished = "FROM finished JOIN events USING (number)"
    effects = _effects(connection)
    order: defaultdict[str, list[int]] = defaultdict(list)
    for number, _, key in effects:
        order[key].append(number)
    return Ledger(
        stored=_counts(connection, "SELECT event_id, count(*) FROM events GROUP BY 1"),
        done=_counts(connection, f"SELECT event_id, count(*) {finished} WHERE state = 'done' GROUP BY 1"),
        elsewhere=_counts(connection, "SELECT state, count(*) FROM finished WHERE state <> 'done' GROUP BY 1"),
        unfinished=_number(connection, "SELECT count(*) FROM queue"),
        retaken=_number(connection, "SELECT count(*) FROM finished WHERE state = 'done' AND attempts > 1"),
        effects=Counter(event_id for _, event_id, _ in effects),
        order=dict(order),
        integrity="; ".join(text for (text,) in connection.execute("PRAGMA integrity_check")),
    )


def _effects(connection: sqlite3.Connection) -> list[tuple[int, str, str]]:
    if not _number(connection, "SELECT count(*) FROM sqlite_master WHERE name = 'effects'"):
        return []
    return connection.execute("SELECT number, event_id, key FROM effects ORDER BY seq").fetchall()


def _counts(connection: sqlite3.Connection, sql: str) -> Counter[str]:
    return Counter(dict(connection.execute(sql).fetchall()))


def _number(connection: sqlite3.Connection, sql: str) -> int:
    return int(connection.execute(sql).fetchone()[0])
