"""What a visit passes before its page: session, limits, parameters, and for a form its token."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from starlette.responses import PlainTextResponse, Response

from kirimhook.contract.errors import ApiError
from kirimhook.pages.answers import see_other
from kirimhook.pages.csrf import FIELD
from kirimhook.pages.forms import read_form
from kirimhook.sender.dashboard.place import PREFIX, SIGN_IN
from kirimhook.sender.dashboard.shares import Shares
from kirimhook.sender.dashboard.visit import Visit
from kirimhook.sender.limits import LimitExceeded, Limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from kirimhook.pages.forms import Form
    from kirimhook.pages.live import Live
    from kirimhook.pages.site import Site
    from kirimhook.sender.dashboard.access import Door
    from kirimhook.sender.dashboard.routes import Route
    from kirimhook.sender.service import Caller, Sender
    from kirimhook.settings import SenderSettings

LIVE = "live"
MAX_PARAMETERS = 32
_MAX_SHOWN = 64


class SignedOutError(Exception):
    """A form came from who is not signed in any more: 401."""


class NotMeantError(Exception):
    """A form that no page of this session sent: 403."""


class Inside:
    """All pages that take a session."""

    def __init__(  # what pages work with
        self,
        sender: Sender,
        settings: SenderSettings,
        site: Site,
        live: Live,
        door: Door,
        clock: Callable[[], float],
    ) -> None:
        self._sender = sender
        self._site = site
        self._live = live
        self._door = door
        self._clock = clock
        self._limits = Limits(settings)
        self._shares = Shares()

    def endpoint(self, routes: Mapping[str, Route]) -> Callable[[Request], Awaitable[Response]]:
        """What answers for one path. `routes`: by method."""

        async def answer(request: Request) -> Response:
            route = routes["GET" if request.method == "HEAD" else request.method]
            caller = await self._door.caller(request)
            if caller is None:
                return _to_sign_in(request)
            return await self._visit(request, route, caller)

        return answer

    async def _visit(self, request: Request, route: Route, caller: Caller) -> Response:
        """Raises ApiError, BadForm, NotMeantError and what the page does."""
        token = self._door.token(request) or ""
        request.state.csrf = self._door.csrf(token)
        request.state.who = caller.name
        request.state.organisation_id = caller.organisation_id
        verdict = self._limits.take(route.use, caller.organisation_id, self._clock())
        if verdict is not None and not verdict.admitted:
            raise LimitExceeded(verdict)
        query = _checked(request, route)
        form = await self._form(request, token) if route.method == "POST" else None
        visit = Visit(request, self._sender, caller, self._site, self._live, self._door, query, form)
        if LIVE not in request.query_params:
            return await route.page(visit)
        return await self._shares.stream(caller.organisation_id, lambda: route.page(visit))

    async def _form(self, request: Request, token: str) -> Form:
        form = await read_form(request)
        if not self._door.is_meant(request, token, form.one(FIELD, default="")):
            raise NotMeantError
        return form


def _to_sign_in(request: Request) -> Response:
    """A page is come back to; a form is not sent again by itself, and a live page is told so by its status."""
    if request.method == "POST":
        raise SignedOutError
    if request.query_params.get(LIVE):
        return PlainTextResponse("signed out\n", 401)
    path, query = request.url.path, request.url.query
    where = f"{path}?{query}" if query else path
    return see_other(SIGN_IN if where == PREFIX else f"{SIGN_IN}?{urlencode({'next': where})}")


def _checked(request: Request, route: Route) -> dict[str, str]:
    """The parameters, without the empty ones. Raises ApiError for one that the route does not know, or twice."""
    found: dict[str, str] = {}
    for name, value in _parsed(request):
        if name not in route.query and not (route.live and name == LIVE):
            raise _invalid(name, "there is no such parameter")
        if name in found:
            raise _invalid(name, "is there more than once")
        if "\0" in value:
            raise _invalid(name, "holds a character that no text has")
        found[name] = value
    return {name: value for name, value in found.items() if value and name != LIVE}


def _parsed(request: Request) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            request.scope["query_string"].decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError:  # UnicodeDecodeError is one
        raise ApiError("invalid_field_value", "the address cannot be read") from None


def _invalid(name: str, why: str) -> ApiError:
    shown = name[:_MAX_SHOWN].encode("ascii", "backslashreplace").decode()
    return ApiError("invalid_field_value", why, param=shown)
