"""What the consumers under examination stand on: TLS of any quality, HTTP by hand, one loop in a thread.

Nothing of it is shared with the doctor: it reads and writes HTTP in its own way.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from itertools import count

SOON = 20.0
_HANDSHAKE = b"\x16"
_ABORT = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Asked:
    """One request, its body not yet read."""

    method: str
    headers: list[tuple[str, str]]
    reader: asyncio.StreamReader
    is_tls: bool
    open_connections: int

    def header(self, name: str, *, exactly: bool = False) -> str | None:
        """Repeated ones joined, as node does."""
        values = [v for n, v in self.headers if n == name or (not exactly and n.lower() == name.lower())]
        return ", ".join(values) if values else None

    @property
    def length(self) -> int:
        return int(self.header("Content-Length") or 0)


@dataclass(slots=True)
class Reply:
    """`says_close`, `closes`: it announces the end of the connection; it ends it. `resets`: no answer.

    `discards`: what the client still sends is read first, so that it can read its refusal.
    """

    status: int
    text: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    says_close: bool = False
    closes: bool = False
    resets: bool = False
    discards: bool = False
    raw: bytes = b""
    date_ahead: float = 0.0
    date: str = ""
    """In place of the present one."""

    def on_the_wire(self, now: float) -> bytes:
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            f"Date: {self.date or formatdate(now + self.date_ahead, usegmt=True)}",
            f"Content-Length: {len(self.text)}",
            *(f"{name}: {value}" for name, value in self.headers),
            *(["Connection: close"] if self.says_close else []),
        ]
        return "\r\n".join((*lines, "", "")).encode() + self.text


@dataclass(frozen=True, slots=True)
class Door:
    """How connections are taken in. `tls` None: plain HTTP alone."""

    tls: ssl.SSLContext | None
    takes_plain_too: bool = False
    is_silent: bool = False
    """TLS handshakes are never answered."""
    breaks_from: int = 1_000_000
    """The first connection that is closed as soon as something comes; they count from 1."""


Answers = Callable[[Asked], Awaitable[Reply]]


@contextlib.contextmanager
def standing(door: Door, answers: Answers, clock: Callable[[], float]) -> Iterator[int]:
    """The port of a server on 127.0.0.1 that has ended when the context has."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    listener.setblocking(False)
    failures: list[BaseException] = []

    def run() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(_serve(listener, door, answers, clock, stop))
        except BaseException as error:
            failures.append(error)
        finally:
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(SOON)
        listener.close()
    assert not thread.is_alive()
    assert failures == []


async def _serve(
    listener: socket.socket, door: Door, answers: Answers, clock: Callable[[], float], stop: asyncio.Event
) -> None:
    lines: set[asyncio.Task[None]] = set()

    async def accept() -> None:
        for serial in count(1):
            sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            if serial >= door.breaks_from:
                sock.close()
                continue
            lines.add(line := asyncio.create_task(_converse(sock, door, answers, clock, lines)))
            line.add_done_callback(lines.discard)

    accepting = asyncio.create_task(accept())
    await stop.wait()
    for task in (accepting, *lines):
        task.cancel()
    await asyncio.gather(accepting, *lines, return_exceptions=True)


async def _converse(
    sock: socket.socket,
    door: Door,
    answers: Answers,
    clock: Callable[[], float],
    lines: set[asyncio.Task[None]],
) -> None:
    with sock, contextlib.suppress(OSError, asyncio.IncompleteReadError):
        async with _greeted(sock, door) as (reader, writer):
            is_tls = writer.get_extra_info("ssl_object") is not None
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").removesuffix("\r\n\r\n")
                first, *rest = head.split("\r\n")
                headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in rest)]
                asked = Asked(first.split(" ")[0], headers, reader, is_tls, len(lines))
                reply = await answers(asked)
                if reply.resets:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
                    writer.transport.abort()
                    return
                writer.write(reply.raw or reply.on_the_wire(clock()))
                await writer.drain()
                if reply.discards:
                    await _discarded(reader)
                if reply.says_close or reply.closes or reply.raw:
                    return


@contextlib.asynccontextmanager
async def _greeted(sock: socket.socket, door: Door) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    loop = asyncio.get_running_loop()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    is_handshake = await _peeked(sock) == _HANDSHAKE
    if door.is_silent:
        await asyncio.Event().wait()
    if door.tls is None and is_handshake:
        raise ConnectionAbortedError("that is no HTTP")
    plain = door.tls is None or (door.takes_plain_too and not is_handshake)
    reader = asyncio.StreamReader(limit=1 << 20)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=None if plain else door.tls)
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await writer.wait_closed()
        transport.abort()


async def _peeked(sock: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(sock, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(sock)
    return sock.recv(1, socket.MSG_PEEK)


async def _discarded(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(1 << 16):
            pass
