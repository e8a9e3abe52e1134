"""The ASGI application: lets in, reads what was asked, and turns what pages raise into pages."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route as StarletteRoute

from kirimhook.observe import Observer
from kirimhook.pages.answers import Guarded, see_other
from kirimhook.pages.csrf import FIELD
from kirimhook.pages.forms import BadForm, read_form
from kirimhook.pages.live import Live
from kirimhook.pages.site import Site
from kirimhook.receiver.inbox import InboxUnavailable
from kirimhook.receiver.pages.background import Background
from kirimhook.receiver.pages.place import NAME, NAV, PREFIX, SIGN_IN, SIGN_OUT
from kirimhook.receiver.pages.routes import ROUTES, Route
from kirimhook.receiver.pages.runs import Runs
from kirimhook.receiver.pages.signing import Signing
from kirimhook.receiver.pages.visit import Parts, Problem, Visit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from kirimhook.pages.forms import Form
    from kirimhook.receiver.admin.report import Fleet
    from kirimhook.receiver.pages.access import Door, Visitor
    from kirimhook.receiver.pages.handle import Handle
    from kirimhook.receiver.pages.rates import Rates

MOST_STREAMS = 16
"""Live pages at a time: the admin port has room for other things."""
MAX_FORM = 256 * 1024
_LIVE = "live"


class Pages:
    """An ASGI application under `PREFIX`."""

    def __init__(
        self,
        *,
        fleet: Callable[[], Awaitable[Fleet]],
        handle: Handle,
        rates: Rates,
        door: Door,
        observer: Observer,
        clock: Callable[[], float],
    ) -> None:
        self._door = door
        self._observer = observer
        self._site = Site("kirimhook.receiver.pages", prefix=PREFIX, name=NAME, nav=NAV, clock=clock)
        self._live = Live(most=MOST_STREAMS, failed=self._stream_failed)
        background = Background()
        runs = Runs(handle, background, observer, clock)
        self._parts = Parts(fleet, handle, rates, background, runs, observer, clock)
        self._app = Guarded(self._starlette())

    def warm(self) -> None:
        """Do now, in whatever thread, what the first page would wait for."""
        self._site.warm()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def end_streams(self) -> None:
        """End what would keep connections open. Pages are still shown."""
        self._live.close()

    async def close(self) -> None:
        """End what goes on in the background."""
        self.end_streams()
        await self._parts.background.close()

    def _starlette(self) -> Starlette:
        signing = Signing(self._site, self._door, self._observer)
        open_to_all = [
            StarletteRoute(SIGN_IN, self._guarded(signing.form), methods=["GET"]),
            StarletteRoute(SIGN_IN, self._guarded(signing.sign_in), methods=["POST"]),
            StarletteRoute(SIGN_OUT, self._guarded(signing.sign_out), methods=["POST"]),
        ]
        pages = [
            StarletteRoute(PREFIX + route.path, self._guarded(self._page(route)), methods=[route.method])
            for route in ROUTES
        ]
        handlers = {404: self._not_there, 405: self._not_so}
        app = Starlette(routes=[self._site.static(), *open_to_all, *pages], exception_handlers=handlers)
        app.router.redirect_slashes = False  # to a place that the Host header names
        return app

    def _page(self, route: Route) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            visitor = self._door.visitor(request)
            if visitor is None:
                return self._unknown(request)
            request.state.csrf = self._door.csrf(visitor.binding)
            request.state.who = visitor.who
            form = await self._form(request, visitor) if route.method == "POST" else None
            query = _query(request, route)

            def may_go_on() -> bool:
                return self._door.visitor(request) is not None

            return await route.page(Visit(request, self._parts, self._site, self._live, query, form, may_go_on))

        return answer

    async def _form(self, request: Request, visitor: Visitor) -> Form:
        """Raises `BadForm`, also for one that no page of ours sent."""
        form = await read_form(request, most=MAX_FORM)
        if not self._door.is_meant(request, visitor.binding, form.one(FIELD, default="")):
            raise Problem(403, "This form is too old", "Go back, load the page again, and send the form once more.")
        return form

    def _guarded(self, answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """What is wrong with a request, or with us, as a page."""

        async def guarded(request: Request) -> Response:
            try:
                refusal = self._door.refuse(request)
                if refusal is not None:
                    page = self._site.render("refused.html", request, **asdict(refusal))
                    return HTMLResponse(page, refusal.status)
                return await answer(request)
            except Problem as problem:
                return self._site.problem(request, problem.status, problem.title, problem.text)
            except BadForm as error:
                return self._site.problem(request, error.status, "This was not understood", f"{error.text}.")
            except InboxUnavailable as error:
                text = f"The inbox cannot be asked now: {error}. Events are not lost by that. Try again."
                retry = {"retry-after": str(error.retry_after)}
                return self._site.problem(
                    request, 503, "The inbox does not answer", text, code=error.reason, headers=retry
                )
            except Exception as error:
                self._observer.event("page_failed", error=error, method=request.method, path=request.url.path)
                return self._site.problem(request, 500, "This page failed", "A defect of ours; the log has it.")

        return guarded

    def _unknown(self, request: Request) -> Response:
        wait = self._door.wait(request)
        if wait:
            text = f"Too many wrong tokens came from your address. Try again in {wait} s."
            return self._site.problem(request, 429, "Too many tries", text, headers={"retry-after": str(wait)})
        if request.method in {"GET", "HEAD"} and "authorization" not in request.headers:
            return see_other(SIGN_IN) if _LIVE not in request.query_params else Response(status_code=401)
        headers = {"www-authenticate": 'Bearer realm="kirimhook"'}
        return self._site.problem(
            request, 401, "Sign in first", "The session is over, or the token is wrong.", headers=headers
        )

    async def _not_there(self, request: Request, _: Exception) -> Response:
        text = "There is no page under this address."

        async def answer(request: Request) -> Response:
            return self._site.problem(request, 404, "No such page", text)

        return await self._guarded(answer)(request)

    async def _not_so(self, request: Request, error: Exception) -> Response:
        headers = error.headers if isinstance(error, HTTPException) else None
        return self._site.problem(
            request, 405, "Not in this way", "This address takes another method.", headers=headers
        )

    def _stream_failed(self, error: Exception) -> None:
        if not isinstance(error, Problem | InboxUnavailable):
            self._observer.event("page_failed", error=error)


def _query(request: Request, route: Route) -> dict[str, list[str]]:
    """Raises `Problem` for what the route does not know."""
    found: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        if name == _LIVE and route.live:
            continue
        if name not in route.query and name not in route.many:
            raise Problem(400, "This was not understood", f"This page knows no parameter {name!r}.")
        if name in found and name not in route.many:
            raise Problem(400, "This was not understood", f"The parameter {name!r} came twice.")
        if "\0" in value:
            raise Problem(400, "This was not understood", f"The parameter {name!r} holds a NUL.")
        if value:
            found.setdefault(name, []).append(value)
    return found
