"""The receiver's front: sans-I/O `accept`, async `receive`, and an ASGI application around them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kirimhook.contract.headers import parse
from kirimhook.observe import Meter, Observer
from kirimhook.receiver.answers import Answer
from kirimhook.receiver.asgi import HttpFront, refuse_websocket, run_lifespan
from kirimhook.receiver.reception import Parts, Reception
from kirimhook.settings import ReceiverSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self

    from kirimhook.receiver.asgi import Send
    from kirimhook.receiver.bodies import Message, Receive
    from kirimhook.receiver.hooks import Hooks
    from kirimhook.receiver.inbox import Inbox
    from kirimhook.receiver.model import InboundEvent
    from kirimhook.receiver.secrets import Keyring
    from kirimhook.receiver.worker import Worker

__all__ = ["Answer", "Receiver"]


class Receiver:
    """Verifies deliveries, stores them, and answers as contract section 6 says.

    An ASGI application. On its own (`path` set) it answers that path and 404 elsewhere, and its lifespan
    starts and stops everything. Mounted in another application (`path` None) it answers wherever it is
    mounted; since a mounted application gets no lifespan, the outer one runs `async with receiver:`.
    Until it is started every request is answered 503, which the sender tries again: nothing is lost.

    With `hooks` it works too, unless `work` is false: it runs a `Worker` from start to stop.
    """

    def __init__(  # noqa: PLR0913  # what it joins, and how it is seen
        self,
        inbox: Inbox,
        keyring: Keyring,
        *,
        hooks: Hooks | None = None,
        settings: ReceiverSettings | None = None,
        clock: Callable[[], float] = time.time,
        meter: Meter | None = None,
        path: str | None = None,
        observer: Observer | None = None,
        work: bool = True,
    ) -> None:
        self._parts = Parts(
            inbox, keyring, hooks, settings or ReceiverSettings(), clock, meter or Meter(), observer or Observer()
        )
        self._hooks = hooks if work else None
        self._path = path
        self._worker: Worker | None = None
        self._reception = Reception(self._parts)
        self._front = HttpFront(self._reception, path, self._parts.settings)
        self._started = False

    @property
    def inbox(self) -> Inbox:
        return self._parts.inbox

    @property
    def keyring(self) -> Keyring:
        return self._parts.keyring

    @property
    def path(self) -> str | None:
        return self._path

    @property
    def door(self) -> HttpFront:
        """For a server that knows receivers, and hands requests over without ASGI between."""
        return self._front

    @property
    def meter(self) -> Meter:
        return self._parts.meter

    def accept(self, method: str, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> InboundEvent | Answer:
        """The event to store, or the answer to a request that is refused. No I/O. Never raises.

        Sees only the secrets that are loaded; `receive` also reads them anew when none matches.
        """
        return self._reception.accept(method, headers, body)

    async def receive(self, method: str, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Answer:
        """Accept and store; the answer. A 200 is returned only once its event is committed (G1)."""
        read = parse(headers)
        reply = self._reception.refuse(method, read, len(body)) or await self._reception.take(read, body)
        return self._reception.account(reply, read, len(body))

    def clock_offset(self) -> float | None:
        """Seconds our clock is ahead of the sender's, or None while nothing says that it is off.

        It is off when all recent authentic signatures (three different ones at least, within five
        minutes) were out of tolerance.
        """
        return self._reception.clock_offset()

    async def start(self, *, opened: bool = False) -> None:
        """Read the secrets, open the inbox, start the worker. Raises `InboxUnavailable`. Twice is once.

        `opened`: the caller has opened the inbox, and starts although it may not answer yet.
        """
        if self._started:
            return
        await self.keyring.start()
        try:
            if not opened:
                await self.inbox.open()
            self._start_worker()
        except BaseException:
            await self.keyring.stop()
            await self.inbox.close()
            raise
        self._started = self._reception.is_open = True
        self._parts.observer.event(
            "receiver_started",
            path=self._path,
            secrets=len(self.keyring.secrets),
            worker=self._worker is not None,
        )

    async def stop(self) -> None:
        """Stop the worker, let what was accepted be committed, close the inbox. Twice is once."""
        if not self._started:
            return
        self._started = self._reception.is_open = False
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.stop()
        await self._reception.drain()
        await self.keyring.stop()
        await self.inbox.close()
        self._parts.observer.event("receiver_stopped")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _start_worker(self) -> None:
        if self._hooks is None:
            return
        from kirimhook.receiver.worker import Worker

        parts = self._parts
        self._worker = Worker(
            parts.inbox,
            self._hooks,
            settings=parts.settings,
            meter=parts.meter,
            observer=parts.observer,
            clock=parts.clock,
        )
        self._worker.start()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            await self._front.serve(scope, receive, send)
        elif kind == "lifespan":
            await run_lifespan(self, receive, send)
        elif kind == "websocket":
            await refuse_websocket(receive, send)
        else:
            raise ValueError(f"an ASGI scope that this application does not know: {kind}")
