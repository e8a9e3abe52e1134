"""One connection: aiohttp's protocol and parser, with bounds on an answer's head and a note of its first byte."""

from __future__ import annotations

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
"""Head and body up to this size are one write: one TLS record where they fit."""
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
        self._was_large = False
        self._in_head = False
        self._head = 0

    @property
    def is_reusable(self) -> bool:
        """Not too old, and the request is not still on its way although the answer has come."""
        transport = self.transport
        return (
            transport is not None
            and perf_counter() - self._made <= MAX_AGE
            and not (self._was_large and transport.get_write_buffer_size())
        )

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

    def send(self, head: bytes, body: bytes) -> None:
        """Write a request; the system's buffers and the loop's take it, while the answer is waited for."""
        if self.transport is None:
            raise ServerDisconnectedError
        self._was_large = len(body) > _JOINED
        if not self._was_large:
            self.transport.write(head + body)
        else:
            self.transport.writelines((head, body))

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
