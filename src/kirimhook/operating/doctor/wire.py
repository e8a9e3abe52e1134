"""Requests as they are on the wire, byte by byte where that matters, and answers within bounds.

asyncio's streams carry the bytes and h11 frames them. A whole client (httpx was tried) writes a request to its end
before it reads: a refusal that comes earlier, which is how a body that is too large is refused, is a timeout to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import h11

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kirimhook.operating.doctor.place import Place

MOST_HEAD = 65_536
MOST_ANSWER = 1 << 20
"""Bytes of an answer's body that are read."""
_BLOCK = 65_536
_FAREWELL = 1.0


class NoAnswer(Exception):
    """No usable answer came. One line that says what came instead."""


class Late(NoAnswer):
    """Nothing came in time; the connection stands."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Host and Content-Length are added where it is sent."""

    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytes = b""
    method: str = "POST"
    announced: int | None = None
    """The Content-Length that is claimed; None: the true one."""
    pieces: int = 1
    pause: float = 0.0
    """Seconds between the pieces of the body, the head being one of its own."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`seconds`: from the request's first byte to the answer's last. `size` stops counting at MOST_ANSWER."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    size: int
    seconds: float
    closes: bool
    """The server said that this connection ends with it."""

    @property
    def is_success(self) -> bool:
        return 200 <= self.status <= 299

    def header(self, name: bytes) -> str | None:
        return next((value.decode("latin-1") for known, value in self.headers if known == name), None)


class Connection:
    """One connection, plain or TLS; several requests, one after the other. A context."""

    def __init__(self, place: Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._place = place
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD)

    @classmethod
    async def open(cls, place: Place, address: str, tls: ssl.SSLContext | None) -> Self:
        """Dial this address of the place. Raises OSError, of which ssl.SSLError is one."""
        name = place.host if tls else None
        reader, writer = await asyncio.open_connection(address, place.port, ssl=tls, server_hostname=name)
        return cls(place, reader, writer)

    @property
    def tls(self) -> ssl.SSLObject | None:
        found: ssl.SSLObject | None = self._writer.get_extra_info("ssl_object")
        return found

    async def ask(self, request: Request, seconds: float) -> Answer:
        """Send it and read the answer, which may come before all was sent. Raises NoAnswer."""
        writing = asyncio.create_task(self._write(request))
        try:
            async with asyncio.timeout(seconds):
                answer = await self._read()
        except TimeoutError:
            raise Late(f"no answer within {seconds:g} s") from None
        except h11.RemoteProtocolError:
            raise NoAnswer("what came is no complete HTTP answer") from None
        except OSError as error:
            raise NoAnswer(f"the connection broke before an answer ({describe(error)})") from None
        finally:
            writing.cancel()
            (failure,) = await asyncio.gather(writing, return_exceptions=True)
        if isinstance(failure, Exception) and not isinstance(failure, OSError):
            raise failure
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return answer

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_FAREWELL):
                await self._writer.wait_closed()
        self._writer.transport.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _write(self, request: Request) -> None:
        for block in self._blocks(request):
            self._writer.write(block)
            await self._writer.drain()
            await asyncio.sleep(request.pause)

    def _blocks(self, request: Request) -> list[bytes]:
        size = len(request.body) if request.announced is None else request.announced
        named = [(b"Host", self._place.authority.encode()), *request.headers]
        if request.method != "GET":
            named.append((b"Content-Length", str(size).encode()))
        head = self._http.send(h11.Request(method=request.method, target=self._place.path, headers=named)) or b""
        step = max(1, -(-len(request.body) // request.pieces)) if request.pieces > 1 else _BLOCK
        parts = [request.body[offset : offset + step] for offset in range(0, len(request.body), step)]
        sent = [self._http.send(h11.Data(data=part)) or b"" for part in parts]
        if size == len(request.body):
            self._http.send(h11.EndOfMessage())
        if request.pieces == 1 and len(sent) == 1:
            return [head + sent[0]]
        return [head, *sent]

    async def _read(self) -> Answer:
        began = asyncio.get_running_loop().time()
        response = await self._next()
        while isinstance(response, h11.InformationalResponse):
            response = await self._next()
        if not isinstance(response, h11.Response):
            raise NoAnswer("the connection was closed without an answer")
        body, size = bytearray(), 0
        while size < MOST_ANSWER and isinstance(part := await self._next(), h11.Data):
            body += part.data
            size += len(part.data)
        seconds = asyncio.get_running_loop().time() - began
        closes = self._http.their_state is h11.MUST_CLOSE
        return Answer(response.status_code, tuple(response.headers), bytes(body), size, seconds, closes)

    async def _next(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Event) or event is h11.PAUSED:
                return event
            self._http.receive_data(await self._reader.read(_BLOCK))


def describe(error: OSError) -> str:
    """An error of a connection in one short line."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"certificate: {error.verify_message.rstrip('.')}"
        case ssl.SSLError():
            return f"TLS: {(error.reason or 'failed').lower().replace('_', ' ')}"
        case TimeoutError():
            return "timed out"
        case ConnectionError() if error.strerror is None:
            return "the connection was closed"
    return (error.strerror or type(error).__name__).lower()
