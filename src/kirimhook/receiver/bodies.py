"""Reading a request's body: never more than one body may have, nor than all together may hold."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from kirimhook.receiver.answers import TOO_LARGE, Answer, unavailable

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from kirimhook.settings import ReceiverSettings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class Bodies:
    """The bodies being read. What is counted is what arrived, not what a client announced."""

    def __init__(self, settings: ReceiverSettings, gauges: dict[str, float]) -> None:
        self._most = settings.max_buffered
        self._most_of_one = settings.max_body
        self._overloaded = unavailable("overloaded", settings.retry_after)
        self._gauges = gauges
        self._held = 0

    def hold(self, more: int) -> Answer | None:
        self._held += more
        self._gauges["kirimhook_buffered_bytes"] = self._held
        return self._overloaded if self._held > self._most else None

    def reader(self) -> BodyReader:
        return BodyReader(self, self._most_of_one)


class BodyReader:
    """Reads one body that comes in parts. As a context: its bytes are held until the request is answered."""

    __slots__ = ("_bodies", "_most", "_parts", "size")

    def __init__(self, bodies: Bodies, most: int) -> None:
        self._bodies = bodies
        self._most = most
        self._parts: list[bytes] = []
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bodies.hold(-self.size)

    async def read(self, first: Message, receive: Receive) -> bytes | Answer | None:
        """The whole body, the answer to one that is too much, or None when the client went away."""
        message = first
        while message["type"] == "http.request":
            refusal = self._add(message.get("body", b""))
            if refusal is not None:
                return refusal
            if not message.get("more_body", False):
                return b"".join(self._parts)
            message = await receive()
        return None

    def _add(self, part: bytes) -> Answer | None:
        self.size += len(part)
        self._parts.append(part)
        overloaded = self._bodies.hold(len(part))
        if self.size > self._most:
            return TOO_LARGE
        return overloaded
