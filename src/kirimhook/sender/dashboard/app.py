"""The dashboard as an application: finds the page, lets in who may see it, and answers what goes wrong with a page."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as Path
from starlette.routing import Router

from kirimhook.observe import Meter, Observer
from kirimhook.pages.answers import Guarded, see_other
from kirimhook.pages.live import Live
from kirimhook.pages.site import Site
from kirimhook.sender.dashboard.access import Door
from kirimhook.sender.dashboard.errors import Faults
from kirimhook.sender.dashboard.inside import Inside
from kirimhook.sender.dashboard.place import ACCOUNT, NAME, NAV, PREFIX, SIGN_IN
from kirimhook.sender.dashboard.routes import ROUTES, Route
from kirimhook.sender.dashboard.signing import Signing

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from kirimhook.sender.service import Sender
    from kirimhook.settings import SenderSettings


class Dashboard:
    """An ASGI application, for `/` and what is under `/dashboard`. `close` ends what would keep a server waiting."""

    def __init__(  # what it is made of
        self,
        sender: Sender,
        settings: SenderSettings,
        observer: Observer,
        meter: Meter,
        clock: Callable[[], float],
        *,
        secure: bool,
    ) -> None:
        self.site = Site(__package__, prefix=PREFIX, name=NAME, nav=NAV, clock=clock, account=ACCOUNT)
        self._faults = Faults(self.site, observer)
        self.live = Live(failed=self._faults.of_stream)
        self._answered = meter.counter("kirimhook_sender_pages_total")
        self._seconds = meter.histogram("kirimhook_sender_page_seconds")
        door = Door(sender, clock, secure=secure)
        inside = Inside(sender, settings, self.site, self.live, door, clock)
        self._router = _routed(self.site, inside, Signing(sender, self.site, door, observer))
        self._guarded = Guarded(self._answer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._guarded(scope, receive, send)

    def close(self) -> None:
        """End all live pages: their browsers ask again, whoever serves then. On the loop that serves."""
        self.live.close()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def reply(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._seconds.observe(time.perf_counter() - began)
            await send(message)

        began = time.perf_counter()
        scope["app"] = self  # so that the router raises what it does not find
        try:
            await self._router(scope, receive, reply)
        except ClientDisconnect:
            pass
        except Exception as error:
            response = self._faults.page(Request(scope, receive), error)
            if status:  # half a page is out: the server cuts the connection
                raise
            await response(scope, receive, reply)
        self._answered[str(status) if status else "hung_up"] += 1


def create_dashboard(  # as `create_app`
    sender: Sender,
    settings: SenderSettings | None = None,
    *,
    observer: Observer | None = None,
    meter: Meter | None = None,
    clock: Callable[[], float] = time.time,
    secure: bool,
) -> Dashboard:
    """The dashboard over `sender`, whose database it neither opens nor closes.

    `clock`, in unix seconds, is what limits count by and what relative times are told by. `secure`: the socket speaks
    TLS, so that cookies are for TLS alone; behind a proxy, X-Forwarded-Proto says it.
    """
    chosen = settings or sender.context.settings
    return Dashboard(sender, chosen, observer or Observer(), meter or Meter(), clock, secure=secure)


def _routed(site: Site, inside: Inside, signing: Signing) -> Router:
    """One entry for each path, which knows all its methods, so that 405 can name them."""
    paths: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        paths.setdefault(PREFIX + route.path, {})[route.method] = route
    found = [Path(path, inside.endpoint(routes), methods=list(routes)) for path, routes in paths.items()]
    pages = sorted(found, key=lambda path: len(path.param_convertors))
    entrance = [
        Path("/", _to_the_first_page, methods=["GET"]),
        Path(SIGN_IN, signing.answer, methods=["GET", "POST"]),
    ]
    return Router([site.static(), *entrance, *pages], redirect_slashes=False)


async def _to_the_first_page(_request: Request) -> Response:
    return see_other(PREFIX)
