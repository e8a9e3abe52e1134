"""The admin port's ASGI application: four pages for programs, read only, and what a half has for people.

Mount it nowhere public: the four ask for no password.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from kirimhook.admin.status import status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from kirimhook.admin.view import View

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"


class Page(NamedTuple):
    """A reply, ready to be written."""

    status: int
    content_type: bytes
    body: bytes
    more: tuple[tuple[bytes, bytes], ...] = ()


class Pages(Protocol):
    """What a half has for people: an ASGI application for all paths under `prefix`. One event loop."""

    @property
    def prefix(self) -> str:
        """Begins with a slash, and ends without one."""
        ...

    def start(self) -> None: ...

    def end_streams(self) -> None:
        """End what would keep connections open, and what looks by itself. Pages are still shown."""
        ...

    async def close(self) -> None: ...

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None: ...


class AdminApp:
    """`/healthz`, `/readyz`, `/metrics`, `/status`; GET and HEAD. `/` leads to `pages`, where there are any."""

    def __init__(
        self, fleet: Callable[[], Awaitable[Any]], version: str, view: View, pages: Pages | None = None
    ) -> None:
        self.pages = pages
        self._fleet = fleet
        self._version = version
        self._view = view
        self._pages = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
            "/status": self._status,
        }

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"the admin port speaks HTTP, not {scope['type']}")
        if self.pages is not None and f"{scope['path']}/".startswith(f"{self.pages.prefix}/"):
            await self.pages(scope, receive, send)
            return
        page = await self._page(scope)
        headers = [
            (b"content-type", page.content_type),
            (b"content-length", str(len(page.body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            *page.more,
        ]
        await send({"type": "http.response.start", "status": page.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else page.body})

    async def _page(self, scope: Message) -> Page:
        make = self._pages.get(scope["path"])
        if make is None:
            return self._other(scope["path"])
        if scope["method"] not in {"GET", "HEAD"}:
            return Page(405, TEXT, b"method not allowed\n", ((b"allow", b"GET, HEAD"),))
        return await make(scope)

    def _other(self, path: str) -> Page:
        here = [*self._pages]
        if self.pages is not None:
            prefix = self.pages.prefix
            if path == "/":
                return Page(303, TEXT, f"see {prefix}\n".encode(), ((b"location", prefix.encode()),))
            here.append(prefix)
        return Page(404, TEXT, f"not found; here are: {' '.join(here)}\n".encode())

    async def _healthz(self, scope: Message) -> Page:  # noqa: ARG002  # every page gets the scope
        """The process is alive: it answers. Asks nobody else."""
        return Page(200, TEXT, b"ok\n")

    async def _readyz(self, scope: Message) -> Page:  # noqa: ARG002  # every page gets the scope
        found = self._view.problems(await self._fleet())
        body = _json({"ready": not found, "problems": [problem._asdict() for problem in found]})
        return Page(503 if found else 200, JSON, body)

    async def _metrics(self, scope: Message) -> Page:
        from kirimhook.admin.exposition import exposition

        accept = b",".join(value for name, value in scope["headers"] if name == b"accept").decode("latin-1")
        body, content_type = exposition(await self._fleet(), self._version, self._view, accept)
        return Page(200, content_type.encode(), body)

    async def _status(self, scope: Message) -> Page:  # noqa: ARG002  # every page gets the scope
        return Page(200, JSON, _json(status(await self._fleet(), self._version, self._view)))


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode() + b"\n"
