"""Settle and transact, in the transaction that is open.

Ending an event moves its lease to the next one of the run, or wakes its lane. Nothing is changed for a lease
that was lost: the row that bears the lease has to bear the token too.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kirimhook.backends.sqlite.guard import GuardedTransaction, NotInTransaction
from kirimhook.receiver.inbox import Transaction
from kirimhook.receiver.model import (
    Done,
    EventState,
    Move,
    Parked,
    Released,
    RetryAt,
    Settlement,
    Skipped,
    SnoozeUntil,
    Unhandled,
    after,
)
from kirimhook.sqlite_file.reasons import is_storage

ROWS = """
SELECT number, lane, visible_at, token, attempts, crashes, reason FROM queue
WHERE number IN (SELECT value FROM json_each(?))"""
FINISH = "INSERT INTO finished (number, state, at, attempts, reason) VALUES (?, ?, ?, ?, ?)"
REMOVE = "DELETE FROM queue WHERE number IN (SELECT value FROM json_each(?))"
CARRY = "UPDATE queue SET token = ?, visible_at = ? WHERE number = ?"
DELAY = "UPDATE queue SET token = NULL, visible_at = ?, attempts = ?, crashes = ?, reason = ? WHERE number = ?"
WAKE = """
UPDATE queue SET visible_at = ? WHERE visible_at IS NULL AND number IN (
    SELECT (SELECT min(number) FROM queue WHERE lane = wanted.value) FROM json_each(?) AS wanted)"""
COUNT = "UPDATE tally SET events = events + ? WHERE state = ?"

MOVES: dict[type, Move] = {
    Done: Move.COMPLETE,
    Parked: Move.PARK,
    Unhandled: Move.UNHANDLE,
    Skipped: Move.SKIP,
}
"""Outcomes that finish an event."""


class Row(NamedTuple):
    number: int
    lane: int | None
    visible_at: int | None
    token: int | None
    attempts: int
    crashes: int
    reason: str | None


class Plan:
    """What a batch of settlements comes to, gathered before anything is written."""

    def __init__(self, rows: dict[int, Row], now: int) -> None:
        self._rows = rows
        self._now = now
        self.finished: list[tuple[Any, ...]] = []
        self.delayed: list[tuple[Any, ...]] = []
        self.carried: dict[int, tuple[int, int | None]] = {}
        self.lanes: set[int] = set()

    def take(self, settlement: Settlement) -> bool:
        """False for a lease that was lost."""
        row = self._rows.get(settlement.number)
        if row is None or not self._holds(row, settlement.token):
            return False
        del self._rows[row.number]
        until = self.carried.pop(row.number, (row.token, row.visible_at))[1]
        if type(settlement.outcome) in MOVES:
            self._finish(settlement, row, until)
        else:
            self._delay(settlement, row)
        return True

    def _holds(self, row: Row, token: int) -> bool:
        return self.carried.get(row.number, (row.token, None))[0] == token

    def _finish(self, settlement: Settlement, row: Row, until: int | None) -> None:
        outcome = settlement.outcome
        state = after(EventState.RUNNING, MOVES[type(outcome)])
        attempted = not isinstance(outcome, Unhandled | Skipped)
        reason = storable(outcome.reason) if isinstance(outcome, Parked) else None
        self.finished.append((row.number, state, self._now, row.attempts + attempted, reason))
        if row.lane is None:
            return
        following = self._rows.get(settlement.then or 0)
        if following is not None and following.lane == row.lane:
            self.carried[following.number] = (settlement.token, until)
        else:
            self.lanes.add(row.lane)

    def _delay(self, settlement: Settlement, row: Row) -> None:
        match settlement.outcome:
            case RetryAt(at, reason):
                self.delayed.append((at, row.attempts + 1, 0, storable(reason), row.number))
            case SnoozeUntil(at):
                self.delayed.append((at, row.attempts, 0, row.reason, row.number))
            case Released():  # not begun, so what is known about it stays
                self.delayed.append((self._now, row.attempts, row.crashes, row.reason, row.number))

    def write(self, connection: sqlite3.Connection) -> None:
        numbers = [row[0] for row in self.finished]
        if numbers:
            connection.executemany(FINISH, self.finished)
            connection.execute(REMOVE, (json.dumps(numbers),))
            counts = Counter(row[1] for row in self.finished)
            connection.executemany(COUNT, [(events, state) for state, events in counts.items()])
        if self.delayed:
            connection.executemany(DELAY, self.delayed)
        if self.carried:
            carried = [(token, until, number) for number, (token, until) in self.carried.items()]
            connection.executemany(CARRY, carried)
        if self.lanes:
            connection.execute(WAKE, (self._now, json.dumps(list(self.lanes))))


def settle(connection: sqlite3.Connection, settlements: Sequence[Settlement], now: int) -> list[bool]:
    """End events in the order given; False where the lease was lost."""
    numbers = [number for one in settlements for number in (one.number, one.then) if number is not None]
    rows = map(Row._make, connection.execute(ROWS, (json.dumps(numbers),)).fetchall())
    plan = Plan({row.number: row for row in rows}, now)
    held = [plan.take(settlement) for settlement in settlements]
    plan.write(connection)
    return held


def storable(text: str) -> str:
    """A lone surrogate, which any JSON string and so any traceback can hold, has no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


class HandlerFailed(Exception):
    """The user's code raised `error`: undo its call. Whatever it raised, the inbox is well."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(repr(error))
        self.error = error


class AllRolledBack(Exception):
    """The user's code undid the whole transaction (`INSERT OR ROLLBACK`), what others had in it too."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(repr(error))
        self.error = error


def transact(connection: sqlite3.Connection, done: Settlement, work: Callable[[Transaction], object], now: int) -> bool:
    """Settle and `work`, both or neither. False when the lease was lost.

    Raises `HandlerFailed`, `AllRolledBack`, sqlite3.Error.
    """
    held = settle(connection, [done], now)[0]
    if held:
        _run(connection, work)
    return held


def _run(connection: sqlite3.Connection, work: Callable[[Transaction], object]) -> None:
    error: BaseException | None = None
    try:
        with GuardedTransaction(connection) as transaction:
            work(transaction)
    except BaseException as raised:  # it is the caller's
        error = raised
    if not connection.in_transaction:
        if error is not None and is_storage(error):
            raise error
        raise AllRolledBack(error or NotInTransaction("a statement of the handler rolled its transaction back"))
    if error is not None:
        raise HandlerFailed(error) from error
