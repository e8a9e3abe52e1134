"""Reading a request's body: never more than one may have, nor than all together may hold. Contract section 5."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kirimhook.contract.errors import ApiError
from kirimhook.contract.headers import JSON_CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, MutableMapping

    from starlette.datastructures import Headers

    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_MAX_DIGITS = 15
_PLAIN = frozenset(("application/json", "application/json;charset=utf-8"))


class HungUp(Exception):
    """The client left before its body was complete: there is nobody to answer."""


class Overloaded(ApiError):
    """503: the bodies under way hold all the memory they may."""

    retry_after = 1

    def __init__(self) -> None:
        super().__init__("service_unavailable", "too many requests are under way")


def too_large(most: int) -> ApiError:
    return ApiError("payload_too_large", f"the body of this call may have {most} bytes")


def check_type(headers: Headers) -> None:
    """Raise `unsupported_media_type` for a body that does not say that it is JSON in UTF-8, and uncompressed."""
    said = headers.get("content-type", "").lower().replace(" ", "").replace('"', "")
    if said not in _PLAIN:
        raise ApiError("unsupported_media_type", f"the content type must be {JSON_CONTENT_TYPE}")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiError("unsupported_media_type", "the body must not be compressed")


class Bodies:
    """The bodies of one process. What is counted is what arrived, not what a client announced."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    @contextmanager
    def reading(self) -> Iterator[Body]:
        """A body to be read; what it holds counts until its request is answered."""
        body = Body(self)
        try:
            yield body
        finally:
            self._held -= body.size

    def hold(self, more: int) -> None:
        self._held += more
        if self._held > self._most:
            raise Overloaded


class Body:
    """One body under way."""

    __slots__ = ("_bodies", "size")

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.size = 0

    async def read(self, headers: Headers, receive: Receive, most: int) -> bytes:
        """All of it. Raises `payload_too_large` as soon as that is known, `Overloaded`, `HungUp`."""
        announced = headers.get("content-length", "")
        if announced.isascii() and announced.isdigit() and (len(announced) > _MAX_DIGITS or int(announced) > most):
            raise too_large(most)
        parts: list[bytes] = []
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise HungUp
            part: bytes = message.get("body", b"")
            self._add(part, most)
            if not message.get("more_body", False):
                return b"".join((*parts, part)) if parts else part
            parts.append(part)

    def _add(self, part: bytes, most: int) -> None:
        self.size += len(part)
        self._bodies.hold(len(part))
        if self.size > most:
            raise too_large(most)
