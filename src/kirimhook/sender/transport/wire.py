"""One connection: aiohttp's protocol and parser, with bounds on an answer's head and a note of its first byte."""

from __future__ import annotations

from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING

from aiohttp.client_exceptions import ServerDisconnectedError
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader

if TYPE_CHECKING:
    import asyncio

MAX_HEAD = 65_536
"""Bytes of status line and headers, interim answers (1xx) included."""
MAX_LINE = 8190
MAX_HEADERS = 128
READ_AHEAD = 16_384
"""How much of a body the parser takes in before reading pauses (twice that, to be exact)."""
_JOINED = 65_536
"""Head and body up to this size are one write, and one TLS record where they fit in one; beyond, pieces of a body."""
MAX_AGE = 120.0
"""Seconds: an older connection is not used again, so that a name that has moved is followed."""


class HeadTooLarge(Exception):
    """The answer's head goes on and on."""


class Wire(ResponseHandler):
    """A connection of aiohttp's pool. `address` is the vetted address it was dialled to."""

    def __init__(self, loop: asyncio.AbstractEventLoop, address: str) -> None:
        super().__init__(loop)
        self.address = address
        self.first_byte = 0.0
        """When the answer's first byte came, by `perf_counter`; 0.0 before."""
        self._made = perf_counter()
        self.is_new = True
        self._in_head = False
        self._head = 0

    @property
    def is_old(self) -> bool:
        return perf_counter() - self._made > MAX_AGE

    def expect(self) -> None:
        """Get ready for the answer to the request that is about to be written."""
        self.first_byte = 0.0
        self.is_new = False
        self._head = 0
        self._in_head = True
        self.set_response_params(
            read_until_eof=True,
            auto_decompress=False,
            read_bufsize=READ_AHEAD,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            max_headers=MAX_HEADERS,
        )

    def send(self, head: bytes, body: bytes) -> asyncio.Task[None] | None:
        """Write a request. A large one is written by a task, as fast as it is taken, while the answer is awaited."""
        if self.transport is None:
            raise ServerDisconnectedError
        if len(body) <= _JOINED:
            self.transport.write(head + body)
            return None
        self.transport.write(head)
        return self._loop.create_task(self._send_pieces(memoryview(body)))

    async def _send_pieces(self, body: memoryview) -> None:
        with suppress(OSError):  # whoever waits for the answer is told
            for offset in range(0, len(body), _JOINED):
                if self.transport is None:
                    return
                self.transport.write(body[offset : offset + _JOINED])
                await self._drain_helper()

    def data_received(self, data: bytes) -> None:
        if not self._in_head:
            super().data_received(data)
            return
        if self.first_byte == 0.0:
            self.first_byte = perf_counter()
        self._head += len(data)
        super().data_received(data)
        if self._in_head and self._head > MAX_HEAD:
            self.set_exception(HeadTooLarge())
            self.close()

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Called by the parser for each head. Interim answers end here."""
        if 100 <= data[0].code <= 199 and data[0].code != 101:
            return
        self._in_head = False
        super().feed_data(data, size)

    def close(self) -> None:
        """At once: an endpoint that will not take part in a TLS shutdown does not hold the connection open."""
        self.abort()
