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
from sqlalchemy.exc import DBAPIError

from kirimhook.sender.database.file import DatabaseFile, raw
from kirimhook.sender.database.port import Operation, StorageRefused, StorageUnavailable
from kirimhook.sqlite_file.reasons import is_storage, reason

MOST = 512
"""Operations of one transaction …"""
LONGEST = 0.05
"""… which begins none after so many seconds, so that nobody waits long for what came behind."""


class Entry(NamedTuple):
    operation: Operation[Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


Result = tuple[asyncio.Future[Any], Any, BaseException | None]


class Writer:
    """Start once, submit from any thread, stop once; what was submitted before the stop is still committed."""

    def __init__(self, file: DatabaseFile) -> None:
        self._file = file
        self._entries: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self._waiting: deque[Entry] = deque()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="kirimhook-sender-writer", daemon=True)
        self.submit = self._entries.put

    def start(self) -> None:
        self._thread.start()

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
            if not taken:  # the file could not be had at all, and would not be for those behind either
                taken.extend(self._waiting)
                self._waiting.clear()
            by_loop = {entry.loop for entry in taken}
            for loop in by_loop:
                _tell(loop, [(entry.future, None, unavailable(error)) for entry in taken if entry.loop is loop])
        else:
            told: defaultdict[asyncio.AbstractEventLoop, list[Result]] = defaultdict(list)
            for entry, result in zip(taken, results, strict=True):
                told[entry.loop].append(result)
            for loop, some in told.items():
                _tell(loop, some)

    def _transaction(self, taken: list[Entry]) -> list[Result]:
        """Raises sqlite3.Error, OSError, `StorageUnavailable` or SQLAlchemy's; then nothing of it has happened."""
        results: list[Result] = []
        with self._file.turn() as connection:
            begun = time.monotonic()
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            while self._waiting and len(taken) < MOST and time.monotonic() - begun < LONGEST:
                entry = self._waiting.popleft()
                if entry.future.done():  # its caller has gone
                    continue
                taken.append(entry)
                results.append(_run(connection, entry))
            connection.commit()
        return results


def _run(connection: Connection, entry: Entry) -> Result:
    """An error of the storage ends the transaction; any other is the operation's own, and undoes it alone."""
    statements = raw(connection)
    statements.execute("SAVEPOINT operation")
    try:
        value = entry.operation(connection)
    except BaseException as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if (cause is not None and is_storage(cause)) or not statements.in_transaction:
            raise
        statements.execute("ROLLBACK TO operation")
        statements.execute("RELEASE operation")
        return entry.future, None, _carried(error)
    statements.execute("RELEASE operation")
    return entry.future, value, None


def unavailable(error: BaseException) -> StorageUnavailable:
    """The same trouble in the port's words, a new one for each caller, who will raise it."""
    if isinstance(error, StorageUnavailable):
        kind = StorageRefused if isinstance(error, StorageRefused) else StorageUnavailable
        return kind(error.reason, error.detail, retry_after=error.retry_after, in_doubt=error.in_doubt)
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    found = StorageUnavailable(reason(cause), str(cause) or repr(cause))
    found.__cause__ = error
    return found


def _tell(loop: asyncio.AbstractEventLoop, results: list[Result]) -> None:
    """A loop that has closed has nobody left to tell."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(_resolve, results)


def _resolve(results: list[Result]) -> None:
    for future, value, error in results:
        if future.done():  # its caller was cancelled, or its patience ended
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)


def _carried(error: BaseException) -> BaseException:
    """A future refuses a StopIteration, and would turn a CancelledError into a cancellation of its caller."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    carried = RuntimeError(f"an operation raised {type(error).__name__}")
    carried.__cause__ = error
    return carried
