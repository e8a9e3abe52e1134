"""The one thread that writes: it takes all that is waiting, commits it as one transaction, and tells the waiters.

Nobody waits for a timer: while one commit runs, the next batch gathers.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, NamedTuple

from kirimhook.backends.sqlite import intake
from kirimhook.backends.sqlite.failures import unavailable
from kirimhook.backends.sqlite.file import DatabaseFile
from kirimhook.backends.sqlite.settling import AllRolledBack, HandlerFailed
from kirimhook.backends.waiters import Resolution, Waiters
from kirimhook.observe import Observer
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.receiver.model import InboundEvent
from kirimhook.sqlite_file.reasons import is_storage


class Kind(Enum):
    """Entries of one kind share a transaction; the value is how many do at most."""

    OURS = 512
    HANDLER = 8
    """Runs a user's code, while everybody waits, so it shares none with a put."""
    ALONE = 1
    """Runs outside any transaction."""


class Put(NamedTuple):
    events: Sequence[InboundEvent]
    weight: int
    future: asyncio.Future[Any]
    waiters: Waiters
    kind: Kind = Kind.OURS


class Call(NamedTuple):
    work: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]
    waiters: Waiters
    kind: Kind


class Stop(NamedTuple):
    """The last entry."""


Entry = Put | Call | Stop
Result = tuple[Put | Call, Any, BaseException | None]


class Writer:
    """Start once, submit from any thread, stop once; what was submitted before the stop is still committed."""

    def __init__(
        self,
        file: DatabaseFile,
        clock: Callable[[], float],
        taken: Callable[[int, int], None],
        committed: Callable[[], None],
    ) -> None:
        """Calls `taken(events, bytes)` when puts leave the queue, `committed()` after a commit of changes."""
        self._file = file
        self._clock = clock
        self._observer = Observer()
        self._taken = taken
        self._committed = committed
        self._entries: queue.SimpleQueue[Entry] = queue.SimpleQueue()
        self._next: Entry | None = None
        self._failing: str | None = None
        self._thread = threading.Thread(target=self._run, name="kirimhook-inbox", daemon=True)
        self.submit = self._entries.put

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Blocks. False when the thread still waits for the file after `timeout` seconds."""
        self._entries.put(Stop())
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            batch = self._gather()
            if not batch:
                break
            self._commit(batch)
        self._file.close()

    def _gather(self) -> list[Put | Call]:
        """What is waiting, at least one entry; empty when told to stop."""
        entry = self._entries.get() if self._next is None else self._next
        self._next = None
        batch: list[Put | Call] = []
        while not isinstance(entry, Stop):
            batch.append(entry)
            if len(batch) == entry.kind.value:
                return batch
            try:
                entry = self._entries.get_nowait()
            except queue.Empty:
                return batch
            if not isinstance(entry, Stop) and entry.kind is not batch[0].kind:
                break
        if batch:
            self._next = entry
        return batch

    def _commit(self, batch: list[Put | Call]) -> None:
        results: list[Result] = []
        try:
            if _waited_for(batch):
                results = self._transaction(batch)
        except Exception as error:  # whatever it is, its waiters have to hear of it
            self._failed(unavailable(error))
            results = [(entry, None, unavailable(error)) for entry in batch]
        else:
            if results:
                self._recovered()
        puts = [entry for entry in batch if isinstance(entry, Put)]
        if puts:  # before they are told, or they could be refused what they have just freed
            self._taken(sum(len(put.events) for put in puts), sum(put.weight for put in puts))
        self._tell(results)

    def _transaction(self, batch: list[Put | Call]) -> list[Result]:
        """Raises sqlite3.Error, OSError or `InboxUnavailable`; then nothing of it is promised."""
        outcast: list[Result] = []
        with self._file.turn() as connection:
            batch = _waited_for(batch)  # to get here may have taken longer than some would wait
            before = connection.total_changes
            while True:
                try:
                    results = self._attempt(connection, batch)
                    break
                except Outcast as undone:  # without the one that undid it for all
                    outcast.append((undone.call, None, undone.error))
                    batch = [entry for entry in batch if entry is not undone.call]
            changed = connection.total_changes != before
        if changed:
            self._committed()
        return results + outcast

    def _attempt(self, connection: sqlite3.Connection, batch: list[Put | Call]) -> list[Result]:
        puts = [entry for entry in batch if isinstance(entry, Put)]
        events = [event for put in puts for event in put.events]
        if len(puts) == len(batch) and len(events) <= intake.LARGEST:
            return self._put(connection, puts, events)  # one statement, and so its own transaction
        if batch[0].kind is Kind.ALONE:
            return [(entry, entry.work(connection), None) for entry in batch if isinstance(entry, Call)]
        connection.execute("BEGIN IMMEDIATE")
        try:
            results = self._put(connection, puts, events)
            results += [_called(connection, entry) for entry in batch if isinstance(entry, Call)]
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # SQLite may have done it already
                connection.execute("ROLLBACK")
            raise
        return results

    def _put(self, connection: sqlite3.Connection, puts: list[Put], events: list[InboundEvent]) -> list[Result]:
        receipts = iter(intake.put(connection, events, int(self._clock() * 1000)))
        return [(put, [next(receipts) for _ in put.events], None) for put in puts]

    def _tell(self, results: list[Result]) -> None:
        by_loop: defaultdict[Waiters, list[Resolution]] = defaultdict(list)
        for entry, value, error in results:
            by_loop[entry.waiters].append((entry.future, value, error))
        for waiters, some in by_loop.items():
            waiters.resolve_soon(some)

    def _failed(self, trouble: InboxUnavailable) -> None:
        before, self._failing = self._failing, trouble.reason
        if before != trouble.reason:
            with contextlib.suppress(Exception):  # of a log's filter, say: this thread has waiters to tell
                self._observer.event("inbox_failed", reason=trouble.reason, detail=trouble.detail)

    def _recovered(self) -> None:
        before, self._failing = self._failing, None
        if before:
            with contextlib.suppress(Exception):
                self._observer.event("inbox_recovered", reason=before)


def _waited_for(batch: list[Put | Call]) -> list[Put | Call]:
    return [entry for entry in batch if not entry.future.done()]


class Outcast(Exception):
    """A call that undid the transaction of all."""

    def __init__(self, call: Call, error: BaseException) -> None:
        super().__init__(repr(error))
        self.call = call
        self.error = error


def _called(connection: sqlite3.Connection, call: Call) -> Result:
    """An error of the storage ends the transaction; any other is the call's own, and undoes the call."""
    connection.execute("SAVEPOINT call")
    try:
        value = call.work(connection)
    except AllRolledBack as undone:
        raise Outcast(call, undone.error) from undone
    except Exception as error:
        if is_storage(error) or not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO call")
        connection.execute("RELEASE call")
        return call, None, _own(error)
    connection.execute("RELEASE call")
    return call, value, None


def _own(error: Exception) -> BaseException:
    if isinstance(error, HandlerFailed):
        return error.error
    return unavailable(error) if isinstance(error, sqlite3.Error) else error
