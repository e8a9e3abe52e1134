"""Signing in with the token of the admin port, and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kirimhook.pages.answers import see_other
from kirimhook.pages.csrf import FIELD
from kirimhook.pages.forms import read_form
from kirimhook.receiver.pages.access import SIGNING_IN, Door, client_of
from kirimhook.receiver.pages.place import PREFIX, SIGN_IN
from kirimhook.receiver.pages.visit import Problem

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from kirimhook.observe import Observer
    from kirimhook.pages.site import Site

MAX_FORM = 8 * 1024
WRONG = "This is not the token. It stands in the file that --admin-token-file names, or in KIRIMHOOK_ADMIN_TOKEN."
TOO_OLD = "This page was open for too long. Try again."
TOO_OFTEN = "Too many wrong tries. Wait a moment, then try again."


class Signing:
    """The two forms that take no session, or end it."""

    def __init__(self, site: Site, door: Door, observer: Observer) -> None:
        self._site = site
        self._door = door
        self._observer = observer

    async def form(self, request: Request) -> Response:
        """The page to sign in with. Who needs no signing in goes on."""
        if self._door.visitor(request) is not None:
            return see_other(PREFIX)
        return await self._page(request)

    async def sign_in(self, request: Request) -> Response:
        """Begin a session, in place of the one that the browser has."""
        given = await read_form(request, most=MAX_FORM)
        if not self._door.is_meant(request, SIGNING_IN, given.one(FIELD, default="")):
            return await self._page(request, 403, TOO_OLD)
        wait, client = self._door.wait(request), client_of(request)
        if wait:
            self._observer.event("admin_sign_in_failed", client=client, reason="too_often")
            response = await self._page(request, 429, TOO_OFTEN)
            response.headers["retry-after"] = str(wait)
            return response
        if not self._door.knows(given.one("token", default="").strip(), client):
            self._observer.event("admin_sign_in_failed", client=client, reason="wrong_token")
            return await self._page(request, 401, WRONG)
        self._observer.event("admin_signed_in", client=client)
        response = see_other(PREFIX)
        self._door.let_in(request, response)
        return response

    async def sign_out(self, request: Request) -> Response:
        """End the session of this browser."""
        visitor = self._door.visitor(request)
        given = await read_form(request, most=MAX_FORM)
        if visitor is not None and not self._door.is_meant(request, visitor.binding, given.one(FIELD, default="")):
            raise Problem(403, "This form is too old", "Go back, load the page again, and sign out once more.")
        response = see_other(SIGN_IN)
        self._door.let_out(request, response)
        return response

    async def _page(self, request: Request, status: int = 200, problem: str | None = None) -> Response:
        request.state.csrf = self._door.csrf(SIGNING_IN)

        async def load() -> dict[str, object]:
            return {"problem": problem}

        return await self._site.show(request, "sign_in.html", load, status=status)
