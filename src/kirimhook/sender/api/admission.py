"""What a call passes before it is carried out: key, limits, body. Contract section 5.

In this order, so that nothing is read from who has no key, and nothing is parsed that is not let through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

from kirimhook.contract.errors import ApiError
from kirimhook.sender.api.bodies import Bodies, Body, check_type
from kirimhook.sender.api.call import Call
from kirimhook.sender.api.front import exchange_of
from kirimhook.sender.api.strict import loads_aside
from kirimhook.sender.limits import LimitExceeded, Limits, Use

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from kirimhook.sender.service import Caller, Sender
    from kirimhook.settings import SenderSettings

_CALL = "kirimhook.call"
_BEARER = "bearer "
_WITH_BODY = frozenset(("POST", "PATCH"))


class ReadRequest(Request):
    """A request whose body has been read, and parsed where it is JSON."""

    def __init__(self, request: Request, body: bytes, value: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._read = body
        self._value = value

    async def body(self) -> bytes:
        return self._read

    async def json(self) -> Any:
        return self._value


class Door:
    """Lets calls in. One for an application."""

    def __init__(self, sender: Sender, settings: SenderSettings, clock: Callable[[], float]) -> None:
        self.sender = sender
        self.settings = settings
        self._clock = clock
        self._limits = Limits(settings)
        self.bodies = Bodies(settings.max_buffered)

    async def admit(self, request: Request, use: Use) -> Call:
        """The call that a request is. Raises ApiError: no good key, too many calls."""
        exchange = exchange_of(request.scope)
        caller = await self._authenticate(request.headers)
        exchange.organisation_id = caller.organisation_id
        verdict = self._limits.take(use, caller.organisation_id, self._clock())
        if verdict:
            exchange.headers.extend(verdict.headers)
            if not verdict.admitted:
                raise LimitExceeded(verdict)
        return Call(request, exchange.request_id, self.sender, caller)

    async def _authenticate(self, headers: Headers) -> Caller:
        given = headers.getlist("authorization")
        if not given:
            raise ApiError("missing_api_key", "the header Authorization: Bearer kdv_live_… is missing")
        said = given[0]
        if len(given) > 1 or said[: len(_BEARER)].lower() != _BEARER:
            raise ApiError("invalid_api_key", "the header must be Authorization: Bearer kdv_live_…")
        return await self.sender.authenticate(said[len(_BEARER) :].strip(" "))


class Route(APIRoute):
    """A call that takes a key."""

    use: ClassVar[Use]
    reads_json: ClassVar[bool] = True

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As ever; but a path that is a call of its own is no id, whatever the method."""
        if self.param_convertors and scope["path"] in scope["app"].state.fixed_paths:
            return Match.NONE, {}
        return super().matches(scope)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known = frozenset(field.alias for field in self.dependant.query_params)

        async def admitted(request: Request) -> Response:
            door: Door = request.app.state.door
            call = await door.admit(request, self.use)
            request.scope[_CALL] = call
            _check_query(request, known)
            if request.method not in _WITH_BODY:
                return await handle(request)
            with door.bodies.reading() as body:
                return await handle(await self._read(call, body, door.settings))

        return admitted

    async def _read(self, call: Call, body: Body, settings: SenderSettings) -> Request:
        request = call.request
        most = settings.max_event if self.use is Use.EVENTS else settings.max_request
        call.body = await body.read(request.headers, request.receive, most)
        if self.reads_json and call.body:
            check_type(request.headers)
            call.value = await loads_aside(call.body)
        return ReadRequest(request, call.body, call.value)


class Reading(Route):
    """A call that changes nothing."""

    use = Use.READ


class Writing(Route):
    """A call that changes something."""

    use = Use.WRITE


class Publishing(Route):
    """A call that publishes; what its body is, its headers say."""

    use = Use.EVENTS
    reads_json = False


def call_of(request: Request) -> Call:
    """The call that a request was admitted as."""
    call: Call = request.scope[_CALL]
    return call


def _check_query(request: Request, known: frozenset[str]) -> None:
    if not request.scope["query_string"]:
        return
    seen = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            raise ApiError("invalid_field_value", "there is no such query parameter", param=_shown(name))
        if name in seen:
            raise ApiError("invalid_field_value", "must be given once", param=name)
        seen.add(name)


def _shown(name: str) -> str:
    return name[:64].encode("ascii", "backslashreplace").decode()
