"""What a sender's own socket answers: the API to programs, the dashboard to people."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kirimhook.sender.api import create_app
from kirimhook.sender.dashboard import create_dashboard

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from kirimhook.observe import Meter, Observer
    from kirimhook.sender.dashboard import Dashboard
    from kirimhook.sender.service import Sender
    from kirimhook.serving.sending.options import SenderOptions

_FIRST = "/"
_PAGES = "/dashboard"


class Public:
    """An ASGI application. Without a dashboard everything goes to the API."""

    def __init__(self, sender: Sender, options: SenderOptions, meter: Meter, observer: Observer) -> None:
        self._api = create_app(sender, options.settings, meter=meter, observer=observer)
        self._dashboard = (
            create_dashboard(sender, options.settings, observer=observer, meter=meter, secure=options.tls is not None)
            if options.dashboard
            else None
        )
        self._warming: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._dashboard is not None and scope["type"] == "http" and _is_page(scope["path"]):
            await self._warm(self._dashboard)
            await self._dashboard(scope, receive, send)
        else:
            await self._api(scope, receive, send)

    async def _warm(self, dashboard: Dashboard) -> None:
        """Before the first page: its templates take a tenth of a second, in which calls of the API would wait."""
        if self._warming is None:
            self._warming = asyncio.create_task(asyncio.to_thread(dashboard.site.warm))
        if not self._warming.done():
            await asyncio.shield(self._warming)

    def close(self) -> None:
        """End live pages, which would go on while the server waits for its answers. On the loop that serves."""
        if self._dashboard is not None:
            self._dashboard.close()


def _is_page(path: str) -> bool:
    return path in {_FIRST, _PAGES} or path.startswith(_PAGES + "/")
