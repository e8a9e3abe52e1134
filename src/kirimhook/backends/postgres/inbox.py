"""`PostgresInbox`: the verbs of the port, each run on a thread of its own, where the connections live."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from kirimhook.backends import bookmarks as bookmark_rules
from kirimhook.backends import put_back_filter
from kirimhook.backends.numbers import parts
from kirimhook.backends.postgres import adopting, bookmarks, erasing, put_back
from kirimhook.backends.postgres.link import Connection
from kirimhook.backends.postgres.records import Records
from kirimhook.backends.postgres.retention import LARGEST, Purger
from kirimhook.backends.postgres.session import Session
from kirimhook.backends.postgres.settings import PostgresSettings
from kirimhook.backends.postgres.waiting import POLL
from kirimhook.backends.sleepers import Sleepers
from kirimhook.backends.waiters import carried
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


class PostgresInbox:
    """One schema of a database. Safe to use from several event loops, threads and processes at once."""

    def __init__(self, settings: PostgresSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._records = Records(settings.schema)
        self._purger = Purger(settings)
        self._sleepers = Sleepers()
        self._guard = threading.Lock()
        self._session: Session | None = None

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(transactions=True, durable=True)

    async def open(self) -> None:
        """After `InboxUnavailable` it is open all the same, and serves as soon as the database does. Opening twice
        is one opening."""
        with self._guard:
            if self._session is None:
                self._session = Session(self._settings, self._clock, self._sleepers.stir)
            session = self._session
        await session.home.run(session.check())

    async def close(self) -> None:
        with self._guard:
            session, self._session = self._session, None
        if session is not None:
            session.arrivals.close()
            self._sleepers.stir()
            with contextlib.suppress(InboxUnavailable):
                await session.home.run(session.close())
            await asyncio.to_thread(session.home.stop)

    async def put(self, events: Sequence[InboundEvent]) -> list[Receipt]:
        return await self._opened().arrivals.put(events)

    async def lease(self, limit: int, seconds: float) -> list[Lease]:
        session = self._opened()
        return await session.home.run(session.desk.lease(limit, seconds))

    async def renew(self, heads: Sequence[tuple[int, int]], seconds: float) -> list[bool]:
        session = self._opened()
        return await session.home.run(session.desk.renew(heads, seconds))  # also of none: it shows whether one can

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        session = self._opened()
        return await session.home.run(session.desk.settle(settlements)) if settlements else []

    async def transact(self, done: Settlement, work: Callable[[Transaction], object]) -> bool:
        session = self._opened()
        ended = await session.home.run(session.transactions.transact(done, work))
        if ended.error is not None:
            raise carried(ended.error)
        if ended.held:
            self._sleepers.stir()
        return ended.held

    async def wait(self, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        with self._sleepers.one() as stirred:
            while (left := end - loop.time()) > 0:
                stirred.clear()  # before the look, or a commit could fall in between
                session = self._opened()
                due = await session.home.run(session.next_due())
                if due is not None and due <= self._now():
                    return
                until_due = left if due is None else (due - self._now()) / 1000
                if await session.home.run(session.listener.arm()):
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left, POLL, until_due)):
                        await stirred.wait()

    async def read(self, after: int, limit: int) -> list[StoredEvent]:
        ask = partial(self._records.read, after=after, limit=limit, now=self._now())
        return [*await self._read(ask)]

    async def get(self, number: int) -> StoredEvent | None:
        return await self._read(partial(self._records.get, number=number, now=self._now()))

    async def known(self, keys: Sequence[bytes]) -> list[EventState | None]:
        return [*await self._read(partial(self._records.known, keys=keys, now=self._now()))]

    async def count(self, where: Filter) -> int:
        return await self._read(partial(self._records.count, where=where, now=self._now()))

    async def put_back(self, where: Filter) -> int:
        put_back_filter.check(where)
        schema, total, purged = self._settings.schema, 0, 0
        for part in put_back_filter.parts(where, put_back.AT_ONCE):
            beyond = 0
            while found := await self._read(
                partial(put_back.find, schema=schema, where=part, beyond=beyond, now=self._now())
            ):
                step = await self._write(
                    partial(put_back.put_back, schema=schema, where=part, found=found, now=self._now())
                )
                total, purged, beyond = total + step.put_back, purged + step.purged, found[-1].number
        if where.numbers and purged and not total:
            raise PayloadPurged("the body is past its retention, so there is nothing left to handle")
        return total

    async def pause(self) -> None:
        await self._write(partial(self._records.pause, now=self._now()))

    async def resume(self) -> None:
        await self._write(self._records.resume)

    async def purge(self, limit: int) -> Purged:
        limit = min(limit, LARGEST)
        payloads = await self._write(partial(self._purger.payloads, limit=limit, now=self._now()))
        records = await self._write(partial(self._purger.records, limit=limit, now=self._now()))
        return self._purger.purged(payloads, records)

    async def erase(self, numbers: Sequence[int]) -> int:
        """What PostgreSQL itself keeps of them, `erasing` says."""
        erased = 0
        for part in parts(numbers, erasing.AT_ONCE):
            erased += await self._write(partial(erasing.erase, schema=self._settings.schema, numbers=part))
        return erased

    async def bookmark(self, name: str) -> str | None:
        bookmark_rules.check(name)
        return await self._read(partial(bookmarks.bookmark, schema=self._settings.schema, name=name))

    async def move_bookmark(self, name: str, was: str | None, to: str | None) -> bool:
        bookmark_rules.check(name, to)
        return await self._write(partial(bookmarks.move, schema=self._settings.schema, name=name, was=was, to=to))

    async def stats(self) -> Stats:
        return await self._read(partial(self._records.stats, now=self._now()))

    async def adopt(self, events: Sequence[StoredEvent]) -> int:
        adopted = 0
        for part in adopting.parts(events):
            adopt = partial(adopting.adopt, schema=self._settings.schema, events=part, now=self._now())
            adopted += await self._write(adopt)
        return adopted

    async def list(self, where: Filter, limit: int = 25, cursor: str | None = None, *, bodies: bool = True) -> Page:
        ask = partial(self._records.page, where=where, limit=limit, cursor=cursor, now=self._now(), bodies=bodies)
        return await self._read(ask)

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _opened(self) -> Session:
        session = self._session
        if session is None:
            raise InboxUnavailable("closed", "open the inbox first")
        return session

    async def _read(self, ask: Callable[[Connection], Awaitable[T]]) -> T:
        session = self._opened()
        return await session.home.run(session.read(ask))

    async def _write(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """What an operator does. Others may have work by it."""
        session = self._opened()
        done = await session.home.run(session.write(work))
        self._sleepers.stir()
        return done
