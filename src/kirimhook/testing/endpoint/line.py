"""One request as it arrived, and the line to whoever sent it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import NamedTuple

_ABORT = struct.pack("ii", 1, 0)
END_OF_HEAD = b"\r\n\r\n"


class Request(NamedTuple):
    """A request, with every byte of its head. `connection` counts from 1."""

    head: bytes
    """Request line and headers up to the empty line, as they came."""
    body: bytes
    connection: int

    @property
    def method(self) -> str:
        return self._first_line[0]

    @property
    def target(self) -> str:
        return self._first_line[1]

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names and values in the order and case in which they came."""
        lines = self.head.removesuffix(END_OF_HEAD).decode("latin-1").split("\r\n")[1:]
        return [(name, value.strip(" \t")) for name, _, value in (line.partition(":") for line in lines)]

    def header(self, name: str) -> str | None:
        """The first value of a header, whatever the case of its name."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)

    @property
    def _first_line(self) -> list[str]:
        return self.head.partition(b"\r\n")[0].decode("latin-1").split(" ")


class Line:
    """What an answer plays on: send bytes, pause, break off.

    Everything raises ConnectionError once the other side is gone; an answer need not catch it.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, serial: int) -> None:
        self._reader = reader
        self._writer = writer
        self._serial = serial
        self.keep = True
        """Whether another request may follow on this connection."""

    async def request(self, *, with_body: bool = True) -> Request | None:
        """The next request, read to its end or to its body; None where the other side hung up instead."""
        try:
            head = await self._reader.readuntil(END_OF_HEAD)
            bare = Request(head, b"", self._serial)
            length = int(bare.header("Content-Length") or 0) if with_body else 0
            body = await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError):
            return None
        return bare._replace(body=body)

    async def send(self, data: bytes) -> None:
        """Send, and wait while the other side reads slowly."""
        if self._writer.transport.is_closing():
            raise ConnectionResetError("the other side is gone")
        self._writer.write(data)
        await self._writer.drain()
        await asyncio.sleep(0)  # drain need not give way: the loop has to learn that the other side is gone

    async def until_gone(self) -> None:
        """Wait until the other side hangs up."""
        self.keep = False
        with contextlib.suppress(OSError):
            while await self._reader.read(65_536):
                pass

    def reset(self) -> None:
        """Break off with a TCP reset."""
        self.keep = False
        sock = self._writer.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self._writer.transport.abort()

    def hang_up(self) -> None:
        """Send what was written, then close."""
        self.keep = False
        self._writer.close()
