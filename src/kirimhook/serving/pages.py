"""The receiver's pages behind the admin port: made when somebody first looks, so that starting costs nothing."""

from __future__ import annotations

import asyncio
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from kirimhook.backends import open_inbox, scrubbed
from kirimhook.observe import Observer
from kirimhook.receiver.pages.handle import Borrowed, Lazy
from kirimhook.receiver.pages.rates import Rates
from kirimhook.serving.options import PagesOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from kirimhook.receiver.admin.report import Fleet
    from kirimhook.receiver.inbox import Inbox
    from kirimhook.receiver.pages.app import Pages
    from kirimhook.serving.options import Address, Options

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

PREFIX = "/inbox"
NEEDED = ("jinja2", "pygal", "starlette")
BROKEN = b"the pages could not be made: a defect of ours, the log has it\n"
MISSING = b"the pages need the extra `pages`: pip install 'kirimhook[pages]', then start anew\n"


def is_installed() -> bool:
    """Whether the extra `pages` is there."""
    return all(find_spec(name) is not None for name in NEEDED)


class AdminPages:
    """What `kirimhook.admin.app.Pages` says."""

    prefix = PREFIX

    def __init__(
        self,
        options: Options,
        address: Address,
        fleet: Callable[[], Awaitable[Fleet]],
        counts: Callable[[], Awaitable[Fleet]],
        inbox: Inbox | None,
        *,
        installed: bool | None = None,
    ) -> None:
        """`inbox` belongs to the process that serves; None: the pages open one themselves.

        `fleet` gives what all processes say, `counts` what they counted, without asking the inbox. Neither raises.
        """
        self._address = address
        self._asked = options.pages or PagesOptions()
        self._fleet = fleet
        self._handle = Borrowed(inbox) if inbox is not None else _own(options)
        self._rates = Rates(counts)
        self._is_installed = is_installed() if installed is None else installed
        self._observer = Observer()
        self._making: asyncio.Task[None] | None = None
        self._pages: Pages | None = None
        self._is_quiet = False

    def start(self) -> None:
        """Begin to sample what the overview draws."""
        if self._is_installed:
            self._rates.start()

    def end_streams(self) -> None:
        self._is_quiet = True
        self._rates.stop()
        if self._pages is not None:
            self._pages.end_streams()

    async def close(self) -> None:
        self.end_streams()
        if self._making is not None:
            await asyncio.wait({self._making})
        if self._pages is not None:
            await self._pages.close()
        await self._handle.close()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if not self._is_installed:
            await _say(send, 501, MISSING)
            return
        if self._making is None:
            self._making = asyncio.create_task(asyncio.to_thread(self._make))
        await asyncio.wait({self._making})
        if self._pages is not None:
            await self._pages(scope, receive, send)
        else:
            await _say(send, 500, BROKEN)

    def _make(self) -> None:
        """Takes a moment, for what it imports: not on the loop that acknowledges webhooks. Once; never raises."""
        try:
            self._pages = self._made()
        except Exception as error:  # webhooks are received all the same
            self._observer.event("page_failed", error=error)
        else:
            if self._is_quiet:
                self._pages.end_streams()

    def _made(self) -> Pages:
        from kirimhook.receiver.pages.access import Door
        from kirimhook.receiver.pages.app import Pages

        door = Door(self._address.host, self._asked.token, self._asked.hosts, time.time)
        pages = Pages(
            fleet=self._fleet,
            handle=self._handle,
            rates=self._rates,
            door=door,
            observer=self._observer,
            clock=time.time,
        )
        pages.warm()
        return pages


def _own(options: Options) -> Lazy:
    """A handle on the inbox. What it says of a server does not tell a password."""
    return Lazy(
        lambda: open_inbox(options.inbox, **options.inbox_options), scrub=lambda text: scrubbed(text, options.inbox)
    )


async def _say(send: Send, status: int, text: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
