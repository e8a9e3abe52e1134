"""What a supervisor and its child say to each other: one JSON object a line, over a socket pair.

The supervisor gives orders (`{"do": …}`), the child tells (`{"is": …}`). When the supervisor dies the kernel
closes its end, and the child drains: no child outlives its parent, however that one ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import MutableMapping

VARIABLE = "KIRIMHOOK_CHILD"
"""Tells a child its two descriptors: `control,listening` (-1: none)."""
LONGEST_LINE = 1024 * 1024


class Order(StrEnum):
    REPORT = "report"
    COUNTS = "counts"
    """A report without a look at the storage."""
    REFRESH = "refresh"
    STOP = "stop"


class Word(StrEnum):
    READY = "ready"
    REPORT = "report"
    COUNTS = "counts"


class Channel:
    """One end of the pair."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Self:
        return cls(*await asyncio.open_connection(sock=end, limit=LONGEST_LINE))

    def say(self, message: dict[str, Any]) -> None:
        """Without waiting. The other end may be gone; who reads hears of that."""
        self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    async def hear(self) -> dict[str, Any] | None:
        """The next message; None when the other end is gone, or talks nonsense."""
        try:
            line = await self._reader.readuntil(b"\n")
            message = json.loads(line)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError):
            return None
        return message if isinstance(message, dict) else None

    async def close(self) -> None:
        """After what was said has gone out, if anyone reads it."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await self._writer.drain()
        self._writer.close()

    def hang_up(self) -> None:
        """At once; what is said after this goes nowhere."""
        self._writer.close()


class Inherited(NamedTuple):
    """What a child got from its supervisor."""

    control: socket.socket
    listening: socket.socket | None


def inherited(environ: MutableMapping[str, str]) -> Inherited | None:
    """The sockets, where this process is a child; the variable is removed, since a child may have children."""
    given = environ.pop(VARIABLE, None)
    if given is None:
        return None
    control, listening = (int(number) for number in given.split(","))
    return Inherited(_adopt(control), _adopt(listening) if listening >= 0 else None)


def _adopt(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptor)
