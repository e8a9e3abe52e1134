"""`SQLiteInbox`: the verbs of the port, each handed to the writer thread or to a reading connection."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from kirimhook.backends import bookmarks as bookmark_rules
from kirimhook.backends import put_back_filter
from kirimhook.backends.admission import Admission
from kirimhook.backends.numbers import parts
from kirimhook.backends.sleepers import Sleepers
from kirimhook.backends.sqlite import adopting, bookmarks, erasing, intake, leasing, put_back, records, settling
from kirimhook.backends.sqlite.file import DatabaseFile
from kirimhook.backends.sqlite.reader import Reader
from kirimhook.backends.sqlite.retention import Purger
from kirimhook.backends.sqlite.settings import SQLiteSettings
from kirimhook.backends.sqlite.writer import Call, Kind, Put, Writer
from kirimhook.backends.waiters import Waiters
from kirimhook.receiver.inbox import (
    Capabilities,
    Filter,
    InboxUnavailable,
    Page,
    PayloadPurged,
    Purged,
    Stats,
    Transaction,
)
from kirimhook.receiver.model import EventState, InboundEvent, Lease, Receipt, Settlement, StoredEvent

T = TypeVar("T")

CLOSING = 10.0
"""Seconds that `close` waits for what is being committed."""
TURNS_TO_EMPTY = 5
"""Of an erase; each waits for those who read the log, as long as for a lock."""
POLL = 0.1
"""Seconds between looks for events that another process stored."""


class SQLiteInbox:
    """One file, or `:memory:`. Safe to use from several event loops, threads and processes at once."""

    def __init__(self, settings: SQLiteSettings, clock: Callable[[], float]) -> None:
        self._settings = settings = settings.anchored()
        self._clock = clock
        self._writer: Writer | None = None
        self._reader: Reader | None = None
        self._purger = Purger(settings)
        self._waiters: dict[asyncio.AbstractEventLoop, Waiters] = {}
        self._guard = threading.Lock()
        self._admission = Admission(settings)
        self._sleepers = Sleepers()

    @property
    def capabilities(self) -> Capabilities:
        durable = not self._settings.in_memory and self._settings.synchronous == "FULL"
        return Capabilities(transactions=True, durable=durable, shared=not self._settings.in_memory)

    async def open(self) -> None:
        """Makes the file where there is none. After `InboxUnavailable` it is open all the same, and serves as
        soon as the storage does. Opening twice is one opening."""
        with self._guard:
            if self._writer is None:
                self._writer = Writer(
                    DatabaseFile(self._settings), self._clock, self._admission.taken, self._sleepers.stir
                )
                self._reader = None if self._settings.in_memory else Reader(self._settings)
                self._writer.start()
        await self._write(records.next_due, bounded=True)

    async def close(self) -> None:
        with self._guard:
            writer, self._writer = self._writer, None
            reader, self._reader = self._reader, None
            self._waiters.clear()
        self._sleepers.stir()
        if reader is not None:
            await asyncio.to_thread(reader.close)
        if writer is not None:
            await asyncio.to_thread(writer.stop, CLOSING)

    async def put(self, events: Sequence[InboundEvent]) -> list[Receipt]:
        weight = intake.total_bytes(events)
        with self._guard:
            self._opened()
            self._admission.admit(len(events), weight)
            waiters = self._waiters_here()
            future = waiters.bounded_future()
            self._opened().submit(Put(events, weight, future, waiters))
        receipts: list[Receipt] = await future
        return receipts

    async def lease(self, limit: int, seconds: float) -> list[Lease]:
        def work(connection: sqlite3.Connection) -> list[Lease]:
            now = self._now()
            return leasing.lease(connection, limit, now + int(seconds * 1000), now)

        return await self._write(work)

    async def renew(self, heads: Sequence[tuple[int, int]], seconds: float) -> list[bool]:
        return await self._write(lambda connection: leasing.renew(connection, heads, self._now() + int(seconds * 1000)))

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        return await self._write(lambda connection: settling.settle(connection, settlements, self._now()))

    async def transact(self, done: Settlement, work: Callable[[Transaction], object]) -> bool:
        return await self._write(
            lambda connection: settling.transact(connection, done, work, self._now()), kind=Kind.HANDLER
        )

    async def wait(self, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        with self._sleepers.one() as stirred:
            while (left := end - loop.time()) > 0:
                stirred.clear()  # before the look, or a commit could fall in between
                due = await self._read(records.next_due)
                if due is not None and due <= self._now():
                    return
                until_due = left if due is None else (due - self._now()) / 1000
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left, POLL, until_due)):
                        await stirred.wait()

    async def read(self, after: int, limit: int) -> list[StoredEvent]:
        return await self._read(lambda connection: records.following(connection, after, limit, self._now()))

    async def get(self, number: int) -> StoredEvent | None:
        return await self._read(lambda connection: records.get(connection, number, self._now()))

    async def known(self, keys: Sequence[bytes]) -> list[EventState | None]:
        return await self._read(lambda connection: records.known(connection, keys, self._now()))

    async def list(self, where: Filter, limit: int = 25, cursor: str | None = None, *, bodies: bool = True) -> Page:
        return await self._read(
            lambda connection: records.page(connection, where, limit, cursor, self._now(), bodies=bodies)
        )

    async def count(self, where: Filter) -> int:
        return await self._read(lambda connection: records.count(connection, where, self._now()))

    async def put_back(self, where: Filter) -> int:
        put_back_filter.check(where)
        total = purged = 0
        for part in put_back_filter.parts(where, put_back.AT_ONCE):
            beyond = 0
            while numbers := await self._read(partial(put_back.find, where=part, beyond=beyond, now=self._now())):
                step = await self._write(partial(put_back.put_back, where=part, numbers=numbers, now=self._now()))
                total, purged, beyond = total + step.put_back, purged + step.purged, numbers[-1]
        if where.numbers and purged and not total:
            raise PayloadPurged("the body is past its retention, so there is nothing left to handle")
        return total

    async def pause(self) -> None:
        await self._write(lambda connection: records.pause(connection, self._now()))

    async def resume(self) -> None:
        await self._write(records.resume)

    async def purge(self, limit: int) -> Purged:
        return await self._write(lambda connection: self._purger.purge(connection, limit, self._now()))

    async def erase(self, numbers: Sequence[int]) -> int:
        """The file is built anew, which is `erasing`'s to explain.

        `InboxUnavailable` "locked": the events are erased, but somebody still reads the log that they were in.
        """
        erased = 0
        for part in parts(numbers, erasing.AT_ONCE):
            erased += await self._write(partial(erasing.erase, numbers=part))
        if await self._write(erasing.is_under_way):
            await self._overwrite()
        return erased

    async def bookmark(self, name: str) -> str | None:
        bookmark_rules.check(name)
        return await self._read(lambda connection: bookmarks.bookmark(connection, name))

    async def move_bookmark(self, name: str, was: str | None, to: str | None) -> bool:
        bookmark_rules.check(name, to)
        return await self._write(lambda connection: bookmarks.move(connection, name, was, to))

    async def stats(self) -> Stats:
        return await self._read(lambda connection: records.stats(connection, self._now()))

    async def adopt(self, events: Sequence[StoredEvent]) -> int:
        adopted = 0
        for part in adopting.parts(events):
            adopted += await self._write(partial(adopting.adopt, events=part, now=self._now()))
        return adopted

    async def _overwrite(self) -> None:
        await self._write(partial(erasing.build_anew, settings=self._settings), kind=Kind.ALONE)
        for _ in range(TURNS_TO_EMPTY):  # others are served in between
            if await self._write(erasing.empty_log, kind=Kind.ALONE):
                return
        raise InboxUnavailable("locked", "erased, but a program that reads the file keeps its log: erase once more")

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _opened(self) -> Writer:
        if self._writer is None:
            raise InboxUnavailable("closed", "open the inbox first")
        return self._writer

    def _waiters_here(self) -> Waiters:
        loop = asyncio.get_running_loop()
        waiters = self._waiters.get(loop)
        if waiters is None:
            self._waiters = {known: kept for known, kept in self._waiters.items() if not known.is_closed()}
            waiters = self._waiters[loop] = Waiters(loop, self._settings.commit_bound)
        return waiters

    async def _write(
        self, work: Callable[[sqlite3.Connection], T], *, kind: Kind = Kind.OURS, bounded: bool = False
    ) -> T:
        with self._guard:
            waiters = self._waiters_here()
            future = waiters.bounded_future() if bounded else waiters.future()
            self._opened().submit(Call(work, future, waiters, kind))
        result: T = await future
        return result

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """On the reading connection; `:memory:` has one connection only."""
        if self._settings.in_memory:
            return await self._write(work)
        reader = self._reader
        if reader is None:
            raise InboxUnavailable("closed", "open the inbox first")
        return await asyncio.wrap_future(reader.submit(work))
