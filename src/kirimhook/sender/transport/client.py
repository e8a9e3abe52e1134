"""One HTTPS attempt: vetted addresses, bounds on everything, and what came of it. Contract section 4.

The pool, the protocol and the parser are aiohttp's. The request is written here, byte by byte as contract section 2
has it, which also spares what a general client does for each request.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from time import perf_counter
from typing import Any, Self, cast

from aiohttp.client import ClientTimeout
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.streams import StreamReader

from kirimhook.sender.transport.addresses import networks
from kirimhook.sender.transport.dialler import Dialler, milliseconds
from kirimhook.sender.transport.exchange import Exchange, Phase, Trip, first_header, kept_headers
from kirimhook.sender.transport.faults import describe
from kirimhook.sender.transport.names import SystemResolver
from kirimhook.sender.transport.urls import Resolver, Target, parse
from kirimhook.sender.transport.wire import Wire
from kirimhook.settings import SenderSettings, SettingsError

Outcome = tuple[int | None, str | None, dict[str, str], bytes]

_NOTHING: Outcome = (None, None, {}, b"")
_NO_TIMEOUT = ClientTimeout()


class Transport:
    """Posts deliveries, keeping connections alive; for one event loop, between `open` and `close`."""

    def __init__(
        self, settings: SenderSettings, *, clock: Callable[[], float] = time.time, resolver: Resolver | None = None
    ) -> None:
        """`clock` gives unix seconds. `resolver`: names to addresses, the system's by default."""
        self._clock = clock
        self._seconds = settings.attempt_timeout
        self._max_body = settings.max_response
        self._ca_bundle = settings.ca_bundle
        self._allowed = networks(settings.allow_networks)
        self._resolver = resolver
        self._own_resolver: SystemResolver | None = None
        self._dialler: Dialler | None = None

    async def open(self) -> None:
        """Raises SettingsError for a CA bundle that cannot be used."""
        if self._dialler is None:
            tls = trust(self._ca_bundle)
            if self._resolver is None:
                self._own_resolver = SystemResolver()
            self._dialler = Dialler(tls, self._resolver or cast(Resolver, self._own_resolver), self._allowed)

    async def close(self) -> None:
        """Break off whatever is under way."""
        dialler, self._dialler = self._dialler, None
        if dialler is not None:
            await dialler.close()
        if self._own_resolver is not None:
            await self._own_resolver.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Exchange:
        """One attempt, of at most `attempt_timeout` seconds from resolving the name to the last byte.

        Whatever goes wrong is in the Exchange. Raises CancelledError, having closed the connection, and
        RuntimeError where the transport is not open. What `close` breaks off is an Exchange with an error.
        """
        dialler = self._dialler
        if dialler is None:
            raise RuntimeError("the transport is not open")
        started_at = self._clock()
        began = perf_counter()
        trip = Trip(asyncio.get_running_loop().time() + self._seconds)
        outcome, error = _NOTHING, None
        try:
            trip.target, trip.connection_key, opening = _prepared(url)
            head = _head(opening, headers, len(body))
            async with asyncio.timeout_at(trip.ends):
                outcome = await self._exchange(dialler, trip, head, body)
        except Exception as failure:
            error = self._error(failure, trip)
        spent = milliseconds(perf_counter() - began)
        return Exchange(started_at, spent, trip.timing(), trip.address, *outcome, error)

    async def _exchange(self, dialler: Dialler, trip: Trip, head: bytes, body: bytes) -> Outcome:
        connection = await _connection(dialler, trip)
        wire = cast(Wire, connection.protocol)
        trip.phase = Phase.ANSWER
        trip.address = wire.address
        written = perf_counter()
        writing: asyncio.Task[None] | None = None
        try:
            wire.expect()
            writing = wire.send(head, body)
            message, payload = await wire.read()
            trip.phase, trip.status = Phase.BODY, message.code
            answer, is_whole = await _first_bytes(payload, self._max_body)
        except BaseException:
            connection.close()
            raise
        finally:
            is_sent = writing is None or writing.done() or not writing.cancel()
            if wire.first_byte:
                trip.first_byte = milliseconds(max(wire.first_byte - written, 0.0))
        if is_whole and is_sent and message.code >= 200 and not wire.is_old:
            connection.release()
        else:
            connection.close()
        raw = message.raw_headers
        return message.code, first_header(raw, b"retry-after"), kept_headers(raw), answer

    def _error(self, failure: Exception, trip: Trip) -> str:
        answered = "" if trip.status is None else f" (status {trip.status})"
        if isinstance(failure, TimeoutError) and failure.errno is None:
            return f"timeout after {self._seconds:g} s while {trip.phase}{answered}"
        return f"{describe(failure)}{answered}"


async def _connection(dialler: Dialler, trip: Trip) -> Connection:
    """An idle connection that is still clean, or a new one."""
    while True:
        connection = await dialler.connect(cast(Any, trip), [], _NO_TIMEOUT)
        wire = cast(Wire, connection.protocol)
        if wire.is_new or not wire.should_close:
            return connection
        connection.close()  # it was sent something that nobody asked for


def trust(ca_bundle: str) -> ssl.SSLContext:
    """Verifies certificates by the system's authorities and, beside them, those of a PEM file. Raises SettingsError."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if ca_bundle:
        try:
            context.load_verify_locations(cafile=ca_bundle)
        except OSError as error:
            raise SettingsError("ca_bundle", f"{ca_bundle}: {error.strerror or error}") from None
    return context


@lru_cache(4096)
def _prepared(url: str) -> tuple[Target, ConnectionKey, str]:
    """Where a URL leads, the pool's key for it, and how its requests begin. Raises `BadUrl`."""
    target = parse(url)
    key = ConnectionKey(target.host, target.port, True, True, None, None, None)
    return target, key, f"POST {target.path} HTTP/1.1\r\nHost: {target.authority}\r\n"


def _head(opening: str, headers: Mapping[str, str], length: int) -> bytes:
    """Contract section 2's headers, and the two that HTTP/1.1 needs: Host first, Content-Length last."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("a header with a line break in it")
    return f"{opening}{lines}Content-Length: {length}\r\n\r\n".encode("latin-1")


async def _first_bytes(payload: StreamReader, limit: int) -> tuple[bytes, bool]:
    """At most `limit` bytes of a body; whether the whole body has arrived, so that the connection is clean."""
    if payload.is_eof():  # it came with the head, as nearly all do
        return payload.read_nowait(limit) if limit else b"", True
    parts: list[bytes] = []
    room = limit
    while room > 0 and not payload.at_eof():
        part = await payload.read(room)
        parts.append(part)
        room -= len(part)
    return b"".join(parts), payload.is_eof()
