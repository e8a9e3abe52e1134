"""Every way in which a call can fail, as the answer that the contract has for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Match

from kirimhook.contract.errors import CODES, ApiError
from kirimhook.sender.api.answers import answer, refusal
from kirimhook.sender.api.front import Watch, exchange_of
from kirimhook.sender.service import AlreadyAnswered, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

_OWN_CODES = {"limit": "invalid_limit", "cursor": "invalid_cursor"}
_MESSAGES = {"missing": "is required", "extra_forbidden": "there is no such field"}
_PREFIX = "Value error, "
_MAX_PARAM = 128


def answer_errors(app: FastAPI, watch: Watch) -> None:
    """Have every error of `app` answered in our envelope."""

    async def refused(request: Request, error: Any) -> Response:
        return _refuse(request, error)

    async def malformed(request: Request, error: Any) -> Response:
        return _refuse(request, from_validation(error.errors()))

    async def nowhere(request: Request, error: Any) -> Response:
        return _nowhere(app, request, error)

    async def replayed(_request: Request, error: Any) -> Response:
        return answer(error.status, error.body, {"idempotent-replayed": "true"})

    async def unavailable(request: Request, error: Any) -> Response:
        watch.observer.event(
            "request_unserved",
            request_id=exchange_of(request.scope).request_id,
            reason=error.reason,
            detail=error.detail,
        )
        return _refuse(request, unserved(error))

    app.add_exception_handler(ApiError, refused)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, nowhere)
    app.add_exception_handler(AlreadyAnswered, replayed)
    app.add_exception_handler(StorageUnavailable, unavailable)


def _refuse(request: Request, error: ApiError, headers: dict[str, str] | None = None) -> Response:
    exchange = exchange_of(request.scope)
    exchange.code = error.code
    return refusal(error, exchange.request_id, headers)


class Unserved(ApiError):
    """503, with the seconds after which it may have passed."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("service_unavailable", "storage is not available at the moment: try again")
        self.retry_after = retry_after


def unserved(error: StorageUnavailable) -> ApiError:
    return Unserved(max(1, error.retry_after))


def from_validation(errors: Sequence[Any]) -> ApiError:
    """The first of what is wrong with parameters and body."""
    first = errors[0]
    where = [str(part) for part in first["loc"][1:]]
    param = ".".join(where)[:_MAX_PARAM].encode("ascii", "backslashreplace").decode() or None
    message = _MESSAGES.get(first["type"]) or str(first["msg"]).removeprefix(_PREFIX).replace("Input should", "should")
    if param is None:
        return ApiError("invalid_json", "the body must be a JSON object")
    if first["type"] == "missing":
        return ApiError("missing_required_field", message, param=param)
    if first["type"] in CODES:
        return ApiError(first["type"], message, param=param)
    own = _OWN_CODES.get(param) if first["loc"][0] == "query" else None
    return ApiError(own or "invalid_field_value", message, param=param)


def _nowhere(app: FastAPI, request: Request, error: HTTPException) -> Response:
    if error.status_code == 405:
        allowed = ", ".join(sorted(_methods(app, request)))
        refused = ApiError("method_not_allowed", f"here go {allowed}")
        return _refuse(request, refused, {"allow": allowed})
    if error.status_code == 404:
        return _refuse(request, ApiError("resource_not_found", "there is nothing here"))
    return _refuse(request, ApiError("invalid_json", "the request cannot be read"))


def _methods(app: FastAPI, request: Request) -> set[str]:
    """What goes on this path."""
    found: set[str] = set()
    for route in app.routes:
        if isinstance(route, APIRoute) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return found
