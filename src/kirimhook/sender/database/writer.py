"""The one thread that writes: it takes all that is waiting, commits it as one transaction, and tells the callers.

Nobody waits for a timer: while one commit runs, the next batch gathers. Each operation has a savepoint of its own,
so one that fails undoes itself alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections import defaultdict, deque
from typing import Any, NamedTuple

from sqlalchemy import Connection

from kirimhook.sender.database.failures import is_storage, unavailable
from kirimhook.sender.database.file import DatabaseFile, raw
from kirimhook.sender.database.outage import Outage
from kirimhook.sender.database.port import Operation, StorageUnavailable

MOST = 512
"""Operations of one transaction …"""
LONGEST = 0.05
"""… which begins none after so many seconds, so that nobody waits long for what came behind."""
MOST_WAITING = 10_000
"""Operations; past it a write is refused."""


class Entry(NamedTuple):
    operation: Operation[Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


Result = tuple[Entry, Any, BaseException | None]


class Writer:
    """Start once, submit from any thread, stop once; what was submitted before the stop is still committed."""

    def __init__(self, file: DatabaseFile) -> None:
        self._file = file
        self._outage = Outage()
        self._entries: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self._waiting: deque[Entry] = deque()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="kirimhook-sender-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, entry: Entry) -> None:
        """Raises `StorageUnavailable` when too many wait already."""
        if self._entries.qsize() + len(self._waiting) >= MOST_WAITING:
            raise StorageUnavailable("overloaded", f"{MOST_WAITING} operations wait for the file")
        self._entries.put(entry)

    def stop(self, timeout: float) -> bool:
        """Blocks. False when the thread still waits for the file after `timeout` seconds."""
        self._entries.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while self._gather():
            self._commit()
        self._file.close()

    def _gather(self) -> bool:
        """Take over what is waiting, and wait where nothing is. False when all is done and it was told to stop."""
        while not self._stopping:
            try:
                entry = self._entries.get(block=not self._waiting)
            except queue.Empty:
                break
            if entry is None:
                self._stopping = True
            else:
                self._waiting.append(entry)
        return bool(self._waiting)

    def _commit(self) -> None:
        taken: list[Entry] = []
        try:
            results = self._transaction(taken)
        except Exception as error:  # whatever it is, its callers have to hear of it
            found = unavailable(error)
            self._outage.begins(found.reason, found.detail)
            if not taken:  # the file could not be had at all, and would not be for those behind either
                taken.extend(self._waiting)
                self._waiting.clear()
            results = [(entry, None, unavailable(error)) for entry in taken]
        else:
            self._outage.ends()
        _tell(results)

    def _transaction(self, taken: list[Entry]) -> list[Result]:
        """Raises sqlite3.Error, OSError, `StorageUnavailable` or SQLAlchemy's; then nobody is promised anything."""
        committing = False
        try:
            with self._file.turn() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                results = self._run_all(connection, taken)
                committing = True
                connection.commit()
        except Exception as error:
            raise unavailable(error, in_doubt=committing) from error
        return results

    def _run_all(self, connection: Connection, taken: list[Entry]) -> list[Result]:
        results: list[Result] = []
        end = time.monotonic() + LONGEST
        while self._waiting and len(taken) < MOST and (not taken or time.monotonic() < end):
            entry = self._waiting.popleft()
            if not entry.future.done():  # or its caller has gone
                taken.append(entry)
                results.append(_run(connection, entry))
        return results


def _run(connection: Connection, entry: Entry) -> Result:
    """An error of the storage ends the transaction; any other is the operation's own, and undoes it alone."""
    statements = raw(connection)
    statements.execute("SAVEPOINT operation")
    try:
        value = entry.operation(connection)
    except BaseException as error:
        if is_storage(error) or not statements.in_transaction:
            raise unavailable(error) from error
        statements.execute("ROLLBACK TO operation")
        statements.execute("RELEASE operation")
        return entry, None, _carried(error)
    statements.execute("RELEASE operation")
    return entry, value, None


def _tell(results: list[Result]) -> None:
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[Result]] = defaultdict(list)
    for result in results:
        by_loop[result[0].loop].append(result)
    for loop, some in by_loop.items():
        with contextlib.suppress(RuntimeError):  # a loop that has closed has nobody left to tell
            loop.call_soon_threadsafe(_resolve, some)


def _resolve(results: list[Result]) -> None:
    for entry, value, error in results:
        if entry.future.done():  # its caller was cancelled, or its patience ended
            continue
        if error is None:
            entry.future.set_result(value)
        else:
            entry.future.set_exception(error)


def _carried(error: BaseException) -> BaseException:
    """A future refuses a StopIteration, and would turn a CancelledError into a cancellation of its caller."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    carried = RuntimeError(f"an operation raised {type(error).__name__}")
    carried.__cause__ = error
    return carried
