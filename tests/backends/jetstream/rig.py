"""What these tests share: events, an opened link with its streams, an intake, and a way to lose answers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

from kirimhook.backends.arrivals import Arrivals
from kirimhook.backends.jetstream.intake import Intake
from kirimhook.backends.jetstream.link import Link
from kirimhook.backends.jetstream.migrate import migrate
from kirimhook.backends.jetstream.names import Names
from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.backends.jetstream.streams import check
from kirimhook.receiver.model import InboundEvent, Receipt
from kirimhook.testing.nats import NatsCluster

_FRESH_NAMES = itertools.count()
NOW = 1_779_530_400_000
PARKED = b"parked"
"""What stands aside for a parked event, in tests that have nobody who parks."""


def fresh_name() -> str:
    """Of an inbox that no other test has."""
    return f"t{next(_FRESH_NAMES)}"


def event(key: str, ordering_key: str | None = None, body: bytes = b"{}") -> InboundEvent:
    return InboundEvent(
        f"meta:{key}".encode(), key, "message.received", "meta", ordering_key, True, None, "wbd_1", NOW, body
    )


@contextlib.asynccontextmanager
async def linked(url: str, *, migrated: bool = True, **options: Any) -> AsyncIterator[Link]:
    if migrated:
        await migrate(url)
    link = Link(JetStreamSettings.from_url(url, **options))
    try:
        await link.connect()
        yield link
    finally:
        await link.close()


class Putter:
    """An intake, on the loop of the test."""

    def __init__(self, settings: JetStreamSettings) -> None:
        self.settings = settings
        self.names = Names(settings.name)
        self.link = Link(settings)
        self._loop = asyncio.get_running_loop()
        self.arrivals = Arrivals(settings, self._stir)
        self.intake = Intake(self.link, settings, self.arrivals, lambda: NOW / 1000, lambda said: said == PARKED)

    def _stir(self) -> None:
        self._loop.call_soon_threadsafe(self.intake.stir)

    async def put(self, *events: InboundEvent) -> list[Receipt]:
        return await self.arrivals.put(events)

    async def begin(self) -> None:
        await self.link.connect()
        self.intake.begin((await check(self.link, self.names)).partitions)

    async def stored(self) -> int:
        """Messages in the stream of events."""
        return int((await self.link.info(self.names.events))["state"]["messages"])


@contextlib.asynccontextmanager
async def putting(url: str, **options: Any) -> AsyncIterator[Putter]:
    """Its streams are made, too."""
    await migrate(url)
    putter = Putter(JetStreamSettings.from_url(url, **options))
    try:
        await putter.begin()
        yield putter
        putter.arrivals.close()
        await putter.intake.end()
    finally:
        await putter.link.close()


class Relay:
    """Stands between a link and one server, and can keep what the server says to itself."""

    def __init__(self, server: str) -> None:
        self._host, _, port = server.removeprefix("nats://").partition(":")
        self._port = int(port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.swallows = False
        """While it does, answers go nowhere."""
        self.swallowed = asyncio.Event()
        """Something has gone nowhere."""
        self.left = asyncio.Event()
        """A connection was given up by the link."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond, onward = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, onward}
        for task in (self._pump(reader, onward, answers=False), self._pump(beyond, writer, answers=True)):
            self._tasks.add(asyncio.create_task(task))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if not (answers and self.swallows):
                    sink.write(data)
                elif b"PONG" not in data:
                    self.swallowed.set()
        sink.close()
        if not answers:
            self.left.set()

    def cut(self) -> None:
        """End all connections; new ones are taken, and nothing of them is kept back."""
        self.swallows = False
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    @contextlib.asynccontextmanager
    async def running(self, url: str) -> AsyncIterator[str]:
        """The URL of the same inbox through this relay."""
        listener = await asyncio.start_server(self._serve, "127.0.0.1")
        port = listener.sockets[0].getsockname()[1]
        try:
            yield url.replace(f"{self._host}:{self._port}", f"127.0.0.1:{port}")
        finally:
            listener.close()
            self.cut()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


def first_server(cluster: NatsCluster) -> str:
    return f"nats://127.0.0.1:{cluster.nodes[0].port}"
