"""A uvicorn HTTP protocol that cuts connections which take too long or send too much.

uvicorn bounds neither the time a request takes to arrive nor the size of its head, so a few hundred clients
that drip bytes hold their connections for ever. Here one timer per process looks at all connections once a
second; a request costs three looks at the clock, and uvicorn's own timer for idle connections is not used.
It overrides methods of uvicorn's class, whose minor version is therefore pinned.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from httptools import HttpParserError
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from kirimhook.serving.files import make_room

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from kirimhook.observe import Meter, Observer
    from kirimhook.serving.limits import Limits

SWEEP = 1.0
LINGER = 2.0
"""Seconds that a refused client has to take its answer."""
_REFUSALS = {
    "full": b"503 Service Unavailable\r\nretry-after: 5",
    "head": b"431 Request Header Fields Too Large",
    "malformed": b"400 Bad Request",
    "upgrade": b"501 Not Implemented",
    "url": b"414 URI Too Long",
}


class Guard:
    """The connections of one process and the timer that looks at them."""

    def __init__(self, limits: Limits, observer: Observer, meter: Meter) -> None:
        self.limits = limits
        self._room = limits.connections
        self._observer = observer
        self._gauges = meter.gauges
        self._cuts = meter.counter("kirimhook_connections_cut_total")
        self._connections: set[GuardedProtocol] = set()
        self._untold: dict[str, tuple[int, GuardedProtocol]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def make_room(self) -> None:
        """Get the file descriptors that the connections need, or make do with fewer connections."""
        self._room = make_room(self.limits.connections)
        if self._room < self.limits.connections:
            self._observer.event("few_files", wanted=self.limits.connections, connections=self._room)

    def admit(self, connection: GuardedProtocol) -> bool:
        """Whether there is room for it. It is watched until `leave` in any case."""
        self._connections.add(connection)
        self._gauges["kirimhook_connections"] = len(self._connections)
        if self._timer is None:
            self._timer = connection.loop.call_later(SWEEP, self._sweep, connection.loop)
        return len(self._connections) <= self._room

    def leave(self, connection: GuardedProtocol) -> None:
        self._connections.discard(connection)
        self._gauges["kirimhook_connections"] = len(self._connections)
        if not self._connections:
            self._tell()

    def note(self, why: str, connection: GuardedProtocol) -> None:
        """Count a connection that broke a limit. The log hears of many with one line, at the next look."""
        self._cuts[why] += 1
        self._untold[why] = (self._untold[why][0] + 1 if why in self._untold else 1, connection)

    def _tell(self) -> None:
        untold, self._untold = self._untold, {}
        for why, (times, last) in untold.items():
            self._observer.event("connection_cut", why=why, connections=times, client=last.peer(), seconds=last.age())

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in [known for known in self._connections if known.deadline <= now]:
            connection.overdue()
        self._tell()
        self._timer = loop.call_later(SWEEP, self._sweep, loop) if self._connections else None


class Flow(FlowControl):
    """Reads no further requests while earlier ones wait for their turn, or answers for being read.

    uvicorn reads on after every answer, whatever waits already: a client that only asks would fill the memory.
    """

    def __init__(self, transport: asyncio.Transport, waiting: deque[Any]) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting and not self.write_paused:
            super().resume_reading()


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol within `Limits`. Upgrades are refused: httptools drops the body of such a request."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        guard: Guard,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._guard = guard
        self._limits = guard.limits
        self._accepted = self.loop.time()  # a TLS handshake is part of the first request's time
        self._state = "request"
        self._incoming = False
        self._segment = 0
        self._ended = False  # a message, in the present segment
        self._quiet = 0  # bytes since a message began, or since its body last grew
        self._refusal = ""
        self.deadline = self._accepted + self._limits.request

    def age(self) -> float:
        """Seconds since it was accepted."""
        return round(self.loop.time() - self._accepted, 1)

    def peer(self) -> str | None:
        """Address and port of the client."""
        return "{}:{}".format(*self.client) if self.client else None

    def overdue(self) -> None:
        """Its deadline passed: cut it, whether it has read what was written or not."""
        if self._state != "idle" and not self.transport.is_closing():
            self._guard.note(self._state, self)
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # asyncio calls it with this kind only
        super().connection_made(transport)
        self.flow = Flow(transport, self.pipeline)
        if not self._guard.admit(self):
            self._refuse("full")

    def connection_lost(self, exc: Exception | None) -> None:
        self._guard.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._segment = len(data)
        self._ended = False
        self._quiet += self._segment
        try:
            self.parser.feed_data(data)
        except HttpParserError:  # whatever a callback raises comes out as one too
            self._refuse(self._refusal or "malformed")
        else:
            if self._quiet > self._limits.head:
                self._judge_quiet()

    def _judge_quiet(self) -> None:
        if self._ended:  # another message's end came along: how much of it is this one's, the next segment will tell
            self._quiet = 0
        else:
            self._refuse("head")

    def on_message_begin(self) -> None:
        if self._state != "request":  # the first one's time began when it was accepted
            self._wait_for("request", self._limits.request)
        self._incoming = True
        self._quiet = self._segment
        self.begin_request()

    def on_headers_complete(self) -> None:
        self._refusal = self._broken_limit()
        if self._refusal:
            raise HttpParserError(self._refusal)
        self.headers_complete()

    def begin_request(self) -> None:
        """What uvicorn does when a request begins."""
        super().on_message_begin()

    def headers_complete(self) -> None:
        """What uvicorn does with a head that is within the limits."""
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._quiet = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self.cycle.response_complete:  # refused before it was all there
            self._message_ended("idle", self._limits.idle)
        else:
            self._message_ended("answer", self._limits.answer)

    def _message_ended(self, state: str, seconds: float) -> None:
        self._incoming = False
        self._ended = True
        self._quiet = 0
        self._wait_for(state, seconds)

    def on_response_complete(self) -> None:
        """uvicorn's own, but for the timer it starts."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif not self._incoming:
            self._wait_for("idle", self._limits.idle)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.flow.resume_reading()

    def _wait_for(self, state: str, seconds: float) -> None:
        self._state = state
        self.deadline = self.loop.time() + seconds

    def _broken_limit(self) -> str:
        limits = self._limits
        if self.parser.should_upgrade():
            return "upgrade"
        if len(self.pipeline) >= limits.pipelined:
            return "pipelined"
        if len(self.url) > limits.url:
            return "url"
        if len(self.headers) > limits.headers:
            return "head"
        if self._quiet > limits.head:  # an upper bound: a body may have come along
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            return "head" if size > limits.head else ""
        return ""

    def _refuse(self, why: str) -> None:
        """Say no and close. Nothing is said while an earlier request of it waits: it would take it for its answer."""
        self._guard.note(why, self)
        self._wait_for("closing", LINGER)
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self.transport.write(b"HTTP/1.1 %b\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % _REFUSALS[why])
        self.transport.close()
