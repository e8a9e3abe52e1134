"""Live pages: a stream of server-sent events that tells which regions of a page have changed.

A stream ends by itself after `life` seconds, below what a connection may take for one answer (`serving.limits`); the
browser asks again, and is then let in or turned away like any other request.
"""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import Receive, Scope, Send

    Tell = Callable[[], Awaitable[Mapping[str, str]]]
    """The HTML of each region, as it is now."""

_TIMES = re.compile(r"(<time[^>]*>)[^<]*")
_BEAT = 10.0
_FAREWELL = 0.2
_PATIENCE = 4
"""A look that takes a second is followed by a pause of four: pages never take more than a fifth of anything."""


class Over(Exception):
    """Raised by what a stream asks: it ends here, and the browser is to ask anew."""


class Live:
    """At most `most` streams at a time, each looking every `every` seconds for `life` seconds."""

    def __init__(
        self,
        most: int = 64,
        every: float = 1.0,
        *,
        life: float = 20.0,
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """`failed` hears what ended a stream otherwise than `Over`."""
        self.every = every
        self.life = life
        self._most = most
        self._failed = failed
        self._open: set[asyncio.Event] = set()
        self._closed = False

    @property
    def streams(self) -> int:
        """How many are open."""
        return len(self._open)

    def close(self) -> None:
        """End all streams, and begin no more. On the loop that runs them."""
        self._closed = True
        for ending in self._open:
            ending.set()

    def stream(self, tell: Tell, shown: Mapping[str, str]) -> Response:
        """The answer that tells what differs from before, all of `shown` first; 503 when there are too many."""
        if self._closed or len(self._open) >= self._most:
            text = "no more live pages at this time; this one stays as it is\n"
            return PlainTextResponse(text, 503, {"retry-after": "30"})
        return _Stream(self, tell, shown)

    def begin(self) -> asyncio.Event:
        """Count a stream; the event tells it to end."""
        ending = asyncio.Event()
        if self._closed:
            ending.set()
        self._open.add(ending)
        return ending

    def end(self, ending: asyncio.Event) -> None:
        self._open.discard(ending)

    def fail(self, error: Exception) -> None:
        if self._failed is not None and not isinstance(error, Over):
            self._failed(error)


class _Stream(Response):
    """One page's stream. Ends when the browser leaves, `Live` closes, its life is over or a look fails."""

    media_type = "text/event-stream"

    def __init__(self, live: Live, tell: Tell, shown: Mapping[str, str]) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"cache-control": "no-store", "x-accel-buffering": "no"})
        self.raw_headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]
        self._live = live
        self._tell = tell
        self._shown = shown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ending = self._live.begin()
        leaving = asyncio.create_task(_left(receive, ending))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if scope["method"] != "HEAD":
                await self._run(send, ending)
            with suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await send({"type": "http.response.body", "body": b""})
        finally:
            self._live.end(ending)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)

    async def _run(self, send: Send, ending: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        spoke = loop.time()
        over = spoke + self._live.life
        told = {name: _timeless(html) for name, html in self._shown.items()}
        pause = self._live.every
        reads = await _sent(send, _event(self._shown, b"retry: 1000\n"), ending)
        while reads and not await _waited(ending, pause) and loop.time() < over:
            began = loop.time()
            try:
                now = await self._tell()
            except Exception as error:  # whatever it is, the page the browser then asks for says it better
                self._live.fail(error)
                return
            changed = {name: html for name, html in now.items() if told.get(name) != _timeless(html)}
            told.update((name, _timeless(html)) for name, html in changed.items())
            if changed or began - spoke >= _BEAT:
                spoke = began
                reads = await _sent(send, _event(changed) if changed else _body(b":\n\n"), ending)
            pause = max(self._live.every, _PATIENCE * (loop.time() - began))


def _timeless(html: str) -> str:
    """Without what relative times say: the browser counts those itself."""
    return _TIMES.sub(r"\1", html)


def _event(regions: Mapping[str, str], before: bytes = b"") -> dict[str, object]:
    return _body(before + b"data: " + json.dumps(dict(regions)).encode() + b"\n\n")


def _body(data: bytes) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": True}


async def _left(receive: Receive, ending: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    ending.set()


async def _sent(send: Send, message: dict[str, object], ending: asyncio.Event) -> bool:
    """Whether it went out before the stream was told to end: a browser that does not read holds nobody up."""
    going = asyncio.ensure_future(send(message))
    told = asyncio.create_task(ending.wait())
    try:
        await asyncio.wait({going, told}, return_when=asyncio.FIRST_COMPLETED)
        if going.done():
            going.result()
            return True
        return False
    finally:
        told.cancel()
        going.cancel()


async def _waited(ending: asyncio.Event, seconds: float) -> bool:
    """Whether it was told to end within that time."""
    try:
        async with asyncio.timeout(seconds):
            await ending.wait()
    except TimeoutError:
        return False
    return True
