"""The ASGI side of the receiver: one HTTP request, a lifespan, a websocket that is not wanted."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from kirimhook.contract.headers import parse
from kirimhook.receiver.answers import NOT_FOUND, TOO_LARGE, Answer
from kirimhook.receiver.bodies import Bodies

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from kirimhook.contract.headers import DeliveryHeaders
    from kirimhook.observe import Meter, Observer
    from kirimhook.receiver.bodies import Message, Receive
    from kirimhook.receiver.reception import Client, Reception
    from kirimhook.settings import ReceiverSettings

    Send = Callable[[Message], Awaitable[None]]


class HttpFront:
    """Reads a request, within limits, and writes its answer."""

    def __init__(self, reception: Reception, path: str | None, settings: ReceiverSettings) -> None:
        self._reception = reception
        self._path = path
        self._max_body = settings.max_body
        meter: Meter = reception.meter
        self._observer: Observer = reception.observer
        self._bodies = Bodies(settings, meter.gauges)
        self._ack_seconds = meter.histogram("kirimhook_ack_seconds")

    async def serve(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request; nothing is written to a client that left before its body was complete."""
        headers = parse(scope["headers"])
        reply = self._refuse_at_once(scope, headers)
        size = 0
        if reply is None:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                body = message.get("body", b"")
                size = len(body)
                reply = await self._take(headers, body)
            else:
                with self._bodies.reader() as reader:
                    reply = await self._read_and_take(reader.read(message, receive), headers)
                    size = reader.size
        if reply is None:
            self.hung_up(size)
            return
        self._reception.account(reply, headers, size, scope.get("client"))
        await send({"type": "http.response.start", "status": reply.status, "headers": list(reply.headers)})
        await send({"type": "http.response.body", "body": reply.body})

    def refuse(self, method: str, headers: DeliveryHeaders, size: int) -> Answer | None:
        """What can be refused without the body, which is to have `size` bytes."""
        return self._reception.refuse(method, headers, size)

    def take(self, headers: DeliveryHeaders, body: bytes, client: Client, write: Callable[[Answer], None]) -> bool:
        """Take a whole request that `refuse` let pass; `write` is called with its answer, now or later.

        False: something has to be waited for first, so `serve` it instead. Then `write` is not called.
        """
        began = perf_counter()

        def reply(answer: Answer) -> None:
            if answer.status == 200:
                self._ack_seconds.observe(perf_counter() - began)
            self._reception.account(answer, headers, len(body), client)
            write(answer)

        return self._reception.take_at_once(headers, body, reply)

    def hung_up(self, size: int) -> None:
        """Its client left after `size` bytes of the body, before its end."""
        self._observer.event("hung_up", bytes=size)

    def _refuse_at_once(self, scope: Message, headers: DeliveryHeaders) -> Answer | None:
        if self._path is not None and scope["path"] != self._path:
            return NOT_FOUND
        return self._reception.refuse(scope["method"], headers, headers.content_length or 0)

    async def _read_and_take(
        self, reading: Awaitable[bytes | Answer | None], headers: DeliveryHeaders
    ) -> Answer | None:
        body = await reading
        return await self._take(headers, body) if isinstance(body, bytes) else body

    async def _take(self, headers: DeliveryHeaders, body: bytes) -> Answer:
        if len(body) > self._max_body:  # one that announced no length, or another
            return TOO_LARGE
        began = perf_counter()
        reply = await self._reception.take(headers, body)
        if reply.status == 200:
            self._ack_seconds.observe(perf_counter() - began)
        return reply


async def run_lifespan(life: AbstractAsyncContextManager[object], receive: Receive, send: Send) -> None:
    """Start and stop with the server. A start that fails is told to it, with its reason."""
    await receive()
    try:
        await life.__aenter__()
    except Exception as error:
        await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await life.__aexit__(None, None, None)
    await send({"type": "lifespan.shutdown.complete"})


async def refuse_websocket(receive: Receive, send: Send) -> None:
    """Close before accepting, which servers answer with 403."""
    await receive()
    await send({"type": "websocket.close", "code": 1008})
