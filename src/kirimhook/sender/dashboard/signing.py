"""Signing in with an API key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from kirimhook.contract.errors import ApiError
from kirimhook.pages.answers import see_other
from kirimhook.pages.csrf import FIELD
from kirimhook.pages.forms import read_form
from kirimhook.sender.dashboard.access import FORM_COOKIE, Door, Wait, client_of, next_page

if TYPE_CHECKING:
    from starlette.requests import Request

    from kirimhook.observe import Observer
    from kirimhook.pages.site import Site
    from kirimhook.sender.service import Sender

MAX_FORM = 8 * 1024
NO_KEY = "This is no API key that is in force. Look for a blank or a missing character, or ask for a new key."
TOO_OLD = "This page was open for too long, or the browser keeps no cookies. Try again."
TOO_OFTEN = "Too many tries. Wait a moment, then try again."
_UNAUTHENTICATED = 401


class Signing:
    """The one page that takes no session."""

    def __init__(self, sender: Sender, site: Site, door: Door, observer: Observer) -> None:
        self._sender = sender
        self._site = site
        self._door = door
        self._observer = observer

    async def answer(self, request: Request) -> Response:
        return await (self.sign_in(request) if request.method == "POST" else self.form(request))

    async def form(self, request: Request) -> Response:
        """The page to sign in with. Who is signed in goes on."""
        where = next_page(request.query_params.get("next"))
        if await self._door.caller(request) is not None:
            return see_other(where)
        return await self._page(request, where)

    async def sign_in(self, request: Request) -> Response:
        """Begin a session, in place of the one that the browser has."""
        given = await read_form(request, most=MAX_FORM)
        where = next_page(given.one("next", default=""))
        if not self._door.is_meant(request, request.cookies.get(FORM_COOKIE), given.one(FIELD, default="")):
            return await self._page(request, where, 403, TOO_OLD)
        wait = self._door.let_try(client_of(request))
        if wait is not None:
            return await self._too_often(request, where, wait)
        try:
            signed_in = await self._sender.sign_in(given.one("key", default="").strip(), self._door.token(request))
        except ApiError as error:
            if error.status != _UNAUTHENTICATED:
                raise
            self._observer.event("sign_in_failed", client=client_of(request), reason=error.code)
            return await self._page(request, where, _UNAUTHENTICATED, NO_KEY)
        caller = signed_in.caller
        self._observer.event(
            "signed_in", organisation_id=caller.organisation_id, key_id=caller.key_id, client=client_of(request)
        )
        response = see_other(where)
        self._door.let_in(request, response, signed_in)
        return response

    async def _too_often(self, request: Request, where: str, wait: Wait) -> Response:
        self._observer.event("sign_in_failed", client=client_of(request), reason="rate_limit_exceeded")
        response = await self._page(request, where, 429, TOO_OFTEN)
        response.headers["retry-after"] = str(wait.seconds)
        return response

    async def _page(self, request: Request, where: str, status: int = 200, problem: str | None = None) -> Response:
        binding = self._door.form_binding(request)
        request.state.csrf = self._door.csrf(binding)

        async def load() -> dict[str, object]:
            return {"next": where, "problem": problem}

        response = await self._site.show(request, "sign_in.html", load, status=status)
        self._door.keep_form_binding(request, response, binding)
        return response
