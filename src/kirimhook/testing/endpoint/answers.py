"""What an endpoint can answer. An answer is any `async` callable that plays on a `Line`; these are ready-made."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus

from kirimhook.testing.endpoint.line import Line

Answer = Callable[[Line], Awaitable[None]]
"""Called when the request was read to its end."""

_BLOCK = b"x" * 65_536


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _head(status: int, headers: Iterable[tuple[str, str]], version: str = "1.1") -> bytes:
    lines = [f"HTTP/{version} {status} {_reason(status)}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join((*lines, "", "")).encode("latin-1")


@dataclass(frozen=True, slots=True)
class Respond:
    """A proper answer. `retry_after`: seconds, or an HTTP date. `version` "1.0" closes, unless told otherwise."""

    status: int = 200
    body: bytes = b"ok"
    retry_after: str | int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    chunked: bool = False
    close: bool = False
    version: str = "1.1"

    async def __call__(self, line: Line) -> None:
        bodiless = self.status in {204, 304}
        body = b"" if bodiless else self.body
        await line.send(_head(self.status, self._headers(bodiless=bodiless), self.version) + self._framed(body))
        if self.close or self.version == "1.0":
            line.hang_up()

    def _headers(self, *, bodiless: bool) -> list[tuple[str, str]]:
        headers = list(self.headers)
        if self.retry_after is not None:
            headers.append(("Retry-After", str(self.retry_after)))
        if self.close:
            headers.append(("Connection", "close"))
        if self.chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        elif not bodiless:
            headers.append(("Content-Length", str(len(self.body))))
        return headers

    def _framed(self, body: bytes) -> bytes:
        if not self.chunked:
            return body
        return (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Redirect:
    """Points elsewhere."""

    location: str
    status: int = 302

    async def __call__(self, line: Line) -> None:
        await Respond(self.status, b"", headers=(("Location", self.location),))(line)


@dataclass(frozen=True, slots=True)
class Informed:
    """Interim answers (1xx) first, then the real one."""

    then: Answer = Respond()
    times: int = 1
    status: int = 103

    async def __call__(self, line: Line) -> None:
        for _ in range(self.times):
            await line.send(_head(self.status, (("Link", "</style.css>; rel=preload"),)))
        await self.then(line)


@dataclass(frozen=True, slots=True)
class Hold:
    """Waits for `until` before it answers: the test says when, not the clock."""

    until: asyncio.Event
    then: Answer = Respond()

    async def __call__(self, line: Line) -> None:
        await self.until.wait()
        await self.then(line)


@dataclass(frozen=True, slots=True)
class Hang:
    """Sends `first` (nothing, by default), then nothing more until the other side hangs up."""

    first: bytes = b""

    async def __call__(self, line: Line) -> None:
        await line.send(self.first)
        await line.until_gone()


@dataclass(frozen=True, slots=True)
class Drip:
    """Sends an answer byte by byte, `every` so many seconds, after `first` at once: slow, yet never idle."""

    first: bytes = b""
    rest: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    every: float = 0.02

    async def __call__(self, line: Line) -> None:
        await line.send(self.first)
        for byte in self.rest:
            await line.send(bytes((byte,)))
            await asyncio.sleep(self.every)


@dataclass(frozen=True, slots=True)
class Raw:
    """These very bytes, then the connection is closed: garbage, an old dialect, half an answer."""

    data: bytes
    close: bool = True

    async def __call__(self, line: Line) -> None:
        await line.send(self.data)
        if self.close:
            line.hang_up()


@dataclass(frozen=True, slots=True)
class Truncated:
    """Announces more than it sends, then closes."""

    announced: int = 100
    sent: bytes = b"half"
    status: int = 200

    async def __call__(self, line: Line) -> None:
        await line.send(_head(self.status, (("Content-Length", str(self.announced)),)) + self.sent)
        line.hang_up()


@dataclass(frozen=True, slots=True)
class Reset:
    """A TCP reset, after sending `first`."""

    first: bytes = b""

    async def __call__(self, line: Line) -> None:
        if self.first:
            await line.send(self.first)
        line.reset()


@dataclass(frozen=True, slots=True)
class Hurl:
    """A head that is too large: `count` headers of `size` bytes each, or a first line of `reason` bytes."""

    count: int = 1
    size: int = 100_000
    reason: int = 0

    async def __call__(self, line: Line) -> None:
        first = b"HTTP/1.1 200 %b\r\n" % (b"r" * self.reason or b"OK")
        headers = b"".join(b"X-Filler-%d: %b\r\n" % (serial, b"v" * self.size) for serial in range(self.count))
        await line.send(first + headers + b"Content-Length: 2\r\n\r\nok")


@dataclass(slots=True)
class Endless:
    """A body without end, as fast as it is read. `sent` counts its bytes; `announced` is its false length, if any."""

    status: int = 200
    announced: int | None = None
    sent: int = field(default=0, init=False)

    async def __call__(self, line: Line) -> None:
        chunked = ("Transfer-Encoding", "chunked")
        await line.send(_head(self.status, (self._length if self.announced else chunked,)))
        block = _BLOCK if self.announced else b"%x\r\n%b\r\n" % (len(_BLOCK), _BLOCK)
        while True:
            await line.send(block)
            self.sent += len(_BLOCK)

    @property
    def _length(self) -> tuple[str, str]:
        return "Content-Length", str(self.announced)


@dataclass(slots=True)
class EndlessHead:
    """Headers without end (or interim answers, or one endless line). `sent` counts the bytes."""

    first: bytes = b"HTTP/1.1 200 OK\r\n"
    repeat: bytes = b"X-Filler: vvvvvvvvvvvvvvvv\r\n"
    sent: int = field(default=0, init=False)

    async def __call__(self, line: Line) -> None:
        await line.send(self.first)
        block = self.repeat * (1 + len(_BLOCK) // len(self.repeat))
        while True:
            await line.send(block)
            self.sent += len(block)


@dataclass(frozen=True, slots=True)
class Flood:
    """A proper answer with a body of `size` bytes."""

    size: int = 10_000_000
    status: int = 200

    async def __call__(self, line: Line) -> None:
        await line.send(_head(self.status, (("Content-Length", str(self.size)),)))
        for offset in range(0, self.size, len(_BLOCK)):
            await line.send(_BLOCK[: self.size - offset])


@dataclass(frozen=True, slots=True)
class GzipBomb:
    """`size` zero bytes, packed a thousandfold."""

    size: int = 50_000_000

    async def __call__(self, line: Line) -> None:
        packed = gzip.compress(bytes(self.size), compresslevel=9)
        await Respond(body=packed, headers=(("Content-Encoding", "gzip"),))(line)
