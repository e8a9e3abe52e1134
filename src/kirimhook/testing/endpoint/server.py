"""The server: accepts, records, answers as told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import tempfile
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Self

from kirimhook.testing.endpoint.answers import Answer, Respond
from kirimhook.testing.endpoint.authority import Authority, Certificate
from kirimhook.testing.endpoint.line import Line, Request

_HEAD_LIMIT = 1 << 20


class Door(StrEnum):
    """How far a connection comes."""

    OPEN = "open"
    SILENT = "silent"
    """Accepted, but the TLS handshake is never answered."""
    SHUT = "shut"
    """Never accepted: the connection attempt hangs (Linux: its backlog is full)."""
    SLAMMED = "slammed"
    """Accepted and closed at once."""
    PLAIN = "plain"
    """Plain HTTP where TLS is expected: 400, as a web server answers a handshake on the wrong port."""


class Endpoint:
    """An HTTPS server on loopback, for one event loop; a context.

    Answers in the order given, and the last one for ever; or whatever `choose` says for a request.
    Keeps connections alive as HTTP/1.1 does.
    """

    def __init__(
        self,
        *answers: Answer,
        choose: Callable[[Request], Answer] | None = None,
        certificate: Certificate = Certificate.GOOD,
        door: Door = Door.OPEN,
        authority: Authority | None = None,
        address: tuple[str, int] = ("127.0.0.1", 0),
        reads_bodies: bool = True,
    ) -> None:
        """`address`: the loopback address to listen on, and the port (0: any that is free).

        An `authority` of one's own can serve several endpoints. One that does not read bodies answers as soon
        as it has a head, and should close after that.
        """
        self.requests: list[Request] = []
        """Every request that was read to its end, before it was answered."""
        self.connections = 0
        """Connections accepted, their TLS handshake done (where there is one)."""
        self._choose = choose or _script(answers or (Respond(),))
        self._certificate = certificate
        self._door = door
        self._authority = authority
        self._reads_bodies = reads_bodies
        self._host, self._port = address
        self._news = asyncio.Event()
        self._lines: set[asyncio.Task[None]] = set()
        self._opened = contextlib.AsyncExitStack()

    @property
    def ca(self) -> Path:
        """The PEM file of the authority to trust."""
        return self.authority.ca

    @property
    def authority(self) -> Authority:
        """Who issued the certificate; there from the start of the context."""
        if self._authority is None:
            raise RuntimeError("the endpoint is not open")
        return self._authority

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        """`https://localhost:<port>/hook`"""
        return self.url_of("localhost")

    def url_of(self, host: str, path: str = "/hook") -> str:
        """The address under another name of this machine."""
        return f"https://{host}:{self._port}{path}"

    async def received(self, count: int) -> list[Request]:
        """Wait until so many requests have arrived in all; the requests so far."""
        while len(self.requests) < count:
            self._news.clear()
            await self._news.wait()
        return self.requests

    async def connected(self, count: int) -> None:
        """Wait until so many connections were accepted in all."""
        while self.connections < count:
            self._news.clear()
            await self._news.wait()

    async def __aenter__(self) -> Self:
        if self._authority is None:
            self._authority = Authority(Path(self._opened.enter_context(tempfile.TemporaryDirectory())))
        listener = _listener(self._host, self._port, backlog=0 if self._door is Door.SHUT else 1024)
        self._port = listener.getsockname()[1]
        if self._door is Door.SHUT:
            self._shut(listener)
        else:
            await self._serve(listener)
        return self

    async def __aexit__(self, *_: object) -> None:
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)
        await self._opened.aclose()

    def _shut(self, listener: socket.socket) -> None:
        """Fill the backlog, so that whoever connects next waits for ever."""
        self._opened.enter_context(listener)
        for _ in range(2):
            filler = self._opened.enter_context(socket.socket(listener.family))
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())

    async def _serve(self, listener: socket.socket) -> None:
        tls: ssl.SSLContext | None = None
        if self._door is Door.OPEN:
            tls = self.authority.server_context(self._certificate)
        server = await asyncio.start_server(self._accepted, sock=listener, ssl=tls, limit=_HEAD_LIMIT)
        self._opened.callback(server.close)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._news.set()
        task = asyncio.get_running_loop().create_task(self._converse(reader, writer, self.connections))
        self._lines.add(task)
        task.add_done_callback(self._lines.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, serial: int) -> None:
        line = Line(reader, writer, serial)
        try:
            if self._door is Door.SILENT:
                await line.until_gone()
            elif self._door is Door.PLAIN:
                await reader.read(1)
                await Respond(400, close=True)(line)
            elif self._door is Door.OPEN:
                await self._answer(line)
        except OSError:  # the other side is gone: its business
            pass
        finally:
            await _ended(writer)

    async def _answer(self, line: Line) -> None:
        while line.keep and (request := await line.request(with_body=self._reads_bodies)) is not None:
            self.requests.append(request)
            answer = self._choose(request)
            self._news.set()
            await answer(line)


def _listener(host: str, port: int, backlog: int) -> socket.socket:
    """Says TCP outright: asyncio switches Nagle's delay off for such sockets only."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.bind((host, port))
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


async def _ended(writer: asyncio.StreamWriter) -> None:
    """Let what was written go out, then make sure that nothing stays open."""
    writer.close()
    try:
        async with asyncio.timeout(1):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        pass
    finally:
        writer.transport.abort()


def _script(answers: tuple[Answer, ...]) -> Callable[[Request], Answer]:
    waiting = list(answers)

    def following(_: Request) -> Answer:
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    return following
