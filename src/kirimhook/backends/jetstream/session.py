"""An open inbox: its connection and everything that lives on its home loop."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from typing import NamedTuple

from kirimhook.backends.arrivals import Arrivals
from kirimhook.backends.home import Home
from kirimhook.backends.jetstream.aside import is_parked
from kirimhook.backends.jetstream.bookmarks import Bookmarks
from kirimhook.backends.jetstream.desks import Desks
from kirimhook.backends.jetstream.erasing import Eraser
from kirimhook.backends.jetstream.intake import Intake
from kirimhook.backends.jetstream.link import Link
from kirimhook.backends.jetstream.looking import Looking
from kirimhook.backends.jetstream.names import Names
from kirimhook.backends.jetstream.place import Place
from kirimhook.backends.jetstream.promise import Promise, promise_of
from kirimhook.backends.jetstream.retention import Purger
from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.backends.jetstream.streams import check
from kirimhook.receiver.inbox import InboxUnavailable

CLOSING = 10.0
"""Seconds that closing waits for what is on its way."""
POLL = 0.1
"""Seconds between looks for what another handle did."""
PAGES = 2
"""Pages of events that are read ahead at a time."""
AGAIN = 0.5
"""Seconds between attempts to begin, while the servers are away."""


class Floor(NamedTuple):
    """What there is once the streams are known."""

    desks: Desks
    looking: Looking
    purger: Purger
    eraser: Eraser
    bookmarks: Bookmarks
    promise: Promise


class Session:
    """From `open` to `close`. All but `home` and `arrivals` is used on the home loop only."""

    def __init__(
        self, settings: JetStreamSettings, clock: Callable[[], float], link: Callable[[JetStreamSettings], Link]
    ) -> None:
        self.settings = settings
        self._clock = clock
        self.home = Home("kirimhook-jetstream")
        self.arrivals = Arrivals(settings, lambda: self.home.post(self.intake.stir))
        self._link = link(settings)
        self.intake = Intake(self._link, settings, self.arrivals, clock, is_parked)
        self._floor: Floor | None = None
        self._laying: asyncio.Task[Floor] | None = None
        self._again: asyncio.Task[None] | None = None
        self._sleepers: set[asyncio.Event] = set()

    @property
    def promise(self) -> Promise | None:
        """None: nothing is known yet."""
        return self._floor.promise if self._floor is not None else None

    async def begin(self) -> Floor:
        """Connect, and see what the streams are like. Raises `InboxUnavailable`; then it goes on trying."""
        try:
            return await self.floor()
        except InboxUnavailable:
            if self._again is None:
                self._again = asyncio.get_running_loop().create_task(self._keep_trying())
            raise

    async def _keep_trying(self) -> None:
        while self._floor is None:
            await asyncio.sleep(AGAIN)
            with contextlib.suppress(InboxUnavailable):
                await self.floor()

    async def floor(self) -> Floor:
        """Who asks at the same time shares an attempt. Raises `InboxUnavailable`."""
        if self._floor is not None:
            return self._floor
        if self._laying is None:
            self._laying = asyncio.get_running_loop().create_task(self._lay())
        laying = self._laying
        try:
            self._floor = await asyncio.shield(laying)
        except InboxUnavailable as error:
            raise InboxUnavailable(error.reason, error.detail, error.retry_after) from error
        finally:
            if laying.done():
                self._laying = None
        return self._floor

    async def _lay(self) -> Floor:
        names = Names(self.settings.name)
        await self._link.connect()
        layout = await check(self._link, names)
        promise = await promise_of(self._link, self.settings, layout)
        place = Place(
            link=self._link,
            names=names,
            settings=self.settings,
            partitions=layout.partitions,
            replicated=layout.replicas > 1,
            now=lambda: int(self._clock() * 1000),
            pages=asyncio.Semaphore(PAGES),
            written=[],
            handle=secrets.token_hex(8),
        )
        desks = Desks(place, self._stir)
        await desks.look()
        self._link.on_hint(self._stir)
        self.intake.begin(layout.partitions)
        looking = Looking(place, desks)
        eraser = Eraser(place, desks, looking)
        return Floor(desks, looking, Purger(place, desks), eraser, Bookmarks(place), promise)

    async def wait(self, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        desks = (await self.floor()).desks
        stirred = asyncio.Event()
        self._sleepers.add(stirred)
        try:
            while True:
                stirred.clear()  # before the look, or something could fall in between
                await desks.look()
                left = end - loop.time()
                if left <= 0 or desks.is_due():
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left, POLL)):
                        await stirred.wait()
        finally:
            self._sleepers.discard(stirred)

    def _stir(self) -> None:
        """Whoever sleeps may have work now."""
        for stirred in self._sleepers:
            stirred.set()

    async def end(self) -> None:
        """Store what waits, finish what was begun, disconnect."""
        if self._again is not None:
            self._again.cancel()
        self.arrivals.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING):
                await self.intake.end()
                if self._floor is not None:
                    await self._floor.desks.rest()
        await self._link.close()
