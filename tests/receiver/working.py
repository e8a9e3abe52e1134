"""What the tests of the worker share: events, an open SQLite inbox, a worker over it, and its log."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from kirimhook.backends import open_inbox
from kirimhook.observe import Meter, Observer
from kirimhook.receiver.hooks import Hooks
from kirimhook.receiver.inbox import Filter, Inbox
from kirimhook.receiver.model import EventState, InboundEvent, StoredEvent
from kirimhook.receiver.worker import Worker
from kirimhook.settings import ReceiverSettings

MEMORY = "sqlite:///:memory:"
SOON = 20.0
"""Seconds that a test waits for a signal before it fails."""

_serial = itertools.count()


def inbound(
    key: str | None = None,
    *,
    kind: str = "contact.updated",
    body: bytes | None = None,
    livemode: bool = True,
    problem: str | None = None,
) -> InboundEvent:
    """A new event. Its id is `evt_` and a number that grows."""
    serial = next(_serial)
    data = {"id": f"evt_{serial}", "type": kind, "data": {"serial": serial}}
    return InboundEvent(
        dedupe_key=serial.to_bytes(16, "big"),
        event_id=f"evt_{serial}",
        type=kind,
        source="kirim",
        ordering_key=key,
        livemode=livemode,
        problem=problem,
        delivery_id=f"wbd_{serial}",
        received_at=1_700_000_000_000 + serial,
        body=json.dumps(data).encode() if body is None else body,
    )


class Log(logging.Handler):
    """An observer's events, as they were logged, and a signal for each."""

    def __init__(self, level: int = logging.DEBUG) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []
        self._came = threading.Condition()
        logger = logging.Logger("kirimhook-test", level)  # noqa: LOG001  # in no tree: nothing else hears it
        logger.addHandler(self)
        self.observer = Observer(logger)

    def emit(self, record: logging.LogRecord) -> None:
        with self._came:
            self.events.append({**record.__dict__["kirimhook"], "exc_info": record.exc_info})
            self._came.notify_all()

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]

    def wait_for(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """Blocks until the event was logged so often."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.named(name)) >= count, SOON), f"{name} was not logged"
        return self.named(name)


class Working(NamedTuple):
    """An inbox, its worker, and what is seen of them."""

    inbox: Inbox
    worker: Worker
    meter: Meter
    log: Log

    async def put(self, *events: InboundEvent) -> None:
        await self.inbox.put(events)

    async def handle(self, *events: InboundEvent) -> None:
        """Store them, and return when nothing is left to do now."""
        await self.put(*events)
        await soon(self.worker.idle())

    async def stored(self) -> list[StoredEvent]:
        """In the order in which they were stored."""
        page = await self.inbox.list(Filter(), limit=100)
        return page.events[::-1]

    async def states(self) -> list[EventState]:
        return [stored.state for stored in await self.stored()]

    async def only(self) -> StoredEvent:
        stored = await self.stored()
        assert len(stored) == 1
        return stored[0]

    def handled(self) -> dict[str, int]:
        return dict(self.meter.counter("kirimhook_handled_total"))


async def soon(awaitable: Any) -> Any:
    """The result, or TimeoutError: a signal that never comes fails the test."""
    return await asyncio.wait_for(awaitable, SOON)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Look until it holds: for what gives no signal, because only the storage knows it."""
    async with asyncio.timeout(SOON):
        while not await holds():  # noqa: ASYNC110  # an inbox tells nobody of what ended
            await asyncio.sleep(0.002)


async def a_while(seconds: float = 0.1) -> None:
    """Let time pass, to see that something does not happen, or that a lease or renewal became due."""
    end = time.monotonic() + seconds

    async def is_over() -> bool:
        return time.monotonic() > end

    await until(is_over)


def url_of(folder: Path | None) -> str:
    return MEMORY if folder is None else f"sqlite:///{folder / 'inbox.db'}"


@asynccontextmanager
async def working(
    hooks: Hooks,
    *,
    clock: Callable[[], float] = time.time,
    folder: Path | None = None,
    draw: Callable[[], float] = lambda: 0.5,
    prepare: Callable[[Inbox], Awaitable[object]] | None = None,
    **settings: Any,
) -> AsyncIterator[Working]:
    """A worker that runs, over an inbox in memory or in the folder; `prepare` has the inbox before it starts."""
    inbox = open_inbox(url_of(folder), clock=clock)
    await inbox.open()
    meter, log = Meter(), Log()
    worker = Worker(
        inbox,
        hooks,
        settings=ReceiverSettings(**settings),
        meter=meter,
        observer=log.observer,
        clock=clock,
        draw=draw,
    )
    if prepare is not None:
        await prepare(inbox)
    try:
        async with worker:
            yield Working(inbox, worker, meter, log)
    finally:
        await inbox.close()


def kirimhook_threads() -> list[str]:
    """Names of the worker's threads that are alive."""
    names = ("kirimhook-worker", "kirimhook-handler")
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(names)]
