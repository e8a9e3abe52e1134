"""How every call can be answered, for the document: bodies, headers, and an example of each."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from kirimhook.contract.errors import CODES, ApiError
from kirimhook.sender.api.document import examples, schemas
from kirimhook.sender.api.operations import OPERATIONS, Operation
from kirimhook.sender.limits import Use

Responses = dict[str, dict[str, Any]]

_INTEGER = {"type": "integer", "minimum": 0}

HEADERS: dict[str, Any] = {
    "X-Request-Id": {
        "description": "The id of this request, in the log too.",
        "required": True,
        "schema": schemas.REQUEST_ID,
    },
    "X-RateLimit-Limit": {"description": "Calls of this kind a minute.", "schema": _INTEGER},
    "X-RateLimit-Remaining": {"description": "How many are left now.", "schema": _INTEGER},
    "X-RateLimit-Reset": {"description": "Unix time at which all are there again.", "schema": _INTEGER},
    "Retry-After": {
        "description": "Seconds to wait.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {"required": True, "schema": {"type": "string", "const": "Bearer"}},
    "Idempotent-Replayed": {
        "description": "There where this is the answer that the first call under its Idempotency-Key got.",
        "schema": {"type": "string", "const": "true"},
    },
}
"""Of answers. The limits are there where a limit is set."""

_ALL = ("X-Request-Id",)
_LIMITED = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_OF_STATUS = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate",),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After",),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After",),
}
_KEY = ("missing_api_key", "invalid_api_key", "expired_api_key", "revoked_api_key", "rate_limit_exceeded")
_BODY = ("invalid_json", "payload_too_large", "unsupported_media_type")
_IDEMPOTENT = ("invalid_field_value", "idempotency_key_reuse", "idempotency_in_progress")
_QUERY = ("invalid_field_value",)
_ALWAYS = ("internal_error",)

_ONE = "Answer"
_PAGE = "Page"


def codes_of(operation: Operation) -> tuple[str, ...]:
    """Every code that this call can be answered."""
    codes = [*operation.codes, *_ALWAYS]
    if operation.takes_key:
        codes += [*_KEY, *_QUERY, "service_unavailable"]
    if operation.method in ("POST", "PATCH"):
        codes += _BODY
    if operation.method == "POST":
        codes += _IDEMPOTENT
    return tuple(code for code in CODES if code in codes)


def responses_of(operation: Operation) -> Responses:
    """All answers to this call, by status."""
    found: Responses = {str(operation.status): _success(operation)}
    for code in codes_of(operation):
        status = HTTPStatus(CODES[code].status)
        content = found.setdefault(str(status.value), _failure(status, operation))["content"]["application/json"]
        content["examples"][code] = {"value": ApiError(code, examples.MESSAGES[code]).envelope(examples.REQUEST_ID)}
    return found


def envelopes() -> dict[str, schemas.Schema]:
    """The schema of every body that answers with a resource, or a page of them."""
    return {
        name: schemas.page(operation.answers) if name.endswith(_PAGE) else schemas.one(operation.answers)
        for operation in OPERATIONS
        if operation.answers is not None
        for name in _names(operation)
    }


def _names(operation: Operation) -> list[str]:
    if operation.answers is None:
        return []
    name = operation.answers.__name__
    if operation.is_page:
        return [name + _PAGE]
    return [name + _ONE, name + _PAGE] if _publishes(operation) else [name + _ONE]


def _publishes(operation: Operation) -> bool:
    return getattr(operation.route, "use", None) is Use.EVENTS


def _headers(operation: Operation, *more: str) -> dict[str, Any]:
    names = (*_ALL, *(_LIMITED if operation.takes_key else ()), *more)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _success(operation: Operation) -> dict[str, Any]:
    headers = _headers(operation, *(("Idempotent-Replayed",) if operation.method == "POST" else ()))
    described: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase, "headers": headers}
    if operation.status == HTTPStatus.NO_CONTENT:
        return described
    content: dict[str, Any] = {"schema": _schema(operation)}
    if operation.endpoint.__name__ in examples.ANSWERS:
        content["examples"] = examples.ANSWERS[operation.endpoint.__name__]
    return {**described, "content": {"application/json": content}}


def _schema(operation: Operation) -> schemas.Schema:
    if operation.answers is None:
        return schemas.reference("Health") if operation.path == "/health" else {"type": "object"}
    either = [schemas.reference(name) for name in _names(operation)]
    return {"oneOf": either} if len(either) > 1 else either[0]


def _failure(status: HTTPStatus, operation: Operation) -> dict[str, Any]:
    return {
        "description": status.phrase,
        "headers": _headers(operation, *_OF_STATUS.get(status, ())),
        "content": {"application/json": {"schema": schemas.reference("Error"), "examples": {}}},
    }
