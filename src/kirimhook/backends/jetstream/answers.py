"""Who waits for an answer on the wire: a value, an acknowledgement, a batch of messages.

Headers stay bytes: of a message read, its sequence and subject are all that counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

_STATUS = b"NATS/1.0 "
END_OF_BATCH, NOT_FOUND, NO_RESPONDERS = 204, 404, 503


class Message(NamedTuple):
    """One message of a stream."""

    sequence: int
    subject: str
    payload: bytes


class Answer:
    """One message. `over` is done when it came, or will not."""

    begun = False

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.headers = self.data = b""
        self.trouble: str | None = None

    def take(self, headers: bytes, data: bytes) -> bool:
        self.headers, self.data = headers, data
        _done(self.over)
        return True

    def fail(self, detail: str) -> None:
        self.trouble = detail
        _done(self.over)


class Ack:
    """Of a message that was to be stored: calls back with what came, None for nothing, b"" for nobody there."""

    __slots__ = ("_acked", "deadline")

    def __init__(self, deadline: float, acked: Callable[[bytes | None], None]) -> None:
        self.deadline = deadline
        self._acked = acked

    def take(self, headers: bytes, data: bytes) -> bool:  # noqa: ARG002  # others need both
        self._acked(data)
        return True

    def fail(self, detail: str) -> None:  # noqa: ARG002  # others tell it
        self._acked(None)


class Batch:
    """Messages in order, until their end is said. What came after a gap is not kept."""

    def __init__(self, deadline: float, step: float) -> None:
        """`step`: seconds that the next message may take once one has come."""
        self.deadline = deadline
        self._step = step
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.messages: list[Message] = []
        self.trouble: str | None = None
        self.begun = False
        """Something of it has come."""

    def take(self, headers: bytes, data: bytes) -> bool:
        self.begun = True
        status = status_of(headers)
        if status:
            if status not in (END_OF_BATCH, NOT_FOUND) and self.trouble is None:
                self.trouble = f"status {status} instead of messages"
            _done(self.over)
            return True
        before = int(header_of(headers, b"Nats-Last-Sequence") or 0)  # of this batch; 0 for its first
        if before != (self.messages[-1].sequence if self.messages else 0):
            self.trouble = self.trouble or "messages were lost on the way"
        elif self.trouble is None:
            sequence, subject = header_of(headers, b"Nats-Sequence"), header_of(headers, b"Nats-Subject")
            self.messages.append(Message(int(sequence), subject.decode(), data))
            self.deadline = max(self.deadline, self.over.get_loop().time() + self._step)
        return False

    def fail(self, detail: str) -> None:
        self.trouble = self.trouble or detail
        _done(self.over)


class Gathered:
    """What several answer, until the deadline."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.data: list[bytes] = []

    def take(self, headers: bytes, data: bytes) -> bool:
        if status_of(headers) == NO_RESPONDERS:
            _done(self.over)
            return True
        self.data.append(data)
        return False

    def fail(self, detail: str) -> None:  # noqa: ARG002  # that there are no more is how it ends
        _done(self.over)


def status_of(headers: bytes) -> int:
    """Of a message that is a status; 0 for any other."""
    return int(headers[9:12]) if headers.startswith(_STATUS) else 0


def header_of(headers: bytes, name: bytes) -> bytes:
    """A value; empty where there is none. The last one counts: what was stored with a message comes before."""
    start = headers.rfind(b"\r\n%b: " % name)
    if start < 0:
        return b""
    start += len(name) + 4
    return headers[start : headers.find(b"\r\n", start)]


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
