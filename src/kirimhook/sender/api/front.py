"""What every request passes first: its id, its line in the log, its count, and the last net below it."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from kirimhook.contract import ids
from kirimhook.contract.errors import ApiError
from kirimhook.sender.api.answers import refusal
from kirimhook.sender.api.bodies import HungUp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from kirimhook.observe import Meter, Observer

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]

_SCOPE = "kirimhook.exchange"


class Watch(NamedTuple):
    """What a request is seen by, and what it takes its moment and its id from."""

    observer: Observer
    meter: Meter
    clock: Callable[[], float] = time.time
    randomness: Callable[[int], bytes] = os.urandom


class Exchange:
    """One request and its answer. `headers` are added to whatever is answered; `code` is an error's."""

    __slots__ = ("code", "headers", "organisation_id", "request_id", "status")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.headers: list[tuple[bytes, bytes]] = [(b"x-request-id", request_id.encode())]
        self.organisation_id: str | None = None
        self.status: int | None = None
        self.code: str | None = None


def exchange_of(scope: Message) -> Exchange:
    """The exchange that a request belongs to."""
    found: Exchange = scope[_SCOPE]
    return found


class Front:
    """ASGI middleware around everything else of the application."""

    def __init__(self, app: App, watch: Watch) -> None:
        self._app = app
        self._watch = watch
        self._requests = watch.meter.counter("kirimhook_sender_requests_total")
        self._seconds = watch.meter.histogram("kirimhook_sender_request_seconds")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        watch = self._watch
        exchange = Exchange(ids.make(ids.REQUEST, int(watch.clock() * 1000), watch.randomness(ids.RANDOM_BYTES)))
        scope[_SCOPE] = exchange

        async def reply(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = [*message["headers"], *exchange.headers]
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, reply)
        except HungUp:
            exchange.code = "hung_up"
        except Exception as error:
            await self._fail(error, exchange, scope, reply)
        self._account(exchange, scope, time.perf_counter() - began)

    async def _fail(self, error: Exception, exchange: Exchange, scope: Message, reply: Send) -> None:
        """A defect of ours: logged with its traceback, of which the caller sees nothing."""
        self._watch.observer.event(
            "request_failed",
            error=error,
            request_id=exchange.request_id,
            method=scope["method"],
            path=scope["path"],
            organisation_id=exchange.organisation_id,
        )
        if exchange.status is not None:  # half an answer is out: the server cuts the connection
            raise error
        exchange.code = "internal_error"
        mended = refusal(ApiError("internal_error", "something went wrong on our side"), exchange.request_id)
        await mended(scope, _never, reply)

    def _account(self, exchange: Exchange, scope: Message, seconds: float) -> None:
        self._requests[exchange.code or "ok"] += 1
        self._seconds.observe(seconds)
        observer = self._watch.observer
        if observer.is_enabled(logging.DEBUG):
            observer.event(
                "request_answered",
                request_id=exchange.request_id,
                method=scope["method"],
                path=scope["path"],
                status=exchange.status,
                code=exchange.code,
                organisation_id=exchange.organisation_id,
                seconds=round(seconds, 6),
            )


async def _never() -> Message:
    raise RuntimeError("an answer reads nothing")
