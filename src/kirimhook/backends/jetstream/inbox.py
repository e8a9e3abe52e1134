"""`JetStreamInbox`: the verbs of the port, each run on the home loop of the connection."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from kirimhook.backends import bookmarks, put_back_filter
from kirimhook.backends.jetstream import put_back
from kirimhook.backends.jetstream.link import Link
from kirimhook.backends.jetstream.session import Floor, Session
from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.receiver.inbox import (
    Capabilities,
    Filter,
    InboxUnavailable,
    NoTransactions,
    Page,
    Purged,
    Stats,
    Transaction,
)
from kirimhook.receiver.model import EventState, InboundEvent, Lease, Receipt, Settlement, StoredEvent

T = TypeVar("T")


class JetStreamInbox:
    """Streams on one server, or on three. Safe to use from several event loops, threads and processes at once."""

    def __init__(
        self,
        settings: JetStreamSettings,
        clock: Callable[[], float],
        link: Callable[[JetStreamSettings], Link] = Link,
    ) -> None:
        self._settings = settings
        self._link = link
        self._clock = clock
        self._session: Session | None = None
        self._guard = threading.Lock()
        self._durable = False
        self.promise = ""
        """What an acknowledgement of these servers is worth, in words. Known once it is open."""

    @property
    def capabilities(self) -> Capabilities:
        """`durable` is known once it is open."""
        return Capabilities(
            transactions=False,
            durable=self._durable,
            payload_retention=False,
            completion_details=False,
            oldest_first=False,
        )

    async def open(self) -> None:
        """The streams must have been made: `kirimhook migrate`. After `InboxUnavailable` it is open all the same,
        and serves as soon as the servers do. Opening twice is one opening."""
        with self._guard:
            session = self._session
            if session is None:
                session = self._session = Session(self._settings, self._clock, self._link)
                session.home.start()
        floor = await session.home.run(session.begin())
        self.promise, self._durable = floor.promise

    async def close(self) -> None:
        with self._guard:
            session, self._session = self._session, None
        if session is not None:
            session.arrivals.close()
            await session.home.run(session.end())
            await asyncio.to_thread(session.home.stop)

    async def put(self, events: Sequence[InboundEvent]) -> list[Receipt]:
        return await self._opened().arrivals.put(events)

    async def lease(self, limit: int, seconds: float) -> list[Lease]:
        return await self._run(lambda floor: floor.desks.lease(limit, self._in(seconds)))

    async def renew(self, heads: Sequence[tuple[int, int]], seconds: float) -> list[bool]:
        """Renewing nothing writes, to see whether that is possible."""

        async def work(floor: Floor) -> list[bool]:
            if heads:
                return await floor.desks.renew(heads, self._in(seconds))
            await floor.desks.probe()
            return []

        return await self._run(work)

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        return await self._run(lambda floor: floor.desks.settle(settlements))

    async def transact(self, done: Settlement, work: Callable[[Transaction], object]) -> bool:  # noqa: ARG002  # the port's
        raise NoTransactions("an inbox on JetStream has no transactions")

    async def wait(self, timeout: float) -> None:
        session = self._opened()
        await asyncio.wrap_future(session.home.begin(session.wait(timeout)))  # ends with its caller

    async def read(self, after: int, limit: int) -> list[StoredEvent]:
        return await self._run(lambda floor: floor.looking.read(after, limit))

    async def get(self, number: int) -> StoredEvent | None:
        return await self._run(lambda floor: floor.looking.get(number))

    async def known(self, keys: Sequence[bytes]) -> list[EventState | None]:
        return await self._run(lambda floor: floor.looking.known(keys))

    async def list(self, where: Filter, limit: int = 25, cursor: str | None = None, *, bodies: bool = True) -> Page:
        return await self._run(lambda floor: floor.looking.page(where, limit, cursor, bodies=bodies))

    async def count(self, where: Filter) -> int:
        return await self._run(lambda floor: floor.looking.count(where))

    async def put_back(self, where: Filter) -> int:
        put_back_filter.check(where)
        return await self._run(lambda floor: put_back.put_back(floor.looking, where))

    async def pause(self) -> None:
        await self._run(lambda floor: floor.desks.pause(True))

    async def resume(self) -> None:
        await self._run(lambda floor: floor.desks.pause(False))

    async def purge(self, limit: int) -> Purged:
        return await self._run(lambda floor: floor.purger.purge(limit))

    async def erase(self, numbers: Sequence[int]) -> int:
        return await self._run(lambda floor: floor.eraser.erase(numbers))

    async def bookmark(self, name: str) -> str | None:
        bookmarks.check(name)
        return await self._run(lambda floor: floor.bookmarks.get(name))

    async def move_bookmark(self, name: str, was: str | None, to: str | None) -> bool:
        bookmarks.check(name, to)
        return await self._run(lambda floor: floor.bookmarks.move(name, was, to))

    async def stats(self) -> Stats:
        return await self._run(lambda floor: floor.looking.stats())

    async def adopt(self, events: Sequence[StoredEvent]) -> int:
        session = self._opened()

        async def work(floor: Floor) -> int:
            adopted = await session.intake.adopt(events)
            await floor.desks.note_adopted()
            return adopted

        return await self._run(work)

    def _in(self, seconds: float) -> int:
        return int(self._clock() * 1000) + int(seconds * 1000)

    def _opened(self) -> Session:
        session = self._session
        if session is None:
            raise InboxUnavailable("closed", "open the inbox first")
        return session

    async def _run(self, work: Callable[[Floor], Awaitable[T]]) -> T:
        session = self._opened()

        async def on_floor() -> T:
            return await work(await session.floor())

        return await session.home.run(on_floor())
